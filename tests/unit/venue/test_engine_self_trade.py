"""What happens when an account would trade with itself, in each mode."""

from decimal import Decimal

import pytest

from goalkick.venue.engine.model import SelfTrade, Status, TimeInForce
from tests.unit.venue.engine_desk import Desk


def crossing(mode: SelfTrade, tif: TimeInForce = TimeInForce.GTC) -> tuple[Desk, list[Status]]:
    """Ann's own sell lies between two of Eve's; Ann buys three. The states: hers, then theirs."""
    desk = Desk()
    first = desk.place("eve", "sell", "1", "100")
    own = desk.place("ann", "sell", "1", "100")
    last = desk.place("eve", "sell", "1", "101")
    taker = desk.place("ann", "buy", "3", "101", stp=mode, tif=tif)
    return desk, [desk.now(order).status for order in (taker, first, own, last)]


@pytest.mark.parametrize(
    ("mode", "states", "bids", "asks"),
    [
        (
            SelfTrade.NONE,
            [Status.FILLED, Status.FILLED, Status.FILLED, Status.FILLED],
            [],
            [],
        ),
        (
            SelfTrade.EXPIRE_TAKER,
            [Status.EXPIRED_IN_MATCH, Status.FILLED, Status.NEW, Status.NEW],
            [],
            [("100", "1"), ("101", "1")],
        ),
        (
            SelfTrade.EXPIRE_MAKER,
            [Status.PARTIALLY_FILLED, Status.FILLED, Status.EXPIRED_IN_MATCH, Status.FILLED],
            [("101", "1")],
            [],
        ),
        (
            SelfTrade.EXPIRE_BOTH,
            [Status.EXPIRED_IN_MATCH, Status.FILLED, Status.EXPIRED_IN_MATCH, Status.NEW],
            [],
            [("101", "1")],
        ),
    ],
)
def test_mode_of_the_taker_says_who_ends(
    mode: SelfTrade, states: list[Status], bids: list[object], asks: list[object]
) -> None:
    desk, found = crossing(mode)
    assert found == states
    assert desk.book() == (bids, asks)


@pytest.mark.parametrize("mode", [m for m in SelfTrade if m is not SelfTrade.NONE])
def test_no_trade_with_oneself_and_nothing_stays_locked(mode: SelfTrade) -> None:
    desk, _ = crossing(mode)
    assert {fill.maker for fill in desk.exchange.fills("ann")} == {False}
    desk.exchange.cancel_all("ann", desk.instrument)
    assert desk.balance("ann", "USDT")[1] == desk.balance("ann", "BTC")[1] == 0


@pytest.mark.parametrize("mode", list(SelfTrade))
def test_all_or_nothing_counts_only_what_it_may_trade_with(mode: SelfTrade) -> None:
    _, found = crossing(mode, TimeInForce.FOK)
    if mode is SelfTrade.NONE:
        assert found == [Status.FILLED] * 4
    else:
        assert found == [Status.EXPIRED, Status.NEW, Status.NEW, Status.NEW]


def test_market_order_by_quote_passes_its_own_orders() -> None:
    desk = Desk()
    desk.place("eve", "sell", "1", "100")
    own = desk.place("ann", "sell", "1", "105")
    desk.place("eve", "sell", "1", "200")
    taker = desk.place("ann", "buy", None, quote="111", stp=SelfTrade.EXPIRE_MAKER)
    assert (taker.status, taker.executed) == (Status.FILLED, Decimal(1))
    assert desk.now(own).status is Status.EXPIRED_IN_MATCH
    assert desk.life(taker)[-1] == "filled"
