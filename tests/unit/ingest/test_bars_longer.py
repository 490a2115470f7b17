"""Longer bars from shorter ones: exact, aligned, nothing invented, nothing lost."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.aggregate import live_with_intervals
from goalkick.ingest.longer_bars import LongerBars

D = Decimal
BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")


def bar(minute: int, price: str | int = 1, instrument: InstrumentId = BTC, **o: str) -> BarClosed:
    """A one-minute bar that opens at `minute`."""
    cells: dict[str, Any] = {
        name: D(o.get(name, price)) for name in ("open", "high", "low", "close")
    }
    return BarClosed(
        time_ns=(minute + 1) * MINUTE,
        instrument=instrument,
        interval_ns=MINUTE,
        volume=D(o.get("volume", 1)),
        **cells,
    )


def gap(minute: int, missing: int, instrument: InstrumentId = BTC) -> GapDetected:
    """A gap that ends where the bar of `minute` opens."""
    return GapDetected(
        time_ns=(minute + 1) * MINUTE,
        instrument=instrument,
        from_ns=(minute - missing) * MINUTE,
        to_ns=minute * MINUTE,
        missing=missing,
        stream="bar",
    )


def shapes(events: Iterable[Event]) -> list[tuple[int, int, list[str]]]:
    """End and length in minutes, then open, high, low, close and volume."""
    return [
        (
            b.time_ns // MINUTE,
            b.interval_ns // MINUTE,
            [str(x) for x in (b.open, b.high, b.low, b.close, b.volume)],
        )
        for b in events
        if isinstance(b, BarClosed)
    ]


def lengths(events: Iterable[Event]) -> list[tuple[str, int]]:
    return [(e.key, e.interval_ns // MINUTE) for e in events if isinstance(e, BarClosed)]


def feed_of(minutes: Mapping[InstrumentId, Collection[int]]) -> list[Step]:
    """Steps of one-minute bars that open at these minutes, with their gaps, in order of time."""
    steps: list[Step] = []
    last: dict[InstrumentId, int] = {}
    for m in range(1 + max(max(there, default=0) for there in minutes.values())):
        step: list[Event] = []
        for name in sorted(minutes):
            if m in minutes[name]:
                if name in last and last[name] < m - 1:
                    step.append(gap(m, m - 1 - last[name], name))
                step.append(bar(m, 1 + m * 7 % 11, name, high="12", volume=f"{m}.25"))
                last[name] = m
        if step:
            steps.append(step)
    return steps


def longer(steps: Sequence[Step], *minutes: int) -> list[Step]:
    bars = LongerBars([minute * MINUTE for minute in minutes])
    return [whole for step in steps for whole in bars.add(step)]


def of_length(steps: Sequence[Step], minutes: int) -> list[BarClosed]:
    return [
        event
        for step in steps
        for event in step
        if isinstance(event, BarClosed) and event.interval_ns == minutes * MINUTE
    ]


class TestLongerBars:
    def test_a_longer_bar_is_what_its_parts_are_together(self) -> None:
        steps = longer(
            [
                [bar(0, 5, high="6", low="4", volume="0.5")],
                [bar(1, 7, high="9", low="5")],
                [bar(2, 3, high="3.5", low="2", volume="0")],
                [bar(3, 3)],
                [bar(4, 3, close="3.2", high="3.3")],
            ],
            5,
        )
        assert shapes(of_length(steps, 5)) == [(5, 5, ["5", "9", "2", "3.2", "3.5"])]

    def test_it_comes_after_the_shorter_one_of_its_instrument_in_the_same_step(self) -> None:
        steps = longer([[bar(m), bar(m, instrument=ETH)] for m in range(15)], 15, 5)
        assert lengths(steps[-1]) == [
            (BTC, 1), (BTC, 5), (BTC, 15), (ETH, 1), (ETH, 5), (ETH, 15),
        ]  # fmt: skip
        assert [len(step) for step in steps] == [2, 2, 2, 2, 4, 2, 2, 2, 2, 4, 2, 2, 2, 2, 6]

    def test_it_lies_on_multiples_of_its_length(self) -> None:
        steps = longer([[bar(m)] for m in range(7, 32)], 10)
        assert [b.open_time_ns // MINUTE for b in of_length(steps, 10)] == [10, 20]

    def test_over_a_gap_it_is_made_of_what_is_there_and_the_gap_is_passed_on(self) -> None:
        steps = longer([[bar(0)], [bar(1, 4)], [gap(4, 2), bar(4, 2)]], 5)
        assert [type(event) for event in steps[-1]] == [GapDetected, BarClosed, BarClosed]
        assert shapes(of_length(steps, 5)) == [(5, 5, ["1", "4", "1", "2", "3"])]

    def test_it_ends_in_its_time_when_its_last_part_is_missing(self) -> None:
        steps = longer([[bar(0)], [bar(1, 4)], [gap(12, 10), bar(12, 2)]], 5)
        assert [step[0].time_ns // MINUTE for step in steps] == [1, 2, 5, 13]
        assert shapes(steps[2]) == [(5, 5, ["1", "4", "1", "4", "2"])]

    def test_another_instruments_step_ends_it_too(self) -> None:
        other = [[bar(m, instrument=ETH)] for m in range(2, 5)]
        steps = longer(
            [[bar(0), bar(0, instrument=ETH)], [bar(1), bar(1, instrument=ETH)], *other], 5
        )
        assert lengths(steps[-1]) == [
            (BTC, 5), (ETH, 1), (ETH, 5),
        ]  # fmt: skip

    def test_a_span_that_is_missing_whole_has_no_longer_bar(self) -> None:
        steps = longer([*([bar(m)] for m in range(5)), [gap(15, 10), bar(15)]], 5)
        assert [b.time_ns // MINUTE for b in of_length(steps, 5)] == [5]

    def test_only_the_shortest_bars_of_an_instrument_are_counted(self) -> None:
        steps = longer(longer([[bar(m)] for m in range(15)], 5), 15)
        assert [b.volume for b in of_length(steps, 15)] == [15]

    def test_what_all_parts_tell_is_summed_up(self) -> None:
        told = {"trades": 2, "quote_volume": D("1.5"), "taker_volume": D("0.25")}
        parts = [msgspec.structs.replace(bar(m), **told) for m in range(5)]
        whole = of_length(longer([[part] for part in parts], 5), 5)[0]
        assert (whole.trades, whole.quote_volume, whole.taker_volume) == (10, D("7.5"), D("1.25"))

    @pytest.mark.parametrize("untold", ["trades", "quote_volume", "taker_volume"])
    def test_what_one_part_does_not_tell_nobody_knows_of_the_whole(self, untold: str) -> None:
        told = {"trades": 2, "quote_volume": D("1.5"), "taker_volume": D("0.25")}
        parts = [msgspec.structs.replace(bar(m), **told) for m in range(5)]
        parts[2] = msgspec.structs.replace(parts[2], **{untold: None})
        whole = of_length(longer([[part] for part in parts], 5), 5)[0]
        assert [name for name in told if getattr(whole, name) is None] == [untold]

    def test_refuses_bars_whose_length_does_not_divide_the_longer(self) -> None:
        with pytest.raises(InvalidDataError, match="whose length divides 90s, found 1m"):
            LongerBars([90 * NS_PER_SECOND]).add([bar(0)])
        with pytest.raises(InvalidDataError, match="whose length divides 1m, found 1m"):
            LongerBars([MINUTE]).add([bar(0)])

    @given(
        st.lists(st.integers(0, 90), unique=True, min_size=1),
        st.lists(st.integers(0, 90), unique=True),
    )
    @example(list(range(61)), [])
    @example([0, 1, 2, 14, 40], [0, 3, 60])
    def test_one_to_five_to_fifteen_is_one_to_fifteen_and_volume_is_conserved(
        self, minutes: list[int], others: list[int]
    ) -> None:
        end = 600
        steps = feed_of({BTC: {*minutes, end}, ETH: {*others, end}})
        both = longer(steps, 5, 15)
        only_fives: list[Step] = [
            kept
            for step in longer(steps, 5)
            if (kept := [e for e in step if not isinstance(e, BarClosed) or e.interval_ns > MINUTE])
        ]
        chained = longer(only_fives, 15)
        times = [step[0].time_ns for step in both]
        assert times == sorted(set(times))
        for name, there in ((BTC, minutes), (ETH, others)):
            direct = [b for b in of_length(both, 15) if b.instrument == name]
            by_steps = [b for b in of_length(chained, 15) if b.instrument == name]
            assert by_steps == direct
            whole_from = -(-min(there, default=end) // 15) * 15
            parts = [D(f"{m}.25") for m in there if m >= whole_from]
            assert sum((b.volume for b in direct), D(0)) == sum(parts, D(0))


class Lines:
    """A live feed that says what it was given."""

    def __init__(self, lines: Sequence[Step | Tape]) -> None:
        self._lines = lines

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        for line in self._lines:
            yield line

    def close(self) -> None: ...


async def test_the_tape_passes_a_live_feed_untouched() -> None:
    early = Tape((bar(100),))  # whatever it holds, it is no step
    lines: list[Step | Tape] = [[bar(m)] for m in range(4)]
    feed = live_with_intervals(Lines([*lines, early, [bar(4)]]), [5 * MINUTE])
    told = [step async for step in feed.steps()]
    assert [step for step in told if isinstance(step, Tape)] == [early]
    assert lengths(told[-1]) == [(BTC, 1), (BTC, 5)]


async def test_a_longer_bar_whose_last_part_is_missing_is_told_before_a_promise_past_its_end() -> (
    None
):
    end_ns = 5 * MINUTE
    promises = [Quiet.until(end_ns - 1), Quiet.until(end_ns + 1)]
    feed = live_with_intervals(
        Lines([*([bar(m)] for m in range(4)), *promises, [bar(5)]]), [5 * MINUTE]
    )
    told = [step async for step in feed.steps()]
    assert told[4] is promises[0]
    assert [event.time_ns for event in told[5]] == [end_ns]
    assert lengths(told[5]) == [(BTC, 5)]
    assert told[6] is promises[1]
    assert lengths(told[7]) == [(BTC, 1)]
