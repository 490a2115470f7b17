"""`python -m goalkick.limiter`: the limiter."""

import sys

from goalkick.limiter.service import main

if __name__ == "__main__":
    sys.exit(main())
