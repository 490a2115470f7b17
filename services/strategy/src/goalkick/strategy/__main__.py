"""`python -m goalkick.strategy`: the strategy service on Kafka."""

import sys

from goalkick.strategy.service import main

if __name__ == "__main__":
    sys.exit(main())
