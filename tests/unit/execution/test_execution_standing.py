"""How a live account stands, as `/info` and `/metrics` tell it."""

from decimal import Decimal
from typing import Any

from goalkick.common.events.base import Side
from goalkick.common.events.market import FeedStale
from goalkick.common.events.venue import (
    VenueAccepted,
    VenueContact,
    VenueExternalOrder,
    VenueHoldings,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.telemetry import names
from goalkick.common.values.ids import client_order_id
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings
from goalkick.execution.standing import LOOKS, lines
from tests.unit.execution.test_cancel_all import BTC, OPENING, order

HANDLE = client_order_id(OPENING)
ABOUT: dict[str, Any] = {"client_order_id": HANDLE, "instrument": BTC}
SECOND = NS_PER_SECOND


def figures(live: LiveExecution, now_ns: int) -> dict[str, float]:
    return {metric.name: figure(live, now_ns) for metric, figure in LOOKS.gauges.items()}


def in_doubt() -> LiveExecution:
    live = LiveExecution(ExecutionSettings())
    live.open({"USDT": Decimal(1000)})
    live.handlers[type(order(OPENING))](order(OPENING))
    live.answer([VenueUnreachable(time_ns=SECOND, reason="", **ABOUT)], SECOND)
    return live


def test_where_all_is_well_there_is_nothing_to_tell() -> None:
    live = LiveExecution(ExecutionSettings())
    assert lines(live, 9 * SECOND) == []
    assert set(figures(live, 9 * SECOND).values()) == {0.0}


def test_a_doubt_is_told_with_its_age_and_what_may_still_trade() -> None:
    live = in_doubt()
    # The same doubt again does not make it younger.
    live.answer([VenueUnreachable(time_ns=1, reason="", **ABOUT)], 3 * SECOND)
    (line,) = lines(live, 9 * SECOND)
    assert line == f"{HANDLE} of {BTC}: fate unknown for 8.0 s, up to 1 of 1 may still trade"
    told = figures(live, 9 * SECOND)
    assert told["goalkick_orders_unknown"] == 1.0
    assert told["goalkick_orders_unknown_seconds"] == 8.0
    live.answer([VenueAccepted(time_ns=1, venue_order_id="1", **ABOUT)], 10 * SECOND)
    assert lines(live, 11 * SECOND) == []


def test_a_trade_is_evidence_too() -> None:
    live = in_doubt()
    trade = VenueTraded(
        time_ns=1,
        trade_id="1",
        venue_time_ns=1,
        side=Side.BUY,
        quantity=Decimal("0.4"),
        price=Decimal(50),
        fee=Decimal(0),
        fee_currency="USDT",
        slippage=Decimal(0),
        **ABOUT,
    )
    live.answer([trade], 10 * SECOND)
    assert figures(live, 11 * SECOND)["goalkick_orders_unknown"] == 0.0


def test_lost_contact_differences_and_what_is_others_are_told() -> None:
    live = in_doubt()
    live.answer([VenueAccepted(time_ns=1, venue_order_id="1", **ABOUT)], 2 * SECOND)
    live.handlers[FeedStale](FeedStale(time_ns=1, instrument=BTC, stream="bar", last_ns=0))
    at_ns = 3 * SECOND
    seen = VenueExternalOrder(
        time_ns=1,
        instrument=BTC,
        venue_order_id="9",
        client_order_id="web",
        side=Side.BUY,
        quantity=Decimal(1),
        filled=Decimal(0),
        limit_price=None,
        kind="MARKET",
    )
    less = VenueHoldings(time_ns=1, holdings={"USDT": Decimal(990), "BNB": Decimal(2)})
    live.answer([VenueContact(time_ns=1, connected=False, at_ns=at_ns), seen, less, less], at_ns)
    assert lines(live, 9 * SECOND) == [
        "the venue is not heard for 6.0 s",
        f"{BTC}: bars are stale",
        "BNB: the venue holds 2 more than is expected",
        "USDT: the venue holds 10 less than is expected",
        "of others: 1 orders, 0 fills were seen",
    ]
    told = figures(live, 9 * SECOND)
    assert told[names.DIFFERING_CURRENCIES.name] == 2.0
    assert told[names.VENUE_LOST_SECONDS.name] == 6.0
