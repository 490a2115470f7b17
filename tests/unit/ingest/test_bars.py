"""Bars from trades and from shorter bars: exact, aligned, nothing invented, nothing lost."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.bars import LongerBars, TradeBars

D = Decimal
BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")


def trade(second: float, price: str, quantity: str = "1", number: int = 0) -> TradePrinted:
    return TradePrinted(
        time_ns=int(second * NS_PER_SECOND),
        instrument=BTC,
        trade_id=str(number),
        price=D(price),
        quantity=D(quantity),
        side=Side.BUY,
    )


def bar(minute: int, price: str | int = 1, instrument: InstrumentId = BTC, **o: str) -> BarClosed:
    """A one-minute bar that opens at `minute`."""
    cells = {name: D(o.get(name, price)) for name in ("open", "high", "low", "close")}
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


class TestFromTrades:
    def test_a_bar_has_the_first_highest_lowest_and_last_price_and_all_volume(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        assert bars.advance(0) == []
        for second, price, quantity in (
            (1, "5", "0.1"),
            (2, "9", "1"),
            (3, "3", "2"),
            (59.9, "4", "4"),
        ):
            assert bars.on_trade(trade(second, price, quantity)) == []
        assert shapes(bars.advance(MINUTE)) == [(1, 1, ["5", "9", "3", "4", "7.1"])]

    def test_a_trade_at_the_end_belongs_to_the_next_bar(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(0, "5"))
        assert shapes(bars.on_trade(trade(60, "6"))) == [(1, 1, ["5", "5", "5", "5", "1"])]
        assert shapes(bars.advance(2 * MINUTE)) == [(2, 1, ["6", "6", "6", "6", "1"])]

    def test_a_span_without_trades_has_no_bar(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(0, "5"))
        assert [b.time_ns for b in bars.on_trade(trade(300, "6"))] == [MINUTE]
        assert [b.time_ns for b in bars.advance(3600 * NS_PER_SECOND)] == [6 * MINUTE]

    def test_a_span_that_began_before_the_first_trade_is_left_out(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(30, "5"))
        assert bars.on_trade(trade(60, "6")) == []
        assert [b.time_ns for b in bars.advance(2 * MINUTE)] == [2 * MINUTE]

    def test_several_lengths_close_together_shorter_first(self) -> None:
        bars = TradeBars(BTC, [5 * MINUTE, MINUTE])
        bars.on_trade(trade(0, "5"))
        bars.on_trade(trade(290, "7"))
        assert [(b.time_ns, b.interval_ns) for b in bars.advance(5 * MINUTE)] == [
            (5 * MINUTE, MINUTE),
            (5 * MINUTE, 5 * MINUTE),
        ]

    def test_refuses_what_is_earlier_than_what_was_seen(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(5, "5"))
        with pytest.raises(InvalidDataError, match="expected nothing before"):
            bars.on_trade(trade(4, "5"))

    def test_refuses_another_instruments_trade(self) -> None:
        with pytest.raises(InvalidDataError, match="expected its trades"):
            TradeBars(ETH, [MINUTE]).on_trade(trade(0, "5"))

    @pytest.mark.parametrize("intervals", [[], [0], [-1, MINUTE]])
    def test_refuses_lengths_that_are_none(self, intervals: list[int]) -> None:
        with pytest.raises(SettingsError, match="expected positive lengths"):
            TradeBars(BTC, intervals)

    @given(
        st.lists(
            st.tuples(st.integers(0, 1200), st.integers(1, 99), st.integers(1, 10**9)), max_size=60
        )
    )
    def test_volume_is_conserved_and_lengths_agree(self, made: list[tuple[int, int, int]]) -> None:
        bars = TradeBars(BTC, [MINUTE, 5 * MINUTE])
        closed = bars.advance(0)
        for second, price, lots in sorted(made):
            quantity = str(D(lots).scaleb(-6))
            closed += bars.on_trade(trade(second, str(price), quantity))
        closed += bars.advance(3600 * NS_PER_SECOND)
        total = sum((D(lots).scaleb(-6) for _, _, lots in made), D(0))
        for minutes in (1, 5):
            assert sum((b.volume for b in of_length([closed], minutes)), D(0)) == total
        shorter = [[b] for b in of_length([closed], 1)]
        from_bars = LongerBars([5 * MINUTE])
        # A bar at zero starts the count: bars from trades know that nothing was before.
        steps: list[Step] = [[bar(-1)], *shorter, [gap(3600, 1)]]
        built = [whole for step in steps for whole in from_bars.add(step)]
        assert of_length(built, 5) == of_length([closed], 5)


class TestFromShorterBars:
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
