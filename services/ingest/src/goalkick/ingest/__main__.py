"""`python -m goalkick.ingest`: the ingest service on Kafka."""

import sys

from goalkick.ingest.service import main

if __name__ == "__main__":
    sys.exit(main())
