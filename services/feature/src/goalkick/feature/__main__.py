"""`python -m goalkick.feature`: the feature service on Kafka."""

import sys

from goalkick.feature.service import main

if __name__ == "__main__":
    sys.exit(main())
