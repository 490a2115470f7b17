"""Bars from trades: exact, by event time, and never told as whole when they may not be."""

from collections.abc import Iterable
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE as MINUTE
from goalkick.common.values.time import NS_PER_SECOND as SECOND
from goalkick.ingest.bars import Fate, TradeBars

D = Decimal
BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")
END = 3600 * SECOND


def trade(
    number: int | str, second: float, price: str = "5", quantity: str = "1", side: Side = Side.BUY
) -> TradePrinted:
    return TradePrinted(
        time_ns=int(second * SECOND),
        instrument=BTC,
        trade_id=str(number),
        price=D(price),
        quantity=D(quantity),
        side=side,
    )


def begun(*minutes: int, grace_s: float = 0, numbered: bool = True) -> TradeBars:
    """Bars of these lengths that know of everything since time 0."""
    bars = TradeBars(
        BTC,
        [m * MINUTE for m in minutes or (1,)],
        grace_ns=int(grace_s * SECOND),
        numbered=numbered,
    )
    bars.advance(0)
    return bars


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


def gaps(events: Iterable[Event]) -> list[tuple[str, float, float, int]]:
    """Stream, from and to in seconds, how many."""
    return [
        (g.stream, g.from_ns / SECOND, g.to_ns / SECOND, g.missing)
        for g in events
        if isinstance(g, GapDetected)
    ]


def ends(events: Iterable[Event]) -> list[tuple[int, int]]:
    return [shape[:2] for shape in shapes(events)]


class TestWhatABarSays:
    def test_first_highest_lowest_and_last_price_and_all_volume(self) -> None:
        bars = begun()
        for number, second, price, quantity in (
            (1, 1, "5", "0.1"),
            (2, 2, "9", "1"),
            (3, 3, "3", "2"),
            (4, 59.9, "4", "4"),
        ):
            assert bars.on_trade(trade(number, second, price, quantity)) == (Fate.COUNTED, [])
        assert shapes(bars.advance(MINUTE)) == [(1, 1, ["5", "9", "3", "4", "7.1"])]

    def test_count_quote_volume_and_what_takers_bought(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 1, "5", "0.1"))
        bars.on_trade(trade(2, 2, "9.5", "2", Side.SELL))
        bars.on_trade(trade(3, 3, "3", "0.7"), trades=4)
        (bar,) = bars.advance(MINUTE)
        assert isinstance(bar, BarClosed)
        assert (bar.trades, bar.quote_volume, bar.taker_volume) == (6, D("21.6"), D("0.8"))
        assert bar.vwap == D("21.6") / D("2.8")

    def test_a_trade_at_the_end_belongs_to_the_next_bar(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 0, "5"))
        told = bars.on_trade(trade(2, 60, "6")).told
        assert shapes(told) == [(1, 1, ["5", "5", "5", "5", "1"])]
        assert shapes(bars.advance(2 * MINUTE)) == [(2, 1, ["6", "6", "6", "6", "1"])]

    def test_a_span_without_trades_has_no_bar(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 0))
        assert ends(bars.on_trade(trade(2, 300)).told) == [(1, 1)]
        assert ends(bars.advance(END)) == [(6, 1)]

    def test_a_span_that_began_before_the_first_trade_is_left_out(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(1, 30))
        assert bars.on_trade(trade(2, 60)) == (Fate.COUNTED, [])
        assert ends(bars.advance(2 * MINUTE)) == [(2, 1)]

    def test_several_lengths_close_together_shorter_first(self) -> None:
        bars = begun(5, 1)
        bars.on_trade(trade(1, 0))
        bars.on_trade(trade(2, 290))
        assert ends(bars.advance(5 * MINUTE)) == [(5, 1), (5, 5)]


class TestTime:
    def test_a_bar_waits_for_the_grace_to_pass(self) -> None:
        bars = begun(grace_s=2)
        bars.on_trade(trade(1, 59))
        assert bars.advance(62 * SECOND - 1) == []
        assert bars.on_trade(trade(2, 59.5, "6")) == (Fate.COUNTED, [])
        assert shapes(bars.advance(62 * SECOND)) == [(1, 1, ["5", "6", "5", "6", "2"])]

    def test_the_next_bar_fills_meanwhile(self) -> None:
        bars = begun(grace_s=2)
        bars.on_trade(trade(1, 59, "5"))
        bars.on_trade(trade(2, 61, "7"))
        assert shapes(bars.on_trade(trade(3, 62, "8")).told) == [(1, 1, ["5", "5", "5", "5", "1"])]
        assert shapes(bars.advance(END)) == [(2, 1, ["7", "8", "7", "8", "2"])]

    def test_an_earlier_time_says_nothing(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 30))
        assert bars.advance(0) == []
        assert bars.on_trade(trade(2, 31)).fate is Fate.COUNTED

    def test_a_late_trade_is_counted_as_late_and_its_bar_stays_as_it_was_told(self) -> None:
        bars = begun(1, 5)
        bars.on_trade(trade(2, 30))
        assert ends(bars.advance(MINUTE)) == [(1, 1)]
        assert bars.on_trade(trade(1, 29, "9")) == (Fate.LATE, [])
        assert bars.late == 1
        assert shapes(bars.advance(5 * MINUTE)) == [(5, 5, ["9", "9", "5", "5", "2"])]

    def test_a_trade_of_before_the_beginning_is_not_late(self) -> None:
        bars = TradeBars(BTC, [MINUTE])
        bars.on_trade(trade(9, 90))
        assert bars.on_trade(trade(8, 20)).fate is Fate.COUNTED
        assert bars.late == 0


