"""`python -m goalkick.execution`: the execution service on Kafka."""

import sys

from goalkick.execution.service import main

if __name__ == "__main__":
    sys.exit(main())
