"""OCO and bracket: what protects is always what is held, and never both legs beyond it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.execution.algos.catalogue import build_algo
from goalkick.execution.algos.model import ChildEnd, Leftover
from tests.unit.execution.algo_market import D, Market, parent

EXITS: dict[str, Any] = {"stop_price": 95, "take_profit": 105}


def oco(**params: Any) -> Market:
    market = Market("oco", parent(side=Side.SELL), {**EXITS, **params})
    market.wait(0)
    return market


def bracket(about: dict[str, Any] | None = None, **params: Any) -> Market:
    market = Market("bracket", parent(**(about or {})), {**EXITS, **params})
    market.wait(0)
    return market


def exits(market: Market) -> list[tuple[OrderKind, Any]]:
    """(kind, quantity) of every exit that is in the market."""
    return [
        (market.orders[child].placed.kind, market.orders[child].working)
        for child in market.open
        if market.orders[child].placed.protective
    ]


def cancel(market: Market) -> None:
    """The venue cancels what it was asked to."""
    for child in market.cancelled:
        if market.orders[child].working:
            market.end(child)


# --- OCO


def test_the_stop_rests_at_the_venue() -> None:
    market = oco()
    (stop,) = market.placed
    assert (stop.kind, stop.stop_price, stop.limit_price) == (OrderKind.STOP, D(95), None)
    assert (stop.quantity, stop.side, stop.protective) == (D(10), Side.SELL, False)


def test_the_take_profit_takes_the_stops_place_when_that_has_ended() -> None:
    market = oco()
    market.quote("105", "105.1")
    assert market.cancelled == [0]
    assert len(market.placed) == 1
    market.end(0)
    profit = market.placed[-1]
    assert (profit.kind, profit.limit_price, profit.quantity) == (OrderKind.LIMIT, D(105), D(10))
    market.fill(1)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.NOTHING
    assert market.measurement.emulated


def test_a_stop_that_trades_while_it_is_cancelled_leaves_only_the_rest_to_the_profit() -> None:
    market = oco()
    market.quote("105", "105.1")
    market.fill(0, "7", "95")
    cancel(market)
    assert market.placed[-1].quantity == 3
    market.fill(1)
    assert market.measurement is not None
    assert market.measurement.filled == 10


def test_a_stop_that_trades_whole_while_it_is_cancelled_is_the_end() -> None:
    market = oco()
    market.quote("105", "105.1")
    market.fill(0, price="95")
    assert market.measurement is not None
    assert len(market.placed) == 1


def test_half_way_back_the_stop_rests_again() -> None:
    market = oco()
    market.quote("105", "105.1")
    cancel(market)
    market.fill(1, "2", "105")
    market.quote("101", "101.1")
    assert market.cancelled == [0]
    market.quote("100", "100.1")
    cancel(market)
    assert market.placed[-1].kind is OrderKind.STOP
    assert market.placed[-1].quantity == 8


def test_a_crash_while_the_profit_rests_leaves_at_the_market() -> None:
    market = oco()
    market.quote("105", "105.1")
    cancel(market)
    market.quote("94", "94.1")
    cancel(market)
    assert market.placed[-1].kind is OrderKind.MARKET
    market.quote("106", "106.1")
    assert len(market.placed) == 3, "what has begun to leave leaves"
    market.fill(2, price="94")
    assert market.measurement is not None


def test_a_stop_that_is_refused_because_its_price_is_reached_leaves_at_the_market() -> None:
    market = oco()
    market.quote("94", "94.1")
    market.end(0, ChildEnd.REJECTED, "would trigger")
    assert market.placed[-1].kind is OrderKind.MARKET


def test_a_stop_that_the_venue_does_not_take_is_watched_here() -> None:
    market = oco(max_failures=2)
    market.quote("100", "100.1")
    market.end(0, ChildEnd.REJECTED, "no such kind")
    market.wait(1)
    market.end(1, ChildEnd.REJECTED, "no such kind")
    market.wait(60)
    assert market.open == []
    market.quote("95", "95.1")
    assert market.placed[-1].kind is OrderKind.MARKET
    market.fill(2)
    assert market.measurement is not None
    assert "no such kind" in market.measurement.detail


def test_market_orders_that_nobody_takes_are_given_up_and_said() -> None:
    market = oco(max_failures=2)
    market.quote("94", "94.1")
    for child in range(3):
        market.end(child, ChildEnd.REJECTED, "no money")
        market.wait(1)
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.REJECTED


def test_both_go_when_time_is_up() -> None:
    market = oco()
    market.wait(600)
    cancel(market)
    assert market.measurement is not None
    assert market.measurement.leftover == 10


def test_an_oco_that_buys_is_its_mirror() -> None:
    market = Market("oco", parent(), {"stop_price": 105, "take_profit": 95})
    market.wait(0)
    market.quote("94.9", "95")
    cancel(market)
    assert market.placed[-1].limit_price == D(95)
    market.quote("105", "105.1")
    cancel(market)
    assert market.placed[-1].kind is OrderKind.MARKET


# --- bracket


def test_every_part_of_the_entry_is_protected_at_once() -> None:
    market = bracket()
    assert exits(market) == []
    market.fill(0, "4")
    assert exits(market) == [(OrderKind.STOP, D(4))]
    market.fill(0, "6")
    assert exits(market) == [(OrderKind.STOP, D(4)), (OrderKind.STOP, D(6))]
    assert {c.side for c in market.placed if c.protective} == {Side.SELL}


def test_parts_are_joined_where_the_venue_bounds_how_many_stops_wait() -> None:
    market = bracket(max_orders=2)
    for quantity in ("3", "4", "2"):
        market.fill(0, quantity)
    assert exits(market) == [(OrderKind.STOP, D(3)), (OrderKind.STOP, D(4))]
    market.wait(1)
    cancel(market)
    assert exits(market) == [(OrderKind.STOP, D(4)), (OrderKind.STOP, D(5))]
    market.fill(0)
    cancel(market)
    assert exits(market) == [(OrderKind.STOP, D(5)), (OrderKind.STOP, D(5))]


def test_a_last_part_too_small_for_a_stop_is_joined_to_one() -> None:
    market = bracket()
    market.fill(0, "9.98")
    market.fill(0, "0.02")
    assert exits(market) == [(OrderKind.STOP, D("9.98"))]
    cancel(market)
    assert exits(market) == [(OrderKind.STOP, D(10))]


def test_the_first_exit_ends_the_entry() -> None:
    market = bracket({"limit_price": D(100)})
    market.fill(0, "4")
    market.fill(1, "1", "95")
    assert market.cancelled == [0]
    cancel(market)
    market.fill(1, price="95")
    assert market.measurement is not None
    assert market.measurement.filled == 4
    assert market.measurement.exit_filled == 4
    assert market.measurement.exit_average_price == 95
    assert market.measurement.unprotected == 0


def test_what_is_entered_while_the_entry_is_cancelled_is_protected_too() -> None:
    market = bracket({"limit_price": D(100)})
    market.fill(0, "4")
    market.quote("105", "105.1")
    assert market.cancelled == [1, 0]
    market.fill(0, "3")
    assert exits(market) == [(OrderKind.STOP, D(4)), (OrderKind.LIMIT, D(3))]
    cancel(market)
    assert exits(market) == [(OrderKind.LIMIT, D(3)), (OrderKind.LIMIT, D(4))]


def test_time_ends_the_entry_and_not_the_protection() -> None:
    market = bracket({"limit_price": D(100)})
    market.fill(0, "4")
    market.wait(600)
    assert market.cancelled == [0]
    cancel(market)
    assert market.measurement is None
    assert exits(market) == [(OrderKind.STOP, D(4))]
    market.fill(1, price="95")
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.TIME_UP


def test_a_stopped_bracket_says_what_has_no_exit() -> None:
    market = bracket()
    market.fill(0, "4")
    market.stop()
    cancel(market)
    assert market.measurement is not None
    assert market.measurement.unprotected == 4
    assert market.measurement.leftover_code == Leftover.STOPPED


def test_fees_that_are_paid_in_what_was_bought_are_not_sold() -> None:
    market = bracket()
    market.fill(0, fee="0.01", currency="BTC")
    assert exits(market) == [(OrderKind.STOP, D("9.99"))]
    market.fill(1, price="95", fee="1", currency="USDT")
    assert market.measurement is not None
    assert market.measurement.fees == {"BTC": D("0.01"), "USDT": D(1)}
    assert market.measurement.unprotected == 0


def test_an_entry_that_the_venue_does_not_take_ends_a_bracket_that_holds_nothing() -> None:
    market = bracket(max_failures=1)
    market.end(0, ChildEnd.REJECTED, "no money")
    assert market.measurement is not None
    assert market.measurement.leftover_code == Leftover.REJECTED
    assert "no money" in market.measurement.detail


def test_an_entry_under_a_cap_grows_with_the_volume() -> None:
    market = bracket(max_participation="0.1")
    market.cap = D("0.1")
    assert market.placed == []
    market.trade(20)
    market.trade(10)
    assert [child.quantity for child in market.placed] == [D(2), D(1)]


STEP = st.tuples(st.integers(0, 6), st.integers(1, 30), st.integers(0, 8))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, min_size=5, max_size=60))
def test_what_protects_is_what_is_held_once_cancels_are_done(
    steps: list[tuple[int, int, int]],
) -> None:
    """Whenever nothing is on its way: open exits = entered - left again, to the lot.

    After so many failures that it gives up, it watches the stop itself; here it never does.
    """
    market = bracket({"limit_price": D(100)}, max_failures=1000)
    for what, size, which in steps:
        if market.measurement is not None:
            break
        still = market.open
        if what == 0:
            market.quote(D(92) + size // 2, D(107))
        elif what == 1:
            market.wait(size)
        elif still:
            child = still[which % len(still)]
            left = market.orders[child].working
            if what in (2, 3):
                market.fill(
                    child, min(left, max(D("0.05"), (left * size / 30).quantize(D("0.01"))))
                )
            elif what == 4:
                market.fill(child)
            elif what == 5 and market.orders[child].placed.protective:
                market.end(child, ChildEnd.EXPIRED)
                market.wait(1)
        for _ in range(5):
            cancel(market)
        entered, _ = market.sums(protective=False)
        left_again, open_exits = market.sums(protective=True)
        uncovered = entered - left_again - open_exits
        assert 0 <= uncovered < D("0.06"), "more than the venue's minimum has no exit"


@pytest.mark.parametrize(
    ("name", "about", "params", "words"),
    [
        ("oco", {"side": Side.SELL}, {"stop_price": 105, "take_profit": 95}, "above the stop"),
        ("oco", {}, {"stop_price": 95, "take_profit": 105}, "below the stop"),
        ("oco", {"side": Side.SELL, "limit_price": D(1)}, EXITS, "no limit price"),
        ("oco", {"side": Side.SELL}, {**EXITS, "stop_price": "95.01"}, "multiples of"),
        ("oco", {"side": Side.SELL}, {**EXITS, "max_participation": "0.1"}, "max_participation"),
        ("bracket", {}, {"stop_price": 105, "take_profit": 95}, "above the stop"),
        ("bracket", {"limit_price": D(110)}, EXITS, "between 95 and 105"),
    ],
)
def test_exits_that_make_no_sense_are_refused(
    name: str, about: dict[str, Any], params: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidDataError, match=words):
        build_algo(name, parent(**about), params)