class TestMissingAndRepeated:
    @pytest.mark.parametrize("numbered", [True, False])
    def test_a_repeated_trade_is_counted_once(self, numbered: bool) -> None:
        bars = begun(numbered=numbered)
        bars.on_trade(trade(1, 1))
        bars.on_trade(trade(2, 2))
        assert bars.on_trade(trade(1, 1)) == (Fate.REPEATED, ())
        assert bars.on_trade(trade(2, 50, "99")) == (Fate.REPEATED, ())
        assert bars.repeated == 2
        assert shapes(bars.advance(MINUTE)) == [(1, 1, ["5", "5", "5", "5", "2"])]

    def test_bars_that_may_lack_a_trade_are_not_told_and_the_gap_is(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 30))
        bars.on_trade(trade(2, 61))
        told = [*bars.on_trade(trade(5, 179)).told, *bars.advance(END)]
        assert ends(told) == []
        assert gaps(told) == [
            ("trade", 61, 179 + 1e-9, 2),
            ("bar", 60, 120, 1),
            ("bar", 120, 180, 1),
        ]
        assert (bars.missing, bars.withheld) == (2, 2)

    def test_the_next_whole_bar_is_told_again(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 30))
        bars.on_trade(trade(3, 31))
        bars.on_trade(trade(4, 60))
        assert ends(bars.on_trade(trade(5, 120)).told) == [(2, 1)]

    def test_a_trade_that_was_overtaken_within_the_grace_leaves_no_gap(self) -> None:
        bars = begun(grace_s=5)
        bars.on_trade(trade(1, 30, "1"))
        bars.on_trade(trade(4, 33, "4"))
        bars.on_trade(trade(2, 31, "9"))
        bars.on_trade(trade(3, 32, "0.5"))
        told = bars.advance(END)
        assert shapes(told) == [(1, 1, ["1", "9", "0.5", "4", "4"])]
        assert gaps(told) == []

    def test_part_of_a_gap_that_is_filled_leaves_the_rest_of_it(self) -> None:
        bars = begun(grace_s=5)
        bars.on_trade(trade(1, 30))
        bars.on_trade(trade(6, 34))
        bars.on_trade(trade(3, 32))
        assert gaps(bars.advance(END)) == [
            ("trade", 30, 32 + 1e-9, 1),
            ("trade", 32, 34 + 1e-9, 2),
            ("bar", 0, 60, 1),
        ]

    def test_what_comes_out_of_a_gap_that_was_told_is_no_repetition(self) -> None:
        bars = begun()
        bars.on_trade(trade(1, 30))
        bars.on_trade(trade(4, 31))
        assert bars.on_trade(trade(2, 30.5)).fate is Fate.COUNTED
        assert bars.on_trade(trade(2, 30.5)).fate is Fate.REPEATED
        assert ends(bars.advance(END)) == []

    def test_a_gap_withholds_a_longer_bar_though_no_shorter_one(self) -> None:
        bars = begun(1, 5)
        bars.on_trade(trade(1, 30))
        assert ends(bars.advance(2 * MINUTE)) == [(1, 1)]
        told = [*bars.on_trade(trade(3, 130)).told, *bars.advance(5 * MINUTE)]
        assert gaps(told) == [("trade", 30, 130 + 1e-9, 1), ("bar", 120, 180, 1)]
        assert bars.withheld == 2

    def test_a_venues_letters_before_a_number_are_no_part_of_it(self) -> None:
        bars = begun()
        bars.on_trade(trade("a9", 30))
        bars.on_trade(trade("a10", 31))
        assert gaps(bars.on_trade(trade("a12", 32)).told) == [("trade", 31, 32 + 1e-9, 1)]

    def test_numbers_that_begin_anew_are_a_gap_of_unknown_size(self) -> None:
        bars = begun()
        bars.on_trade(trade(1000, 30))
        told = [*bars.on_trade(trade(1, 70)).told, *bars.on_trade(trade(2, 125)).told]
        assert gaps(told) == [
            ("trade", 30, 70 + 1e-9, 1),
            ("bar", 0, 60, 1),
            ("bar", 60, 120, 1),
        ]
        assert ends(bars.advance(END)) == [(3, 1)]

    def test_whoever_was_deaf_says_so_and_the_bars_of_that_time_are_withheld(self) -> None:
        bars = begun(numbered=False)
        bars.on_trade(trade("a", 30))
        bars.missed(40 * SECOND, 70 * SECOND)
        bars.on_trade(trade("b", 80))
        bars.on_trade(trade("c", 125))
        told = bars.advance(END)
        assert ends(told) == [(3, 1)]
        assert bars.withheld == 2

    def test_ids_that_are_not_numbered_are_remembered_for_a_while(self) -> None:
        bars = TradeBars(BTC, [MINUTE], numbered=False, remember=2)
        fates = [bars.on_trade(trade(name, 1)).fate for name in "abacb a".replace(" ", "")]
        assert fates == [
            Fate.COUNTED, Fate.COUNTED, Fate.REPEATED, Fate.COUNTED, Fate.REPEATED, Fate.COUNTED,
        ]  # fmt: skip

    @pytest.mark.parametrize("number", ["", "-1", "7a", "A7", "1.5", "٣"])
    def test_refuses_an_id_that_should_be_a_number(self, number: str) -> None:
        with pytest.raises(InvalidDataError, match="expected a number as the id of a trade"):
            begun().on_trade(trade(number, 1))


