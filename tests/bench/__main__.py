"""Runs all benchmarks and prints their figures; exit 1 if an answer was wrong, never for slowness.

More benches: add a module with `BENCHES` to `SUITES`.
"""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import (
    download,
    fused,
    in_process,
    live_on_kafka,
    many_instruments,
    many_orders,
    market_data,
    on_kafka,
    restart,
    socket_to_order,
)
from tests.bench.figures import Bench, Figure

SUITES: dict[str, Sequence[Bench]] = {
    "in process": in_process.BENCHES,
    "market data": (*market_data.BENCHES, *download.BENCHES, *many_instruments.BENCHES),
    "on kafka": (*on_kafka.BENCHES, *fused.BENCHES),
    "execution": (
        *socket_to_order.BENCHES,
        *many_orders.BENCHES,
        *restart.BENCHES,
        *live_on_kafka.BENCHES,
    ),
}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="less data, fewer rounds")
    parser.add_argument("--only", metavar="WORD", default="", help="suites and benches so called")
    parser.add_argument(
        "--minutes", type=float, help="how long to watch many instruments [default: a third]"
    )
    options = parser.parse_args()
    many_instruments.MINUTES = options.minutes
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    wrong: list[Figure] = []
    for suite, benches in SUITES.items():
        chosen = [b for b in benches if options.only in suite or options.only in b.__name__]
        if chosen:
            print(f"\n{suite}")
        for bench in chosen:
            for figure in bench(options.short):
                print(f"  {figure.name:<56} {figure.value:>18}  {figure.beside}", flush=True)
                if figure.wrong:
                    wrong.append(figure)
    for figure in wrong:
        print(f"wrong answer: {figure.name}: {figure.wrong}", file=sys.stderr)
    return 1 if wrong else 0


def _processor() -> str:
    """The processor's name as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
