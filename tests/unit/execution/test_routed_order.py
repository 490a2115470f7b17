"""An order with parts on several venues is told of as one; what a venue's account can trade."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Side
from goalkick.common.events.venue import (
    VenueAccepted,
    VenueClosed,
    VenueNotFound,
    VenueOrderEvent,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.execution.venues.routed_order import RoutedOrder
from goalkick.execution.venues.venue_standing import VenueStanding

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")


def about(kind: type[Any], **fields: Any) -> Any:
    return kind(time_ns=1, client_order_id=ClientOrderId("gk-1"), instrument=BTC, **fields)


def traded(trade_id: str, quantity: str, side: Side = Side.BUY, price: str = "100") -> VenueTraded:
    told: VenueTraded = about(
        VenueTraded,
        trade_id=trade_id,
        venue_time_ns=1,
        side=side,
        quantity=D(quantity),
        price=D(price),
        fee=D("0.1"),
        fee_currency="USDT",
        slippage=D(0),
    )
    return told


accepted = about(VenueAccepted, venue_order_id="7")
lost = about(VenueUnreachable, reason="no answer")
gone = about(VenueNotFound)
rejected = about(VenueRejected, reason="no funds")
expired = about(VenueClosed, cancelled=False, reason="expired")
cancelled = about(VenueClosed, cancelled=True, reason="")

SENT = {"east": D(2), "west": D(1)}
BEFORE = {"east": None, "west": None}
T, A, U, C, R, N = (
    VenueTraded,
    VenueAccepted,
    VenueUnreachable,
    VenueClosed,
    VenueRejected,
    VenueNotFound,
)

CASES: dict[str, tuple[dict[str, Any], list[tuple[str, VenueOrderEvent]], list[type[Any]]]] = {
    "both trade all": (SENT, [("east", traded("1", "2")), ("west", traded("1", "1"))], [T, T]),
    "one part expires": (
        SENT,
        [("east", traded("1", "1")), ("east", expired), ("west", traded("1", "1"))],
        [T, T, C],
    ),
    "one part is refused": (SENT, [("east", rejected), ("west", traded("1", "1"))], [T, C]),
    "all parts are refused": (SENT, [("east", rejected), ("west", rejected)], [R]),
    "one is refused and one never arrived": (
        SENT,
        [("east", rejected), ("west", lost), ("west", gone)],
        [U, R],
    ),
    "none ever arrived": (
        SENT,
        [("east", lost), ("west", lost), ("east", gone), ("west", gone)],
        [U, U, N],
    ),
    "an acceptance does not end another part's doubt": (
        SENT,
        [("east", lost), ("west", accepted), ("west", expired), ("east", accepted)],
        [U, A],
    ),
    "nor does a trade": (
        SENT,
        [("east", lost), ("west", traded("1", "1")), ("east", gone)],
        [U, T, U, C],
    ),
    "a trade that is told again": (
        SENT,
        [("east", lost), ("west", traded("1", "0.5")), ("west", traded("1", "0.5"))],
        [U, T, U, T],
    ),
    "an accepted part that is not known any more is in doubt": (
        SENT,
        [("east", accepted), ("east", gone), ("east", accepted)],
        [A, U, A],
    ),
    "an end is told once": (
        SENT,
        [("east", cancelled), ("west", cancelled), ("west", cancelled)],
        [C],
    ),
    "of an earlier life, one part is there": (BEFORE, [("east", accepted), ("west", gone)], [A]),
    "of an earlier life, parts have ended": (
        BEFORE,
        [("east", traded("1", "1")), ("east", expired), ("west", gone)],
        [T, U, C],
    ),
    "of an earlier life, nothing was sent": (BEFORE, [("east", gone), ("west", gone)], [N]),
    "a late trade after the end": (
        SENT,
        [("east", expired), ("west", expired), ("east", traded("1", "1"))],
        [C, T],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_are_told_of_as_one_order(name: str) -> None:
    quantities, news, told = CASES[name]
    order = RoutedOrder(quantities)
    if quantities is BEFORE:
        assert order.unasked
        assert [*order.asked()] == ["east", "west"]
    heard = [each for venue, piece in news for each in order.hear(venue, piece)]
    assert [type(each) for each in heard] == told


def test_trades_and_numbers_are_told_apart_by_their_venue() -> None:
    order = RoutedOrder(SENT)
    ids = [order.hear(venue, traded("1", "0.5"))[0] for venue in SENT]
    assert [each.trade_id for each in ids if isinstance(each, T)] == ["east:1", "west:1"]
    (there,) = order.hear("east", accepted)
    assert isinstance(there, A)
    assert there.venue_order_id == "east:7"


def test_what_was_sent_nowhere_expires_with_the_rest() -> None:
    order = RoutedOrder({"east": D(2)}, "0.5 was not sent")
    _, closed = order.hear("east", traded("1", "2"))
    assert isinstance(closed, C)
    assert closed.reason == "0.5 was not sent"


PIECES = [accepted, lost, gone, rejected, expired, cancelled, traded("1", "0.5"), traded("2", "1")]


@given(st.lists(st.tuples(st.sampled_from([*SENT]), st.sampled_from(PIECES)), max_size=20))
def test_an_end_is_never_told_while_a_part_may_be_there(
    news: list[tuple[str, VenueOrderEvent]],
) -> None:
    order = RoutedOrder(SENT)
    for venue, piece in news:
        for told in order.hear(venue, piece):
            if isinstance(told, C | R | N):
                assert order.over
            if isinstance(told, A):
                assert not order.doubted


# --- an account

RULES = Instrument(id=BTC, base="BTC", quote="USDT", taker_fee=D("0.001"))


def test_what_can_be_bought_is_what_can_be_paid_with_its_fee() -> None:
    standing = VenueStanding()
    standing.holds({"USDT": D("1501.5"), "BTC": D(3)})
    levels = [(D(100), D(10)), (D(200), D(10))]
    assert standing.most(Side.BUY, RULES, levels) == 10 + D("500.5") / D("200.2")
    assert standing.most(Side.BUY, RULES, levels[:1]) == 10
    assert standing.most(Side.SELL, RULES, levels) == 3


def test_a_trade_moves_what_is_held_once() -> None:
    standing = VenueStanding()
    standing.holds({"USDT": D(1000), "BTC": D(1)})
    for _ in range(2):
        standing.saw(traded("1", "2"))
    standing.saw(traded("2", "1", Side.SELL, "110"))
    assert standing.holdings == {"USDT": 1000 - 200 - D("0.1") + 110 - D("0.1"), "BTC": 2}