class TestRefusals:
    def test_refuses_another_instruments_trade(self) -> None:
        with pytest.raises(InvalidDataError, match="expected its trades"):
            TradeBars(ETH, [MINUTE]).on_trade(trade(0, 0))

    @pytest.mark.parametrize("intervals", [[], [0], [-1, MINUTE]])
    def test_refuses_lengths_that_are_none(self, intervals: list[int]) -> None:
        with pytest.raises(SettingsError, match="expected positive lengths"):
            TradeBars(BTC, intervals)

    def test_refuses_a_negative_grace(self) -> None:
        with pytest.raises(SettingsError, match="a grace of 0 or more"):
            TradeBars(BTC, [MINUTE], grace_ns=-1)


MADE = st.lists(
    st.tuples(st.integers(0, 1200), st.integers(1, 99), st.integers(1, 10**9), st.booleans()),
    max_size=60,
)


def made_trades(made: list[tuple[int, int, int, bool]]) -> list[TradePrinted]:
    """In order of time, numbered."""
    return [
        trade(number, second, str(price), str(D(lots).scaleb(-6)), Side.BUY if buy else Side.SELL)
        for number, (second, price, lots, buy) in enumerate(sorted(made))
    ]


def all_bars(bars: TradeBars, trades: Iterable[TradePrinted]) -> list[Event]:
    told: list[Event] = [event for one in trades for event in bars.on_trade(one).told]
    return [*told, *bars.advance(10 * END)]


@given(MADE, st.randoms(use_true_random=False))
def test_the_order_within_the_grace_makes_no_difference(
    made: list[tuple[int, int, int, bool]], random: Random
) -> None:
    trades = made_trades(made)
    shuffled = sorted(trades, key=lambda one: one.time_ns + random.randint(0, 29 * SECOND))
    expected = all_bars(begun(1, 5), trades)
    assert all_bars(begun(1, 5, grace_s=30), shuffled) == expected
    again = [one for one in shuffled for _ in range(2)]
    bars = begun(1, 5, grace_s=30)
    assert all_bars(bars, again) == expected
    assert (bars.repeated, bars.late, bars.missing) == (len(trades), 0, 0)


@given(MADE)
def test_volume_is_conserved_in_every_length(made: list[tuple[int, int, int, bool]]) -> None:
    trades = made_trades(made)
    told = all_bars(begun(1, 5), trades)
    for minutes in (1, 5):
        bars = [b for b in told if isinstance(b, BarClosed) and b.interval_ns == minutes * MINUTE]
        assert sum(b.trades or 0 for b in bars) == len(trades)
        assert sum((b.volume for b in bars), D(0)) == sum((t.quantity for t in trades), D(0))
        assert sum((b.quote_volume or D(0) for b in bars), D(0)) == sum(
            (t.price * t.quantity for t in trades), D(0)
        )


@given(MADE, st.sets(st.integers(0, 59)))
def test_a_bar_that_is_told_is_the_same_as_without_the_loss(
    made: list[tuple[int, int, int, bool]], lost: set[int]
) -> None:
    trades = made_trades(made)
    heard = [one for n, one in enumerate(trades) if n not in lost]
    inner = [n for n in lost if heard and int(heard[0].trade_id) < n < int(heard[-1].trade_id)]
    bars = begun(1, 5, grace_s=600)
    told = all_bars(bars, heard)
    assert bars.missing == len(inner)
    # Nothing tells of trades that are lost before the first or after the last one heard.
    there = [t for n, t in enumerate(trades) if n in inner or n not in lost]
    whole = {b.natural_key(): b for b in all_bars(begun(1, 5), there) if isinstance(b, BarClosed)}
    for event in told:
        if isinstance(event, BarClosed):
            assert whole[event.natural_key()] == event
    spans = [event for event in told if isinstance(event, GapDetected) and event.stream == "trade"]
    for n in inner:
        assert any(gap.from_ns <= trades[n].time_ns < gap.to_ns for gap in spans)
