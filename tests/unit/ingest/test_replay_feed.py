"""Recorded bars as a feed: merged by time, in order, each once, gaps before what follows them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected, InstrumentListed
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.ingest.candles import CandleTable
from goalkick.ingest.feeds.replay import ReplayFeed

BTC, ETH, SOL = (InstrumentId(f"x:{base}/USDT") for base in ("BTC", "ETH", "SOL"))


def table(
    minutes: Sequence[int], instrument: InstrumentId = BTC, interval_ns: int = MINUTE
) -> CandleTable:
    """Bars that open at these minutes."""
    opens = np.array(sorted(minutes), dtype=np.int64) * MINUTE
    price = opens / MINUTE + 1.0
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), price)
    return CandleTable.from_frame(
        pd.DataFrame({"ts": pd.to_datetime(opens), **columns}), instrument, interval_ns
    )


def told(feed: ReplayFeed) -> list[list[tuple[str, str, int]]]:
    return [[(type(e).__name__, e.key, e.time_ns // MINUTE) for e in s] for s in feed.steps()]


def test_first_step_lists_the_instruments_when_the_earliest_bar_opens() -> None:
    feed = ReplayFeed([table([8, 9], ETH), table([5, 6], BTC)])
    first = next(feed.steps())
    assert [type(event) for event in first] == [InstrumentListed] * 2
    assert [event.key for event in first] == [BTC, ETH]
    assert {event.time_ns for event in first} == {5 * MINUTE}


def test_bars_of_one_moment_are_one_step_in_order_of_instrument() -> None:
    feed = ReplayFeed([table([1, 2], SOL), table([2, 3], BTC), table([2], ETH)])
    assert told(feed)[1:] == [
        [("BarClosed", SOL, 2)],
        [("BarClosed", BTC, 3), ("BarClosed", ETH, 3), ("BarClosed", SOL, 3)],
        [("BarClosed", BTC, 4)],
    ]


@pytest.mark.parametrize("others", [[], [table([1, 2, 3, 4, 5, 6], ETH)]], ids=["one", "two"])
def test_a_gap_is_told_in_the_step_of_the_first_bar_after_it_before_that_bar(
    others: list[CandleTable],
) -> None:
    steps = list(ReplayFeed([table([1, 2, 5, 6]), *others]).steps())
    (step,) = (s for s in steps if any(isinstance(e, GapDetected) for e in s))
    gap, bar = step[:2]
    assert isinstance(bar, BarClosed)
    assert gap == GapDetected(
        time_ns=6 * MINUTE,
        instrument=BTC,
        from_ns=3 * MINUTE,
        to_ns=5 * MINUTE,
        missing=2,
        stream="bar",
    )
    assert (bar.instrument, bar.time_ns) == (BTC, 6 * MINUTE)


def test_files_of_one_instrument_follow_each_other() -> None:
    feed = ReplayFeed([table([5, 6]), table([1, 2])])
    assert told(feed) == [
        [("InstrumentListed", BTC, 1)],
        [("BarClosed", BTC, 2)],
        [("BarClosed", BTC, 3)],
        [("GapDetected", BTC, 6), ("BarClosed", BTC, 6)],
        [("BarClosed", BTC, 7)],
    ]


def test_refuses_overlapping_files_of_one_instrument() -> None:
    with pytest.raises(InvalidDataError, match="to follow each other"):
        ReplayFeed([table([1, 2, 3]), table([3, 4])])


def test_refuses_bars_of_two_lengths_of_one_instrument() -> None:
    with pytest.raises(InvalidDataError, match="bars of one length"):
        ReplayFeed([table([1, 2]), table([10, 15], interval_ns=5 * MINUTE)])


def test_refuses_to_replay_nothing() -> None:
    with pytest.raises(InvalidDataError, match="at least one table"):
        ReplayFeed([])


minutes_of = st.lists(st.integers(0, 60), min_size=2, max_size=40, unique=True)


@settings(deadline=None)
@given(st.lists(minutes_of, min_size=1, max_size=3), st.integers(-1, 70))
def test_every_bar_comes_once_in_order_and_any_start_gives_the_same_rest(
    minutes: list[list[int]], start: int
) -> None:
    tables = [table(m, name) for m, name in zip(minutes, (ETH, BTC, SOL), strict=False)]
    feed = ReplayFeed(tables)
    steps = [list(step) for step in feed.steps()]
    times = [step[0].time_ns for step in steps]
    assert times == sorted(set(times))
    assert all({event.time_ns for event in step} == {step[0].time_ns} for step in steps)
    bars = [event for step in steps for event in step if isinstance(event, BarClosed)]
    for one in tables:
        assert [bar for bar in bars if bar.instrument == one.instrument] == list(one.bars())
    assert missing(steps) == sum(gap.missing for one in tables for gap in one.gaps)
    from_ns = start * MINUTE
    rest = [list(step) for step in feed.steps(from_ns)]
    assert rest == [step for step in steps if step[0].time_ns >= from_ns]


def missing(steps: Sequence[Sequence[Event]]) -> int:
    return sum(e.missing for step in steps for e in step if isinstance(e, GapDetected))
