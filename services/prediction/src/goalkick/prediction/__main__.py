"""`python -m goalkick.prediction`: the prediction service on Kafka."""

import sys

from goalkick.prediction.service import main

if __name__ == "__main__":
    sys.exit(main())
