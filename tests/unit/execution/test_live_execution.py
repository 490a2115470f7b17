"""Execution against a venue outside: intents before commands, doubt, and news in any order."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceChanged,
    CancelRequested,
    ExternalFillSeen,
    Fill,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
)
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId, client_order_id
from goalkick.common.values.instruments import Instrument
from goalkick.execution.live import LiveExecution
from goalkick.execution.order_state import OrderStatus
from goalkick.execution.settings import ExecutionSettings

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
ORDER = EventId("a" * 32)
HANDLE = client_order_id(ORDER)
SETTINGS = ExecutionSettings()


def desk() -> LiveExecution:
    live = LiveExecution(SETTINGS)
    rules = Instrument(id=BTC, base="BTC", quote="USDT")
    live.handlers[InstrumentListed](InstrumentListed(time_ns=1, instrument=BTC, rules=rules))
    return live


def approved(order: EventId = ORDER, quantity: str = "1") -> OrderApproved:
    return OrderApproved(
        time_ns=5,
        account=AccountId("main"),
        order=order,
        cause=EventId("c"),
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=Side.BUY,
        quantity=D(quantity),
    )


def about(kind: type[Any], **fields: Any) -> Any:
    return kind(**({"time_ns": 7, "client_order_id": HANDLE, "instrument": BTC} | fields))


def traded(trade_id: str, quantity: str, fee: str = "0", fee_currency: str = "USDT") -> Any:
    return about(
        VenueTraded,
        trade_id=trade_id,
        venue_time_ns=6,
        side=Side.BUY,
        quantity=D(quantity),
        price=D(100),
        fee=D(fee),
        fee_currency=fee_currency,
        slippage=D(0),
    )


accepted = about(VenueAccepted, venue_order_id="9")
cancelled = about(VenueClosed, cancelled=True, reason="")
unreachable = about(VenueUnreachable, reason="no answer")
not_found = about(VenueNotFound)


def placed() -> LiveExecution:
    live = desk()
    live.handlers[OrderApproved](approved())
    live.commands()
    return live


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_says_what_it_intends_and_sets_the_command_aside_for_the_shell() -> None:
    live = desk()
    said = live.handlers[OrderApproved](approved())
    assert kinds(said) == [OrderIntended]
    (command,) = live.commands()
    assert isinstance(command, PlaceOrder)
    assert (command.client_order_id, command.quantity) == (HANDLE, D(1))
    assert live.commands() == [], "a command is given out once"


def test_a_decision_about_the_past_is_not_placed() -> None:
    live = desk()
    live.set_clock(100)
    late = msgspec.structs.replace(approved(), expires_at_ns=100)
    (report,) = live.handlers[OrderApproved](late)
    assert isinstance(report, OrderRejected)
    assert "expired" in report.reason
    in_time = msgspec.structs.replace(approved(EventId("b" * 32)), expires_at_ns=101)
    assert kinds(live.handlers[OrderApproved](in_time)) == [OrderIntended]


def test_a_repeated_approval_places_nothing() -> None:
    live = placed()
    assert live.handlers[OrderApproved](approved()) == []
    live.answer([accepted, traded("1", "1")], 8)
    assert live.handlers[OrderApproved](approved()) == []
    assert live.commands() == []


def test_what_the_venue_says_is_told_as_of_the_present_moment() -> None:
    said = placed().answer([accepted, traded("1", "1")], 8)
    assert kinds(said) == [OrderAccepted, OrderFilled, PositionChanged, BalanceChanged]
    assert {event.time_ns for event in said} == {8}
    assert isinstance(said[1], Fill)
    assert said[1].venue_time_ns == 6


CASES: dict[str, tuple[list[Any], list[type[Event]]]] = {
    "a fill before the acceptance": ([traded("1", "1"), accepted], [OrderFilled]),
    "a repeated fill": ([traded("1", "0.4"), traded("1", "0.4")], [OrderPartiallyFilled]),
    "a repeated acceptance": ([accepted, accepted], [OrderAccepted]),
    "a fill that crossed with a cancel": (
        [accepted, cancelled, traded("1", "0.4")],
        [OrderAccepted, OrderCancelled, OrderPartiallyFilled],
    ),
    "a repeated end": ([cancelled, cancelled], [OrderCancelled]),
    "doubt that the venue ends": (
        [accepted, unreachable, accepted],
        [OrderAccepted, OrderUnknown, OrderAccepted],
    ),
    "a fill ends doubt": ([unreachable, traded("1", "1")], [OrderUnknown, OrderFilled]),
    "evidence that it never arrived": ([unreachable, not_found], [OrderUnknown, OrderRejected]),
    "a venue that has forgotten an order is no evidence": (
        [accepted, not_found, not_found],
        [OrderAccepted, OrderUnknown],
    ),
    "a venue that has forgotten a traded order is no evidence": (
        [traded("1", "0.4"), not_found],
        [OrderPartiallyFilled, OrderUnknown],
    ),
    "doubt is said once": ([unreachable, unreachable], [OrderUnknown]),
    "an end absorbs what comes after it": (
        [traded("1", "1"), unreachable, not_found, cancelled],
        [OrderFilled],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_news_may_come_repeated_and_in_any_order(name: str) -> None:
    answers, told = CASES[name]
    said = placed().answer(answers, 8)
    books = {PositionChanged, BalanceChanged}
    assert [kind for kind in kinds(said) if kind not in books] == told


def test_doubt_asks_the_venue_and_never_sends_again() -> None:
    live = placed()
    live.answer([unreachable], 8)
    assert kinds(live.commands()) == [QueryOrder]


def test_a_fee_in_kind_leaves_less_of_what_was_bought() -> None:
    said = placed().answer([traded("1", "1", "0.001", "BTC")], 8)
    position, balance = said[1], said[2]
    assert isinstance(position, PositionChanged)
    assert isinstance(balance, BalanceChanged)
    assert (position.quantity, position.fees) == (D("0.999"), D("0.1"))
    assert balance.total == SETTINGS.initial_cash - 100


def test_a_fee_in_a_third_currency_touches_neither_cash_nor_position() -> None:
    live = placed()
    live.answer([traded("1", "0.5", "0.01", "BNB"), traded("2", "0.5", "0.02", "BNB")], 8)
    ledger = live.execution.ledger
    assert ledger.other_fees == {"BNB": D("0.03")}
    assert (ledger.positions[BTC].quantity, ledger.cash) == (D(1), SETTINGS.initial_cash - 100)


def test_an_order_with_a_name_of_ours_that_nobody_here_placed_is_external() -> None:
    live = desk()
    assert live.answer([accepted, unreachable, not_found, cancelled], 8) == []
    (seen,) = live.answer([traded("1", "0.4"), traded("1", "0.4")], 8)
    assert isinstance(seen, ExternalFillSeen)
    assert live.execution.ledger.positions == {}


def test_a_trade_larger_than_the_order_is_refused() -> None:
    with pytest.raises(InvariantError, match=r"expected a trade of at most 0\.6"):
        placed().answer([traded("1", "0.4"), cancelled, traded("2", "0.7")], 8)


def test_a_cancel_names_the_venues_own_number() -> None:
    live = placed()
    live.answer([accepted], 8)
    live.handlers[CancelRequested](
        CancelRequested(
            time_ns=9, account=AccountId("main"), order=ORDER, cause=EventId("d"), reason=""
        )
    )
    (command,) = live.commands()
    assert isinstance(command, CancelOrder)
    assert command.venue_order_id == "9"


# --- after a restart


def restarted(live: LiveExecution) -> LiveExecution:
    again = LiveExecution(SETTINGS)
    again.restore(live.snapshot())
    return again


def test_after_a_restart_an_unanswered_intent_is_unknown_and_asked_about() -> None:
    live = desk()
    live.handlers[OrderApproved](approved())
    again = restarted(live)  # whether it was sent before the end, nobody can say
    assert kinds(again.doubts(20)) == [OrderUnknown]
    assert kinds(again.commands()) == [QueryOrder]


def test_after_a_restart_a_known_order_is_asked_about_and_not_doubted() -> None:
    live = placed()
    live.answer([accepted], 8)
    again = restarted(live)
    assert again.doubts(20) == []
    assert kinds(again.commands()) == [QueryOrder]
    assert again.execution.working[HANDLE].status is OrderStatus.ACCEPTED


def test_after_a_restart_a_trade_that_was_booked_is_not_booked_again() -> None:
    live = placed()
    live.answer([accepted, traded("1", "0.4")], 8)
    again = restarted(live)
    assert again.answer([traded("1", "0.4")], 20) == []
    assert again.execution.ledger == live.execution.ledger


def test_a_late_trade_of_a_cancelled_order_is_booked_after_a_restart_too() -> None:
    live = placed()
    live.answer([accepted, cancelled], 8)
    again = restarted(live)
    assert kinds(again.answer([traded("1", "0.4")], 20))[0] is OrderPartiallyFilled
    assert again.execution.ledger.positions[BTC].quantity == D("0.4")


NEWS = [accepted, traded("1", "0.25"), traded("2", "0.25"), traded("3", "0.5"), unreachable]


@given(st.lists(st.sampled_from(NEWS), max_size=12), st.integers(0, 12))
def test_whatever_order_and_repetition_the_position_is_the_sum_of_the_trades_that_were_seen(
    news: list[VenueEvent], restart: int
) -> None:
    live = placed()
    for number, answer in enumerate(news):
        if number == restart:
            live = restarted(live)
            live.doubts(10)
        live.answer([answer], 10 + number)
    seen = {n.trade_id: n.quantity for n in news if isinstance(n, VenueTraded)}
    held = live.execution.ledger.positions.get(BTC)
    assert (held.quantity if held else 0) == sum(seen.values(), D(0))
    assert (HANDLE in live.execution.working) == (len(seen) < 3)


def test_a_rejected_order_ends_with_the_venues_words() -> None:
    (report,) = placed().answer([about(VenueRejected, reason="Filter failure: LOT_SIZE")], 8)
    assert isinstance(report, OrderRejected)
    assert report.reason == "Filter failure: LOT_SIZE"
