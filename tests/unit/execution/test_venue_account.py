"""What is on a live account beside our own orders: others' orders and trades, and differences."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.codec.protobuf import decode, encode, type_name
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceDiffers,
    ExternalFillSeen,
    ExternalOrderSeen,
    OrderApproved,
    OrderExpired,
    OrderKind,
    OrderRejected,
    TimeInForce,
)
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueAccepted,
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId, client_order_id
from goalkick.common.values.instruments import Instrument
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
ORDER = EventId("a" * 32)
HANDLE = client_order_id(ORDER)
OPENING = {"USDT": D(1000), "BTC": D(2), "BNB": D(5)}


def desk() -> LiveExecution:
    live = LiveExecution(ExecutionSettings())
    live.open(OPENING)
    rules = Instrument(id=BTC, base="BTC", quote="USDT")
    live.handlers[InstrumentListed](InstrumentListed(time_ns=1, instrument=BTC, rules=rules))
    return live


def restarted(live: LiveExecution) -> LiveExecution:
    again = LiveExecution(ExecutionSettings())
    again.restore(live.snapshot())
    return again


def approved(**fields: Any) -> OrderApproved:
    given = {
        "time_ns": 5,
        "account": AccountId("main"),
        "order": ORDER,
        "cause": EventId("c"),
        "client_order_id": HANDLE,
        "strategy": StrategyId("s"),
        "instrument": BTC,
        "side": Side.BUY,
        "quantity": D(1),
    }
    return OrderApproved(**{**given, **fields})


def placed(**fields: Any) -> LiveExecution:
    live = desk()
    live.handlers[OrderApproved](approved(**fields))
    live.commands()
    return live


def about(kind: type[Any], **fields: Any) -> Any:
    return kind(time_ns=7, client_order_id=HANDLE, instrument=BTC, **fields)


def traded(trade_id: str, quantity: str, fee: str = "0", currency: str = "USDT") -> Any:
    return about(
        VenueTraded,
        trade_id=trade_id,
        venue_time_ns=70 * 10**9,
        side=Side.BUY,
        quantity=D(quantity),
        price=D(100),
        fee=D(fee),
        fee_currency=currency,
        slippage=D(0),
    )


def by_hand(number: str = "9", client: str = "web-1") -> VenueExternalOrder:
    return VenueExternalOrder(
        time_ns=7,
        instrument=BTC,
        venue_order_id=number,
        client_order_id=client,
        side=Side.SELL,
        quantity=D(1),
        filled=D(0),
        limit_price=D(200),
        kind="LIMIT",
    )


def hand_trade(trade_id: str = "3", fee_currency: str = "USDT") -> VenueExternalTrade:
    return VenueExternalTrade(
        time_ns=7,
        instrument=BTC,
        venue_order_id="9",
        trade_id=trade_id,
        venue_time_ns=80 * 10**9,
        side=Side.SELL,
        quantity=D("0.5"),
        price=D(200),
        fee=D("0.1"),
        fee_currency=fee_currency,
    )


def holdings(**held: str) -> VenueHoldings:
    found: Mapping[str, Decimal] = {**OPENING, **{name: D(text) for name, text in held.items()}}
    return VenueHoldings(time_ns=7, holdings=dict(found))


def kinds(events: Any) -> list[type[Event]]:
    return [type(event) for event in events]


# --- orders and trades that are not ours


def test_an_external_order_is_told_once_in_every_life() -> None:
    live = desk()
    (seen,) = live.answer([by_hand(), by_hand()], 8)
    assert isinstance(seen, ExternalOrderSeen)
    assert (seen.venue_order_id, seen.quantity, seen.time_ns) == ("9", D(1), 8)
    again = restarted(live)
    assert again.answer([by_hand()], 20) == []
    assert kinds(again.answer([by_hand("10")], 20)) == [ExternalOrderSeen]
    assert live.commands() == [], "it is not touched"


def test_an_external_trade_is_told_once_in_every_life_and_is_no_trade_of_ours() -> None:
    live = desk()
    (seen,) = live.answer([hand_trade(), hand_trade()], 8)
    assert isinstance(seen, ExternalFillSeen)
    assert restarted(live).answer([hand_trade()], 20) == []
    assert live.execution.ledger.positions == {}


def test_an_order_of_ours_that_the_venue_lists_is_not_external() -> None:
    live = placed()
    assert live.answer([by_hand("7", HANDLE)], 8) == []


@pytest.mark.parametrize("made", [by_hand, hand_trade])
def test_what_is_external_travels(made: Any) -> None:
    (seen,) = desk().answer([made()], 8)
    assert decode(type_name(type(seen)), encode(seen)) == seen


# --- differences


def test_holdings_that_are_explained_differ_in_nothing() -> None:
    live = placed()
    live.answer([about(VenueAccepted, venue_order_id="1"), traded("1", "0.4", "0.001", "BTC")], 8)
    live.answer([traded("2", "0.1", "0.02", "BNB"), hand_trade()], 8)
    # 2 + 0.4 - 0.001 + 0.1 - 0.5 BTC; 1000 - 40 - 10 + 100 - 0.1 USDT
    assert live.answer([holdings(BTC="1.999", USDT="1049.9", BNB="4.98")] * 2, 9) == []
    assert live.commands() == []


def test_a_difference_is_told_with_both_sides_once_a_second_look_confirms_it() -> None:
    live = desk()
    assert live.answer([holdings(USDT="990")], 8) == []
    assert kinds(live.commands()) == [QueryAccount]
    (differs,) = live.answer([holdings(USDT="990")], 9)
    assert isinstance(differs, BalanceDiffers)
    assert (differs.currency, differs.expected, differs.found) == ("USDT", D(1000), D(990))
    assert decode(type_name(BalanceDiffers), encode(differs)) == differs
    assert live.answer([holdings(USDT="990")] * 3, 10) == [], "it is told once"
    assert live.commands() == []


def test_a_difference_is_told_again_when_it_changes_and_when_it_has_gone() -> None:
    live = desk()
    live.answer([holdings(USDT="990")] * 2, 8)
    assert kinds(live.answer([holdings(USDT="980")] * 2, 9)) == [BalanceDiffers]
    (gone,) = live.answer([holdings()], 10)
    assert isinstance(gone, BalanceDiffers)
    assert gone.expected == gone.found
    assert live.answer([holdings()], 11) == []


def test_a_trade_whose_news_is_on_its_way_is_no_difference() -> None:
    live = placed()
    live.answer([about(VenueAccepted, venue_order_id="1")], 8)
    early = holdings(USDT="900", BTC="3")
    assert live.answer([early], 8) == []
    live.answer([traded("1", "1")], 9)
    assert live.answer([early], 10) == []


def test_what_was_told_is_remembered_over_a_restart() -> None:
    live = desk()
    live.answer([holdings(USDT="990")] * 2, 8)
    assert restarted(live).answer([holdings(USDT="990")] * 2, 9) == []


def test_an_order_in_doubt_explains_what_it_may_have_moved_and_no_more() -> None:
    live = placed(kind=OrderKind.LIMIT, limit_price=D(100))
    live.answer([about(VenueUnreachable, reason="")], 8)
    assert live.answer([holdings(USDT="900", BTC="3")] * 2, 9) == []
    (differs,) = live.answer([holdings(USDT="899", BTC="3")] * 2, 10)
    assert isinstance(differs, BalanceDiffers)
    assert (differs.currency, differs.explained) == ("USDT", D(100))


def test_a_market_order_in_doubt_may_have_cost_anything() -> None:
    live = placed()
    live.answer([about(VenueUnreachable, reason="")], 8)
    assert live.answer([holdings(USDT="1", BTC="3")] * 2, 9) == []
    assert kinds(live.answer([holdings(USDT="1", BTC="3", BNB="4")] * 2, 10)) == [BalanceDiffers]


# --- questions


def test_after_a_restart_trades_are_asked_for_from_where_they_were_known() -> None:
    live = placed()
    assert kinds(restarted(live).commands()) == []
    live.answer([about(VenueAccepted, venue_order_id="1"), traded("1", "0.4")], 8)
    live.answer([hand_trade()], 9)
    again = restarted(live)
    again.doubts(20)
    (query, account) = again.commands()
    assert isinstance(query, QueryOrder)
    assert query.known
    assert isinstance(account, QueryAccount)
    assert account.since_ns == 70 * 10**9, "not from before the first trade that was seen"


def test_to_cancel_all_names_what_is_known_and_asks_for_what_only_the_venue_knows() -> None:
    live = placed()
    live.cancel_all(9)
    assert kinds(live.commands()) == [CancelOrder, CancelAll]
    live.cancel_all(10)
    assert kinds(live.commands()) == [CancelAll], "what is leaving is not cancelled again"


def test_a_venue_that_has_forgotten_an_order_is_not_asked_in_a_circle() -> None:
    live = placed()
    live.answer([about(VenueAccepted, venue_order_id="1")], 8)
    asked = 0
    for moment in range(10):
        live.answer([about(VenueNotFound)], 9 + moment)
        asked += len(live.commands())
    assert asked == 1


# --- kinds of orders


def test_time_in_force_reaches_the_venue() -> None:
    live = desk()
    live.handlers[OrderApproved](
        approved(kind=OrderKind.LIMIT, limit_price=D(100), time_in_force=TimeInForce.POST_ONLY)
    )
    (command,) = live.commands()
    assert isinstance(command, PlaceOrder)
    assert command.time_in_force is TimeInForce.POST_ONLY


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": OrderKind.LIMIT}, "expected a price for its limit"),
        ({"kind": OrderKind.STOP}, "expected a price for its stop"),
        ({"kind": OrderKind.STOP_LIMIT, "stop_price": D(1)}, "expected a price for its limit"),
        ({"limit_price": D(1)}, "expected no price for its limit"),
        ({"stop_price": D(1)}, "expected no price for its stop"),
        ({"time_in_force": TimeInForce.ALL_OR_NOTHING}, "expected no time in force"),
    ],
)
def test_an_order_that_makes_no_sense_is_rejected_before_the_venue_hears_of_it(
    fields: dict[str, Any], reason: str
) -> None:
    live = desk()
    (report,) = live.handlers[OrderApproved](approved(**fields))
    assert isinstance(report, OrderRejected)
    assert reason in report.reason
    assert live.commands() == []
    assert live.handlers[OrderApproved](approved(**fields)) == [], "a repetition says no more"


def test_a_venue_may_acknowledge_first_and_reject_afterwards() -> None:
    live = placed()
    live.answer([about(VenueAccepted, venue_order_id="1")], 8)
    assert kinds(live.answer([about(VenueRejected, reason="no")], 9)) == [OrderRejected]


def test_an_order_that_was_traded_cannot_be_rejected_any_more_it_expires() -> None:
    live = placed()
    live.answer([traded("1", "0.4")], 8)
    (report,) = live.answer([about(VenueRejected, reason="no")], 9)
    assert isinstance(report, OrderExpired)
    assert (report.filled, report.reason) == (D("0.4"), "no")


def test_an_order_that_turns_up_after_it_had_counted_as_never_sent_is_taken_back() -> None:
    live = placed()
    gone: list[VenueEvent] = [about(VenueUnreachable, reason=""), about(VenueNotFound)]
    live.answer(gone, 8)
    live.commands()
    assert live.answer([about(VenueAccepted, venue_order_id="1")], 9) == []
    assert kinds(live.commands()) == [CancelOrder]
