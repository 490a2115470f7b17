"""Two copies of a feed as one: every event once, in order, whichever copy lacks it or dies."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import (
    BarClosed,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    QuoteChanged,
    TradePrinted,
)
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_SECOND as SECOND
from goalkick.ingest.redundancy import FirstCopy

D = Decimal
A, B = 0, 1
BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")
WAIT = SECOND
END = 10**15


def trade(number: int | str, instrument: InstrumentId = BTC) -> TradePrinted:
    return TradePrinted(
        time_ns=SECOND * (number if isinstance(number, int) else 1),
        instrument=instrument,
        trade_id=str(number),
        price=D(1),
        quantity=D(1),
        side=Side.BUY,
    )


def quote(sequence: int) -> QuoteChanged:
    return QuoteChanged(
        time_ns=SECOND * sequence,
        instrument=BTC,
        bid=D(1),
        bid_quantity=D(1),
        ask=D(2),
        ask_quantity=D(1),
        sequence=sequence,
    )


def bar(minute: int, instrument: InstrumentId = BTC, price: int = 1) -> BarClosed:
    """The one-minute bar that opens at `minute`."""
    return BarClosed(
        time_ns=(minute + 1) * MINUTE,
        instrument=instrument,
        interval_ns=MINUTE,
        open=D(price),
        high=D(price),
        low=D(price),
        close=D(price),
        volume=D(1),
    )


def gap(before: int, missing: int, stream: str = "bar") -> GapDetected:
    """Minutes that are missing before the one that opens at `before`."""
    return GapDetected(
        time_ns=(before + 1) * MINUTE,
        instrument=BTC,
        from_ns=(before - missing) * MINUTE,
        to_ns=before * MINUTE,
        missing=missing,
        stream=stream,
    )


def listing(time_ns: int, lot: str = "1", instruments: Sequence[InstrumentId] = (BTC,)) -> Step:
    return tuple(
        InstrumentListed(
            time_ns=time_ns,
            instrument=name,
            rules=Instrument(id=name, base="B", quote="Q", tick_size=D("0.1"), lot_size=D(lot)),
        )
        for name in instruments
    )


def both() -> FirstCopy:
    return FirstCopy(2, wait_ns=WAIT)


def numbers(told: Iterable[Step | Tape]) -> list[int | str]:
    """Numbers of trades, `-n` for a gap of n trades."""
    return [
        int(event.trade_id) if isinstance(event, TradePrinted) else f"-{event.missing}"
        for one in told
        for event in one
        if isinstance(event, TradePrinted | GapDetected)
    ]


def bars_of(told: Iterable[Step | Tape]) -> list[list[tuple[int, InstrumentId]]]:
    """Of each step the minute and instrument of its bars."""
    return [
        [(e.open_time_ns // MINUTE, e.instrument) for e in one if isinstance(e, BarClosed)]
        for one in told
        if not isinstance(one, Tape)
    ]


class TestTrades:
    def test_the_first_copy_is_told_and_the_second_is_not(self) -> None:
        copies = both()
        assert numbers(copies.take(A, Tape([trade(1), trade(2)]), 0)) == [1, 2]
        assert copies.take(B, Tape([trade(1), trade(2)]), 0) == []
        assert numbers(copies.take(B, Tape([trade(3)]), 0)) == [3]
        assert (copies.sides[A].leads, copies.sides[A].repeats) == (2, 0)
        assert (copies.sides[B].leads, copies.sides[B].repeats) == (1, 2)

    def test_what_one_copy_lacks_is_waited_for_and_told_in_order(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1)]), 0)
        assert copies.take(A, Tape([trade(3), trade(4)]), 0) == []
        assert numbers(copies.take(B, Tape([trade(1), trade(2)]), 5)) == [2, 3, 4]
        assert copies.mended == 1
        assert copies.sides[A].misses == 1

    def test_what_no_copy_says_within_the_wait_is_a_gap(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1)]), 0)
        copies.take(A, Tape([trade(4)]), 10)
        assert copies.due_ns == 10 + WAIT
        assert copies.advance(9 + WAIT) == []
        assert numbers(copies.advance(10 + WAIT)) == ["-2", 4]
        assert copies.due_ns is None

    def test_what_both_copies_lack_is_a_gap_at_once(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1), trade(3)]), 0)
        assert numbers(copies.take(B, Tape([trade(1), trade(3)]), 1)) == ["-1", 3]

    def test_a_lone_copy_waits_for_nobody(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1), trade(3)]), 0)
        assert numbers(copies.lost(B, 1)) == ["-1", 3]
        assert numbers(copies.take(A, Tape([trade(5)]), 2)) == ["-1", 5]

    def test_what_comes_after_its_gap_was_told_is_late(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1), trade(3)]), 0)
        copies.advance(WAIT)
        assert copies.take(B, Tape([trade(2)]), WAIT) == []
        assert copies.sides[B].late == 1

    def test_a_copys_own_gap_in_the_trades_is_not_believed(self) -> None:
        copies = both()
        told = copies.take(A, Tape([trade(1), gap(1, 1, "trade"), trade(2)]), 0)
        assert numbers(told) == [1, 2]

    def test_numbers_that_begin_anew_are_a_gap_and_not_silence(self) -> None:
        copies = both()
        copies.take(A, Tape([trade(1000)]), 0)
        again = TradePrinted(
            time_ns=2000 * SECOND,
            instrument=BTC,
            trade_id="1",
            price=D(1),
            quantity=D(1),
            side=Side.BUY,
        )
        assert numbers(copies.take(A, Tape([again]), 0)) == ["-1", 1]
        assert copies.take(B, Tape([trade(1001)]), 0) == []

    def test_ids_without_numbers_are_told_once_each(self) -> None:
        copies = FirstCopy(2, wait_ns=WAIT, numbered=False, remember=2)
        told = [
            copies.take(side, Tape([trade(n)]), 0) for side, n in ((A, "p"), (B, "p"), (B, "q"))
        ]
        assert [len(one) for one in told] == [1, 0, 1]
        copies.take(B, Tape([trade("r")]), 0)
        copies.take(B, Tape([trade("s")]), 0)
        assert (copies.sides[A].misses, copies.sides[B].misses) == (1, 0)

    def test_a_trade_without_a_number_is_told_though_numbers_are_usual(self) -> None:
        copies = both()
        assert copies.take(A, Tape([trade("odd-1")]), 0) == [Tape([trade("odd-1")])]
        assert copies.take(B, Tape([trade("odd-1")]), 0) == []


def news(told: Iterable[Step | Tape]) -> list[Event]:
    """What is told as moments and not on the tape; its time is that of the moment and left out."""
    steps = [step for step in told if not isinstance(step, Tape)]
    return [msgspec.structs.replace(event, time_ns=0) for step in steps for event in step]


class TestStates:
    def test_a_quote_is_told_if_it_goes_on_from_the_last(self) -> None:
        copies = both()
        order = [(A, 1), (B, 1), (B, 2), (A, 2), (A, 5), (B, 4), (B, 6)]
        told = [copies.take(side, Tape([quote(n)]), 0) for side, n in order]
        assert [one[0][0].sequence for one in told if one] == [1, 2, 5, 6]  # type: ignore[attr-defined]

    def test_a_gap_in_one_book_is_none_while_the_other_is_well(self) -> None:
        copies = both()
        copies.take(A, Tape([quote(1)]), 0)
        assert copies.take(A, Tape([gap(1, 1, "book")]), 0) == []
        assert len(copies.take(B, Tape([gap(1, 1, "book")]), 0)) == 1
        recovered = FeedRecovered(time_ns=0, instrument=BTC, stream="book")
        assert news(copies.take(A, Tape([recovered]), 0)) == [recovered]
        assert copies.take(B, Tape([recovered]), 0) == []

    def test_the_death_of_the_well_copy_tells_that_the_other_is_ill(self) -> None:
        copies = both()
        copies.take(A, Tape([gap(1, 1, "book")]), 0)
        (lost,) = news(copies.lost(B, 0))
        assert lost == msgspec.structs.replace(gap(1, 1, "book"), time_ns=0)

    def test_a_copy_that_began_anew_recovers_by_speaking(self) -> None:
        copies = both()
        copies.take(A, Tape([quote(1)]), 0)
        copies.lost(A, 0)
        stale = FeedStale(time_ns=0, instrument=BTC, last_ns=SECOND, stream="book")
        assert news(copies.lost(B, 0)) == [stale]
        copies.found(A)
        step, tape = copies.take(A, Tape([quote(2)]), 0)
        assert [type(event) for event in (*step, *tape)] == [FeedRecovered, QuoteChanged]

    def test_what_is_to_be_known_of_the_tape_is_a_moment_after_the_last(self) -> None:
        copies = both()
        copies.take(A, listing(0), 0)
        copies.take(A, [bar(0)], 0)
        copies.lost(B, 0)
        (step,) = copies.take(A, Tape([gap(1, 1, "book")]), 0)
        assert [event.time_ns for event in step] == [MINUTE + 1]
        assert copies.moment_ns == MINUTE + 1


class TestMoments:
    def test_a_whole_moment_is_told_at_once_and_once(self) -> None:
        copies = both()
        assert copies.take(A, listing(0), 0) == [list(listing(0))]
        assert copies.take(B, listing(0), 0) == []
        assert bars_of(copies.take(A, [bar(0)], 0)) == [[(0, BTC)]]
        assert copies.take(B, [bar(0)], 0) == []
        assert (copies.sides[B].repeats, copies.sides[B].misses) == (1, 0)

    def test_new_rules_are_told_by_whoever_says_them_first(self) -> None:
        copies = both()
        copies.take(A, listing(0), 0)
        copies.take(A, [bar(0)], 0)
        (step,) = copies.take(B, listing(5, lot="2"), 0)
        assert step[0].time_ns == MINUTE + 1
        assert copies.take(A, listing(99 * SECOND, lot="2"), 0) == []

    def test_a_moment_that_lacks_an_instrument_waits_for_the_other_copy(self) -> None:
        copies = both()
        copies.take(A, [bar(0), bar(0, ETH)], 0)
        assert copies.take(A, [bar(1)], 0) == []
        assert copies.take(A, [bar(2)], 0) == []
        assert copies.take(B, [bar(0), bar(0, ETH)], 5) == []
        assert bars_of(copies.take(B, [bar(1), bar(1, ETH)], 5)) == [[(1, BTC), (1, ETH)]]
        assert bars_of(copies.advance(WAIT)) == [[(2, BTC)]]
        assert copies.take(B, [bar(2), bar(2, ETH)], WAIT) == []
        assert copies.sides[B].late == 1

    def test_a_moment_that_all_copies_have_is_told_though_it_lacks_something(self) -> None:
        copies = both()
        copies.take(A, [bar(0), bar(0, ETH)], 0)
        copies.take(A, [bar(1)], 0)
        assert bars_of(copies.take(B, [bar(1)], 0)) == [[(1, BTC)]]

    def test_a_gap_of_one_copy_is_none_when_the_other_has_the_bars(self) -> None:
        copies = both()
        copies.take(A, [bar(0)], 0)
        assert copies.take(A, [gap(3, 2), bar(3)], 0) == []
        told = [one for m in (1, 2, 3) for one in copies.take(B, [bar(m)], 0)]
        assert bars_of(told) == [[(1, BTC)], [(2, BTC)], [(3, BTC)]]
        assert [e for one in told for e in one if isinstance(e, GapDetected)] == []
        assert copies.mended == 1

    def test_only_the_rest_of_a_gap_is_told(self) -> None:
        copies = both()
        copies.take(A, [bar(0)], 0)
        copies.take(B, [bar(1)], 0)
        copies.take(A, [gap(4, 3), bar(4)], 0)
        (step,) = copies.advance(WAIT)
        assert step == [gap(4, 2), bar(4)]

    def test_staleness_is_told_when_all_copies_are_stale_and_recovery_when_one_is_not(self) -> None:
        copies = both()
        copies.take(A, [bar(0)], 0)
        stale = FeedStale(time_ns=MINUTE + 1, instrument=BTC, last_ns=MINUTE, stream="bar")
        assert copies.take(A, [stale], 0) == []
        assert copies.take(B, [stale], 0) == [[stale]]
        well = FeedRecovered(time_ns=4 * MINUTE, instrument=BTC, stream="bar")
        (step,) = copies.take(B, [well, bar(3)], 0)
        assert step == [well, bar(3)]

    def test_the_first_of_two_differing_bars_is_told(self) -> None:
        copies = both()
        copies.take(A, [bar(0), bar(0, ETH)], 0)
        copies.take(A, [bar(1)], 0)
        (step,) = copies.take(B, [bar(1, price=2)], 0)
        assert step == [bar(1)]
        assert copies.differing == 1


class TestPromises:
    def test_a_promise_is_told_as_far_as_both_copies_made_it(self) -> None:
        copies = FirstCopy(2, wait_ns=WAIT)
        assert promised(copies.promise(A, 5 * SECOND, 0)) == []
        assert promised(copies.promise(B, 4 * SECOND, 0)) == [4 * SECOND]
        assert promised(copies.promise(B, 7 * SECOND, 0)) == [5 * SECOND]
        assert promised(copies.promise(B, 8 * SECOND, 0)) == []

    def test_nobody_waits_for_the_promise_of_a_copy_that_is_gone(self) -> None:
        copies = FirstCopy(2, wait_ns=WAIT)
        copies.lost(A, 0)
        assert promised(copies.promise(B, 4 * SECOND, 0)) == [4 * SECOND]

    def test_a_moment_that_waits_is_not_overtaken(self) -> None:
        copies = FirstCopy(2, wait_ns=WAIT)
        copies.take(A, [bar(0), bar(0, ETH)], 0)
        copies.take(B, [bar(0), bar(0, ETH)], 0)
        copies.take(A, [bar(1)], 0)
        assert promised(copies.promise(A, 2 * MINUTE + 9, 0)) == []
        said = copies.promise(B, 2 * MINUTE - 1, 0)
        assert promised(said) == [2 * MINUTE - 1]
        assert ends_of(copies.promise(B, 2 * MINUTE + 5, 0)) == [2 * MINUTE]

    @given(
        st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12),
        st.data(),
    )
    def test_no_bar_comes_after_a_promise_that_there_is_none(
        self, has: list[tuple[bool, bool]], data: st.DataObject
    ) -> None:
        copies = FirstCopy(2, wait_ns=END)
        lines: list[list[Step | Quiet]] = [[], []]
        lacking = [0, 0]
        for minute, both in enumerate(has):
            for side in (A, B):
                lacking[side] += not both[side]
                if both[side]:
                    before = [gap(minute, lacking[side])] if lacking[side] else []
                    lines[side].append([*before, bar(minute)])
                    lacking[side] = 0
                lines[side].append(Quiet.until((minute + 1) * MINUTE + 1 + side))
        moments: list[int] = []
        while lines[A] or lines[B]:
            side = data.draw(st.sampled_from([one for one in (A, B) if lines[one]]))
            said = lines[side].pop(0)
            told = (
                copies.promise(side, said.until_ns, 0)
                if isinstance(said, Quiet)
                else copies.take(side, said, 0)
            )
            moments += [one.until_ns if isinstance(one, Quiet) else one[0].time_ns for one in told]
        assert moments == sorted(set(moments))
        ends = [(minute + 1) * MINUTE for minute, both in enumerate(has) if any(both)]
        # The first bar of all begins the count: nobody knows of one before it.
        began = min((end for end in ends if end in moments), default=0)
        assert {end for end in ends if end >= began} <= set(moments)


def promised(told: Iterable[Step | Tape]) -> list[int]:
    return [one.until_ns for one in told if isinstance(one, Quiet)]


def ends_of(told: Iterable[Step | Tape]) -> list[int]:
    return [event.time_ns for one in told for event in one if isinstance(event, BarClosed)]


@pytest.mark.parametrize(("sides", "wait"), [(1, 0), (0, 0), (2, -1)])
def test_refuses_what_is_no_redundancy(sides: int, wait: int) -> None:
    with pytest.raises(SettingsError, match="2 copies or more"):
        FirstCopy(sides, wait_ns=wait)


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int, int]:
    """(copy, number) as they arrive; how many there are; who dies, and after how many."""
    count = draw(st.integers(1, 30))
    dying = draw(st.sampled_from([A, B]))
    lived = draw(st.integers(0, count))
    streams = []
    for side in (A, B):
        repeats = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
        stream = [n for n in range(count) for _ in range(repeats[n])]
        streams.append(stream if side != dying else [n for n in stream if n < lived])
    order = draw(st.permutations([A] * len(streams[A]) + [B] * len(streams[B])))
    places = [iter(streams[A]), iter(streams[B])]
    return [(side, next(places[side])) for side in order], count, dying, lived


@given(interleavings())
def test_every_trade_once_and_in_order_whichever_copy_dies(
    case: tuple[list[tuple[int, int]], int, int, int],
) -> None:
    arrivals, count, dying, _ = case
    copies = both()
    told: list[Step | Tape] = []
    for side, number in arrivals:
        told += copies.take(side, Tape([trade(number + 1)]), 0)
    told += copies.lost(dying, 0)
    assert numbers(told) == list(range(1, count + 1))


@given(interleavings(), st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_what_one_copy_lacks_the_other_gives_and_only_what_both_lack_is_a_gap(
    case: tuple[list[tuple[int, int]], int, int, int], lost_by_a: set[int], lost_by_b: set[int]
) -> None:
    arrivals, count, _, _ = case
    lost = (lost_by_a, lost_by_b)
    copies = both()
    told: list[Step | Tape] = []
    given_: set[int] = set()
    for side, number in arrivals:
        if number + 1 not in lost[side]:
            given_.add(number + 1)
            told += copies.take(side, Tape([trade(number + 1)]), 0)
    told += copies.advance(WAIT)
    heard = [n for n in numbers(told) if isinstance(n, int)]
    # What lies before the first trade of all that came is nobody's gap.
    assert heard == [n for n in sorted(given_) if n >= min(heard, default=0)]
    missing = sum(-int(n) for n in numbers(told) if isinstance(n, str))
    assert missing == (heard[-1] - heard[0] + 1 - len(heard) if heard else 0)
    assert count >= len(heard)


@given(interleavings())
def test_every_moment_once_and_in_order_whichever_copy_dies(
    case: tuple[list[tuple[int, int]], int, int, int],
) -> None:
    arrivals, count, dying, _ = case
    copies = both()
    told: list[Step | Tape] = []
    for side, minute in arrivals:
        told += copies.take(side, [bar(minute), bar(minute, ETH)], 0)
    told += copies.lost(dying, 0)
    assert bars_of(told) == [[(m, BTC), (m, ETH)] for m in range(count)]
    times = [step[0].time_ns for step in told]
    assert times == sorted(set(times))


def test_events_of_a_step_are_in_order_of_their_instrument() -> None:
    copies = both()
    copies.take(A, [bar(0), bar(0, ETH)], 0)
    copies.take(B, [bar(1, ETH)], 0)
    (step,) = copies.take(A, [bar(1)], 0)
    keys = [event.key for event in step if isinstance(event, Event)]
    assert keys == sorted(keys)
    assert len(keys) == 2
