"""Plays trials made from seeds and tells what came of them; exit 1 if a desk's books were wrong.

Progress and failures are on stderr, the table is on stdout.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.faults.campaign import AT_ONCE, failure, play
from tests.faults.report import report_of, show
from tests.faults.scenario import make
from tests.faults.trial import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first scenario (1)")
    parser.add_argument("--scenarios", type=int, default=100, help="how many, one a seed (100)")
    parser.add_argument("--venue", choices=("binance", "bybit"), default="binance")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"({AT_ONCE})")
    parser.add_argument("--give-up", type=int, default=20, help="after so many went wrong (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report as JSON")
    options = parser.parse_args(arguments)
    # Desks that die in the middle of a request are what all of this is about.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    began_s = time.monotonic()
    over: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        over.append(outcome)
        if outcome.findings:
            print(f"\r{failure(outcome)}", file=sys.stderr)
        wrong = sum(bool(each.findings) for each in over)
        seconds = time.monotonic() - began_s
        progress = f"{len(over)} of {options.scenarios} scenarios, {wrong} wrong, {seconds:.0f} s"
        print(f"\r{progress}", end="", file=sys.stderr, flush=True)

    seeds = range(options.seed, options.seed + options.scenarios)
    chosen = [(make(seed), options.venue) for seed in seeds]
    outcomes = asyncio.run(
        play(chosen, at_once=options.at_once, give_up=options.give_up, done=done)
    )
    print(file=sys.stderr)
    report = report_of(outcomes, options.venue, options.seed, time.monotonic() - began_s)
    show(report)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
