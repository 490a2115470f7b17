"""`python -m goalkick.fused`: feature, prediction and strategy on Kafka, in one process."""

import sys

from goalkick.fused.service import main

if __name__ == "__main__":
    sys.exit(main())
