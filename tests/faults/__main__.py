"""Plays trials and tells what came of them; exit 1 if the books of any were wrong.

On a desk (execution's core and adapter, nothing between) or on execution's own service with a real
Kafka. Progress and failures are on stderr, the tables are on stdout.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.faults.campaign import AT_ONCE, Play, failure, play
from tests.faults.lives import DESK, SERVICE
from tests.faults.named import (
    BY_SEED,
    EVERY_FAULT,
    EVERY_POINT,
    FOUND,
    HALTS,
    LEAVES,
    STOPS,
    WORKED,
)
from tests.faults.report import report_of, show
from tests.faults.scenario import Scenario, make
from tests.faults.service_trial import service_play
from tests.faults.trial import Outcome, run_trial
from tests.kafka.broker import BrokerMissingError, start_broker


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first scenario (1)")
    parser.add_argument("--scenarios", type=int, default=100, help="how many, one a seed (100)")
    parser.add_argument("--venue", choices=("binance", "bybit"), default="binance")
    parser.add_argument("--on", choices=("desk", "kafka"), default="desk", help="what is killed")
    parser.add_argument(
        "--named",
        action="store_true",
        help="first each fault, each kill point, stop orders, halts, stops, and all found bugs",
    )
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"({AT_ONCE})")
    parser.add_argument("--give-up", type=int, default=20, help="after so many went wrong (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the report as JSON")
    options = parser.parse_args(arguments)
    # Desks that die in the middle of a request are what all of this is about.
    for noisy in ("aiohttp.server", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    if options.on == "desk":
        return _campaign(options, DESK, run_trial)
    try:
        broker = start_broker()
    except BrokerMissingError as error:
        print(f"python -m tests.faults: {error}", file=sys.stderr)
        return 2
    try:
        return _campaign(options, SERVICE, service_play(broker.bootstrap))
    finally:
        broker.stop()


def _campaign(options: argparse.Namespace, module: str, trial: Play) -> int:
    seeds = range(options.seed, options.seed + options.scenarios)
    chosen = [*(_named(options.on) if options.named else ()), *map(make, seeds)]
    began_s = time.monotonic()
    outcomes = asyncio.run(
        play(
            [(each, options.venue) for each in chosen],
            at_once=options.at_once,
            give_up=options.give_up,
            module=module,
            trial=trial,
            done=_teller(len(chosen)),
        )
    )
    print(file=sys.stderr)
    report = report_of(
        outcomes, options.venue, options.seed, time.monotonic() - began_s, options.on
    )
    show(report)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 1 if report.wrong else 0


def _named(on: str) -> Sequence[Scenario]:
    common = (*EVERY_FAULT, *EVERY_POINT, *STOPS, *HALTS, *WORKED, *FOUND, *map(make, BY_SEED))
    return (*common, *LEAVES) if on == "kafka" else common


def _teller(count: int) -> Callable[[Outcome], None]:
    """Tells progress, and what went wrong as soon as it did."""
    began_s = time.monotonic()
    over: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        over.append(outcome)
        if outcome.findings:
            print(f"\r{failure(outcome)}", file=sys.stderr)
        wrong = sum(bool(each.findings) for each in over)
        seconds = time.monotonic() - began_s
        progress = f"{len(over)} of {count} scenarios, {wrong} wrong, {seconds:.0f} s"
        print(f"\r{progress}", end="", file=sys.stderr, flush=True)

    return done


if __name__ == "__main__":
    sys.exit(main())
