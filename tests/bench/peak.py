"""`python -m tests.bench.peak ROWS`: runs W1 and prints the process's peak memory in MB."""

import resource
import sys
from pathlib import Path

from goalkick.embedded.backtest import run_backtest
from tests.bench.in_process import w1_settings
from tests.bench.workload import candles


def peak_mb() -> int:
    """Most memory that this process ever had resident, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        # macOS counts bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20
    # Linux hands `ru_maxrss` on from the parent that forked; the high-water mark is our own.
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


if __name__ == "__main__":
    run_backtest([candles(int(sys.argv[1]))], w1_settings())
    print(peak_mb())
