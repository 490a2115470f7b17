"""Bars on their way from a venue: in order, once, waited for, and no longer than is bearable."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
)
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.live_bars import LiveBars

BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")
RULES = {name: Instrument(id=name, base=name[2:5], quote="USDT") for name in (ETH, BTC)}


def live(*, told_ns: int | None = None, listing_ns: int = 10 * MINUTE) -> LiveBars:
    """Two instruments from minute 10 on; stale after three minutes."""
    return LiveBars(
        RULES,
        MINUTE,
        3 * MINUTE,
        begins_ns=10 * MINUTE,
        told_ns=told_ns,
        listing_ns=listing_ns,
        now_ns=10 * MINUTE,
    )


def bar(close: int, instrument: InstrumentId = BTC) -> BarClosed:
    price = Decimal(close)
    return BarClosed(
        time_ns=close * MINUTE,
        instrument=instrument,
        interval_ns=MINUTE,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=price,
    )


def say(bars: LiveBars, now: float, *, btc: tuple[int, ...] = (), eth: tuple[int, ...] = ()) -> Any:
    """What is told after these bars arrived: (event, instrument, close) by step."""
    bars.add(BTC, [bar(close) for close in btc])
    bars.add(ETH, [bar(close, ETH) for close in eth])
    return told(bars.release(int(now * MINUTE)))


def told(steps: list[Step]) -> list[list[tuple[str, str, float]]]:
    return [[(type(e).__name__, e.key[2:5], e.time_ns // MINUTE) for e in s] for s in steps]


def test_the_listing_comes_in_order_of_instrument() -> None:
    assert [(type(e), e.key, e.time_ns) for e in live().listing()] == [
        (InstrumentListed, BTC, 10 * MINUTE),
        (InstrumentListed, ETH, 10 * MINUTE),
    ]


def test_a_moment_is_told_when_all_instruments_have_it() -> None:
    bars = live()
    assert say(bars, 11.1, btc=(11,)) == []
    assert say(bars, 11.2, eth=(11,)) == [[("BarClosed", "BTC", 11), ("BarClosed", "ETH", 11)]]


def test_a_bar_is_told_once_however_often_it_arrives() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    assert say(bars, 11.2, btc=(11,), eth=(11,)) == []


def test_bars_that_are_missing_are_said_to_be_before_the_next() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    bars.add(BTC, [bar(14)])
    bars.add(ETH, [bar(k, ETH) for k in (12, 13, 14)])
    last = bars.release(14 * MINUTE)[-1]
    assert last[0] == GapDetected(
        time_ns=14 * MINUTE,
        instrument=BTC,
        from_ns=11 * MINUTE,
        to_ns=13 * MINUTE,
        missing=2,
        stream="bar",
    )
    assert [type(event) for event in last] == [GapDetected, BarClosed, BarClosed]


def test_the_first_bar_of_a_first_run_has_no_gap_before_it() -> None:
    assert say(live(), 13, btc=(13,), eth=(13,)) == [
        [("BarClosed", "BTC", 13), ("BarClosed", "ETH", 13)]
    ]


def test_what_was_missed_between_two_runs_is_a_gap() -> None:
    bars = live(told_ns=8 * MINUTE, listing_ns=8 * MINUTE)
    assert say(bars, 12, btc=(12,), eth=(12,))[0][:2] == [
        ("GapDetected", "BTC", 12),
        ("BarClosed", "BTC", 12),
    ]


def test_who_lags_is_stale_and_no_longer_waited_for() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    assert say(bars, 14, btc=(12, 13, 14)) == []
    steps = say(bars, 14.1)
    assert steps == [
        [("BarClosed", "BTC", 12)],
        [("BarClosed", "BTC", 13)],
        [("BarClosed", "BTC", 14)],
        [("FeedStale", "ETH", 14)],
    ]
    assert say(bars, 15.1, btc=(15,)) == [[("BarClosed", "BTC", 15)]]


def test_stale_says_when_the_last_bar_was_and_lies_before_the_bars_to_come() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    (step,) = bars.release(15 * MINUTE)
    assert list(step) == [
        FeedStale(time_ns=11 * MINUTE + 1, instrument=name, last_ns=11 * MINUTE, stream="bar")
        for name in (BTC, ETH)
    ]
    assert bars.release(16 * MINUTE) == []


def test_after_an_outage_nothing_is_lost_and_recovery_comes_with_the_newest_bar() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    say(bars, 15)
    steps = say(bars, 16.1, btc=(12, 13, 14, 15, 16), eth=(12, 13, 14, 15, 16))
    assert [step[0][2] for step in steps] == [12, 13, 14, 15, 16]
    assert [name for name, _, _ in steps[-1]] == ["FeedRecovered", "BarClosed"] * 2
    assert all(name == "BarClosed" for step in steps[:-1] for name, _, _ in step)


def test_an_old_backlog_is_no_recovery() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    say(bars, 30)
    assert say(bars, 30.1, btc=(12, 13), eth=(12, 13)) == [
        [("BarClosed", "BTC", 12), ("BarClosed", "ETH", 12)],
        [("BarClosed", "BTC", 13), ("BarClosed", "ETH", 13)],
    ]
    steps = say(bars, 31.1, btc=(30, 31), eth=(30, 31))
    assert [name for name, _, _ in steps[-1]] == ["FeedRecovered", "BarClosed"] * 2


def test_what_comes_too_late_to_be_in_order_is_missing() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    say(bars, 14.5, btc=(12, 13, 14))
    assert say(bars, 15.1, btc=(15,), eth=(12, 13, 14, 15)) == [
        [
            ("BarClosed", "BTC", 15),
            ("GapDetected", "ETH", 15),
            ("FeedRecovered", "ETH", 15),
            ("BarClosed", "ETH", 15),
        ]
    ]


def test_one_who_never_says_anything_is_stale_too() -> None:
    bars = live()
    steps = say(bars, 13.5, btc=(11, 12, 13))
    assert steps[-1] == [("FeedStale", "ETH", 13)]


arrivals = st.lists(
    st.tuples(st.integers(0, 4), st.sets(st.integers(11, 40)), st.sets(st.integers(11, 40))),
    max_size=15,
)


@given(arrivals)
def test_time_never_goes_back_and_every_bar_is_told_or_in_a_gap(
    polls: list[tuple[int, set[int], set[int]]],
) -> None:
    bars = live()
    now = 10
    steps: list[Step] = [bars.listing()]
    for passed, btc, eth in [*polls, (50, {60}, {60})]:
        now += passed
        bars.add(BTC, [bar(k) for k in sorted(btc) if k <= now])
        bars.add(ETH, [bar(k, ETH) for k in sorted(eth) if k <= now])
        steps += bars.release(now * MINUTE)
    times = [step[0].time_ns for step in steps]
    assert times == sorted(set(times))
    assert all({event.time_ns for event in step} == {step[0].time_ns} for step in steps)
    for name in (BTC, ETH):
        mine = [event for step in steps for event in step if event.key == name]
        told_ns = 0
        for event in mine:
            if isinstance(event, GapDetected):
                assert event.from_ns == told_ns
                told_ns = event.to_ns
            elif isinstance(event, BarClosed):
                assert told_ns in (0, event.open_time_ns)
                told_ns = event.time_ns
        states = [type(e) for e in mine if isinstance(e, (FeedStale, FeedRecovered))]
        assert all(a is not b for a, b in pairwise(states))


# The past ---------------------------------------------------------------------------------------


def late_start(now: int) -> LiveBars:
    """Two instruments whose bars from minute 10 on are to be fetched, at minute `now`."""
    return LiveBars(
        RULES,
        MINUTE,
        3 * MINUTE,
        begins_ns=10 * MINUTE,
        told_ns=None,
        listing_ns=10 * MINUTE,
        now_ns=now * MINUTE,
    )


def test_what_is_told_of_the_past_is_stale_up_to_the_newest_bar() -> None:
    bars = late_start(20)
    steps = say(bars, 20.1, btc=tuple(range(11, 18)), eth=tuple(range(11, 17)))
    assert len(steps) == 7
    assert steps[0] == [("FeedStale", "BTC", 10), ("FeedStale", "ETH", 10)]
    assert all(name == "BarClosed" for step in steps[1:] for name, _, _ in step)
    steps = say(bars, 20.2, btc=(18, 19, 20), eth=(17, 18, 19, 20))
    assert [name for name, _, _ in steps[-1]] == ["FeedRecovered", "BarClosed"] * 2
    assert all(name == "BarClosed" for step in steps[:-1] for name, _, _ in step)


def test_a_past_that_is_there_at_once_is_stale_all_the_same() -> None:
    steps = say(late_start(20), 20.1, btc=tuple(range(11, 21)), eth=tuple(range(11, 21)))
    assert [name for name, _, _ in steps[0]] == ["FeedStale"] * 2
    assert [name for name, _, _ in steps[-1]] == ["FeedRecovered", "BarClosed"] * 2
    assert all(name == "BarClosed" for step in steps[1:-1] for name, _, _ in step)


def test_a_past_that_ends_long_ago_stays_stale_and_is_told_once() -> None:
    bars = late_start(30)
    say(bars, 30.1, btc=(11, 12), eth=tuple(range(11, 31)))
    steps = [event for step in say(bars, 34) for event in step]
    assert ("FeedStale", "BTC", 30) not in steps
    assert say(bars, 35, btc=(35,))[-1][:3] == [
        ("GapDetected", "BTC", 35),
        ("FeedRecovered", "BTC", 35),
        ("BarClosed", "BTC", 35),
    ]


def test_a_start_with_bars_of_the_present_alone_is_not_stale() -> None:
    assert say(late_start(12), 12.1, btc=(11, 12), eth=(11, 12)) == [
        [("BarClosed", "BTC", 11), ("BarClosed", "ETH", 11)],
        [("BarClosed", "BTC", 12), ("BarClosed", "ETH", 12)],
    ]


# Promises ---------------------------------------------------------------------------------------


def test_a_promise_reaches_the_clock_and_never_the_next_bar() -> None:
    bars = live()
    say(bars, 11.1, btc=(11,), eth=(11,))
    assert bars.promise(11 * MINUTE + 7) == 11 * MINUTE + 7
    assert bars.promise(11 * MINUTE + 7) is None, "there is nothing new"
    last = bars.promise(13 * MINUTE)
    assert last is not None
    assert 11 * MINUTE + 7 < last < 12 * MINUTE
    assert say(bars, 13.1, btc=(12, 13), eth=(12, 13))[0][0] == ("BarClosed", "BTC", 12)


def test_a_promise_waits_for_the_slowest_and_not_for_who_is_no_longer_waited_for() -> None:
    bars = live()
    say(bars, 11.1, btc=(11, 12, 13, 14), eth=(11,))
    promised = bars.promise(14 * MINUTE)
    assert promised is not None
    assert promised < 12 * MINUTE
    say(bars, 14.2)
    assert bars.promise(15 * MINUTE) == 15 * MINUTE - NS_PER_MS


_DOINGS = st.lists(
    st.tuples(
        st.sampled_from(("btc", "eth", "time", "promise", "silence", "hear", "news")),
        st.integers(1, 4),
    ),
    max_size=60,
)


@given(_DOINGS, st.integers(10, 16))
def test_whatever_happens_every_step_keeps_every_promise(
    doings: list[tuple[str, int]], begun: int
) -> None:
    bars = late_start(begun)
    now_ns, last_ns = begun * MINUTE, 10 * MINUTE
    known = {"btc": 10, "eth": 10}
    for doing, count in doings:
        steps: list[Step] = []
        if doing in known:
            bars.add(BTC if doing == "btc" else ETH, [bar(known[doing] + count, _id(doing))])
            known[doing] += count
        elif doing == "time":
            now_ns += count * MINUTE // 3
        elif doing == "promise":
            promised = bars.promise(now_ns)
            assert promised is None or last_ns < promised <= now_ns
            last_ns = promised or last_ns
        elif doing == "news":
            steps = [bars.beside([FeedStale(time_ns=0, instrument=BTC, last_ns=0, stream="book")])]
        else:
            getattr(bars, doing)(BTC)
        for step in [*steps, *bars.release(now_ns)]:
            assert step[0].time_ns > last_ns
            last_ns = step[0].time_ns


def _id(name: str) -> InstrumentId:
    return BTC if name == "btc" else ETH
