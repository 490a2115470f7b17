"""`python -m goalkick.venue`: the exchange in a box."""

import sys

from goalkick.venue.service import main

if __name__ == "__main__":
    sys.exit(main())
