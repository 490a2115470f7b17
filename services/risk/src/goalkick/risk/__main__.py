"""`python -m goalkick.risk`: the risk service on Kafka."""

import sys

from goalkick.risk.service import main

if __name__ == "__main__":
    sys.exit(main())
