"""Replaying: the same past gives the same decisions, wherever it is cut and whatever follows."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.adapters.bus.memory import Sink
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.control import DeactivateStrategy, Halt, Resume
from goalkick.common.ports.feed import Step
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.money import ZERO
from goalkick.embedded.backtest import run_backtest
from goalkick.embedded.pipeline import Pipeline
from goalkick.ingest.candles import CandleTable
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.embedded.recordings import crossing, first, walk

ROWS = 240


@cache
def tables() -> tuple[CandleTable, ...]:
    """Four instruments that do not begin and end together, one with gaps."""
    return (
        walk(rows=ROWS),
        walk("ETH/USDT", rows=ROWS, seed=8, start=13),
        walk("SOL/USDT", rows=ROWS, seed=9, missing=[*range(40, 50), 90]),
        walk("XRP/USDT", rows=ROWS, seed=10, start=100),
    )


@cache
def recording() -> tuple[Step, ...]:
    """Their steps, with a person's commands in between."""
    steps: list[Step] = list(ReplayFeed(tables()).steps())
    for position, command in ((60, Halt), (75, Resume), (150, DeactivateStrategy)):
        now = steps[position][0].time_ns
        steps[position] = [command(time_ns=now, issuer="test"), *steps[position]]
    return tuple(steps)


def heard(events: list[Event]) -> list[tuple[type[Event], Sink]]:
    return [(kind, events.append) for kind in TOPIC_OF]


def run(steps: Sequence[Step], pipeline: Pipeline) -> None:
    for step in steps:
        pipeline.feed(step)


@cache
def undisturbed() -> tuple[tuple[Event, ...], bytes]:
    """All events of a run without a break, and its last snapshot."""
    events: list[Event] = []
    pipeline = Pipeline(crossing(), sinks=heard(events))
    run(recording(), pipeline)
    return tuple(events), pipeline.snapshot()


def test_the_recording_is_rich_enough_to_mean_something() -> None:
    seen = {type(event).__name__ for event in undisturbed()[0]}
    assert {
        "OrderFilled",
        "OrderRefused",
        "GapDetected",
        "TradingHalted",
        "TradingResumed",
        "PositionChanged",
    } <= seen


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, ROWS + 80))
def test_a_snapshot_in_the_middle_is_invisible(cut: int) -> None:
    events: list[Event] = []
    before = Pipeline(crossing(), sinks=heard(events))
    run(recording()[:cut], before)
    after = Pipeline(crossing(), sinks=heard(events))
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot()
    assert (after.equity, after.prices, after.moment_ns) == (
        before.equity,
        before.prices,
        before.moment_ns,
    )
    run(recording()[cut:], after)
    assert (tuple(events), after.snapshot()) == undisturbed()


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(20, ROWS))
def test_the_future_does_not_change_the_past(rows: int) -> None:
    """A run on a shortened recording says, event for event, what the long one said until then."""
    table = walk(rows=ROWS)
    long = run_backtest([table], crossing())
    short = run_backtest([first(table, rows)], crossing())
    until_ns = int(table.time_ns[rows - 1])
    assert [r.decision for r in short.orders] == [
        r.decision for r in long.orders if r.decision.time_ns <= until_ns
    ]
    assert list(short.fills) == [fill for fill in long.fills if fill.time_ns <= until_ns]
    assert np.array_equal(short.curve.equity, long.curve.equity[:rows])


def test_nothing_becomes_known_before_its_time() -> None:
    moment_ns = 0
    for event in undisturbed()[0]:
        assert event.time_ns >= moment_ns
        moment_ns = event.time_ns
        assert getattr(event, "available_at_ns", moment_ns) <= moment_ns
        assert getattr(event, "venue_time_ns", moment_ns) <= moment_ns


def test_four_instruments_together_are_taken_in_order_of_time_and_name() -> None:
    bars = [e for e in undisturbed()[0] if type(e).__name__ == "BarClosed"]
    assert len(bars) == 4 * ROWS - 11
    order = [(bar.time_ns, bar.key) for bar in bars]
    assert order == sorted(order)
    assert {e.key for e in bars} == {table.instrument for table in tables()}


def test_the_ledger_identity_holds_at_every_moment() -> None:
    """realised + unrealised - fees == cash + positions - opening balance, to the last digit."""
    pipeline = Pipeline(crossing())
    opening = pipeline.equity
    traded = False
    for step in recording():
        pipeline.feed(step)
        ledger, prices = pipeline.ledger, pipeline.prices
        won = sum(
            (
                p.realised + (p.unrealised(prices[name]) if p.quantity else ZERO) - p.fees
                for name, p in ledger.positions.items()
            ),
            ZERO,
        )
        assert won == pipeline.equity - opening == ledger.equity(prices) - opening
        traded = traded or bool(ledger.positions)
    assert traded


def test_the_order_of_the_files_does_not_matter() -> None:
    forward = run_backtest(tables(), crossing())
    backward = run_backtest(tables()[::-1], crossing())
    assert forward.decisions_sha256 == backward.decisions_sha256


@pytest.mark.parametrize("other", [{"params": {"fast": 4, "slow": 8}}, {"strategy": "breakout"}])
def test_a_snapshot_of_other_strategies_is_refused(other: dict[str, object]) -> None:
    options = {"params": None, **other} if "strategy" in other else other
    snapshot = Pipeline(crossing()).snapshot()
    with pytest.raises(InvalidDataError, match=r"expected .* with settings"):
        Pipeline(crossing(**options)).restore(snapshot)
