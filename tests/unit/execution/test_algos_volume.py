"""POV: never more than its share of what the market trades; volume is counted once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.market import BarClosed, GapDetected, QuoteChanged, TradePrinted
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.hearing import heard_from
from goalkick.execution.algos.model import Leftover, QuoteSeen, VolumeSeen
from tests.unit.execution.algo_market import MINUTE, RULES, START, D, Market, parent


def pov(quantity: str = "10", **params: Any) -> Market:
    market = Market("pov", parent(quantity), {"rate": "0.1", **params})
    market.cap = D(str(params.get("max_participation", "0.1")))
    return market


def test_follows_the_volume_at_its_rate() -> None:
    market = pov()
    market.wait(0)
    assert market.placed == []
    market.trade(20)
    market.fill(0)
    market.trade("5.5")
    assert [child.quantity for child in market.placed] == [D(2), D("0.55")]


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(0, 3)),
        max_size=40,
    )
)
def test_its_share_is_never_above_the_cap(trades: list[tuple[int, int]]) -> None:
    market = pov("3", max_participation="0.15")
    for lots, fills in trades:
        market.trade(lots * D("0.01"))
        for child in market.open[:fills]:
            market.fill(child)
    assert market.sums(protective=False)[0] <= market.volume * D("0.15")


def test_the_cap_lets_the_last_child_take_a_small_rest() -> None:
    market = pov("1.02", max_participation="0.2")
    market.trade(10)
    assert [child.quantity for child in market.placed] == [D("1.02")]


def test_where_the_cap_forbids_that_enough_is_left_for_one_more_child() -> None:
    market = pov("1.02")
    market.trade(10)
    market.trade(10)
    assert [child.quantity for child in market.placed] == [D("0.97"), D("0.05")]
    short = pov("0.09")
    short.trade("0.7")
    assert short.placed == [], "0.07 now would leave 0.02, which nobody takes"
    short.trade("0.2")
    assert [child.quantity for child in short.placed] == [D("0.09")]


def test_a_finish_leaves_what_the_cap_forbids() -> None:
    market = pov("0.09", finish="market")
    market.trade("0.7")
    market.wait(600)
    market.fill(0)
    assert market.measurement is not None
    assert market.measurement.filled == D("0.07")
    assert market.measurement.leftover_code == Leftover.BELOW_MINIMUM


def test_children_have_a_least_and_a_largest_size() -> None:
    market = pov(min_child=1, max_child=2)
    market.trade(9)
    assert market.placed == []
    market.trade(21)
    assert [child.quantity for child in market.placed] == [D(2)]
    market.wait(1)
    assert [child.quantity for child in market.placed] == [D(2), D(1)]


def test_a_least_size_does_not_hold_the_last_child_back() -> None:
    market = pov("0.5", min_child=1)
    market.trade(5)
    market.fill(0)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.NOTHING


def test_what_was_held_back_by_too_little_volume_is_said() -> None:
    market = pov()
    market.trade(10)
    market.fill(0)
    market.wait(600)
    assert market.measurement is not None
    assert market.measurement.leftover == 9
    assert market.measurement.leftover_code == Leftover.PARTICIPATION_CAP


def test_volume_before_the_start_does_not_count() -> None:
    market = pov()
    market.tell(VolumeSeen(time_ns=START + 1, from_ns=START - 1, quantity=D(99), price=D(100)))
    assert market.placed == []


def test_bars_and_trades_of_the_same_time_are_counted_once() -> None:
    market = pov()
    market.now_ns = START + MINUTE
    market.trade(10)
    bar = VolumeSeen(time_ns=START + MINUTE, from_ns=START, quantity=D(10), price=D(100))
    market.tell(bar)
    market.tell(bar)
    assert [child.quantity for child in market.placed] == [D(1)]


def test_two_trades_at_one_time_both_count() -> None:
    market = pov()
    market.trade(10)
    market.trade(10)
    assert [child.quantity for child in market.placed] == [D(1), D(1)]


@pytest.mark.parametrize(
    "params", [{"rate": "0.2", "max_participation": "0.1"}, {"min_child": 2, "max_child": 1}]
)
def test_bounds_that_contradict_each_other_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match="expected max_"):
        build_algo("pov", parent(), params)


def test_market_events_say_to_an_algo_what_it_needs() -> None:
    about: dict[str, Any] = {"time_ns": START + MINUTE, "instrument": RULES.id}
    trade = TradePrinted(**about, trade_id="1", price=D(99), quantity=D(2), side=Side.BUY)
    bar = BarClosed(
        **about, interval_ns=MINUTE, open=D(1), high=D(2), low=D(1), close=D(2), volume=D(7)
    )
    quote = QuoteChanged(**about, bid=D(1), bid_quantity=D(1), ask=D(2), ask_quantity=D(1))
    gap = GapDetected(**about, from_ns=0, to_ns=1, missing=1, stream="bar")
    assert heard_from(trade) == VolumeSeen(
        time_ns=START + MINUTE, from_ns=START + MINUTE, quantity=D(2), price=D(99)
    )
    assert heard_from(bar) == VolumeSeen(
        time_ns=START + MINUTE, from_ns=START, quantity=D(7), price=D(2)
    )
    assert heard_from(quote) == QuoteSeen(time_ns=START + MINUTE, bid=D(1), ask=D(2))
    assert heard_from(gap) is None
