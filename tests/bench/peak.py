"""`python -m tests.bench.peak ROWS`: runs W1 and prints the process's peak memory in MB."""

import resource
import sys

from goalkick.embedded.backtest import run_backtest
from tests.bench.in_process import w1_settings
from tests.bench.workload import candles

_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""macOS counts bytes, Linux kibibytes."""

if __name__ == "__main__":
    run_backtest([candles(int(sys.argv[1]))], w1_settings())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _UNITS_PER_MB)
