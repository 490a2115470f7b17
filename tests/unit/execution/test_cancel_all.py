"""When orders are taken back without anybody having asked: a stop, a halt, lost contact."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.market import BarClosed, FeedRecovered, FeedStale, InstrumentListed
from goalkick.common.events.order import OrderApproved, OrderCancelled, OrderKind, OrderRejected
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueContact,
    VenueEvent,
    VenueRejected,
    VenueUnreachable,
)
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.live import LiveExecution
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import CancelAllSettings, ExecutionSettings, Which

BTC, ETH = InstrumentId("binance:BTC/USDT"), InstrumentId("binance:ETH/USDT")
OPENING, REDUCING, OTHER = (EventId(letter * 32) for letter in "abc")
LATER = EventId("d" * 32)
LOST_AFTER_S = 60
WHICH = ("none", "opening", "all")
CHOSEN: dict[str, set[EventId]] = {
    "none": set(),
    "opening": {OPENING, OTHER},
    "all": {OPENING, REDUCING, OTHER},
}
"""Of the three orders that `desk` has, those that are to go."""


def order(name: EventId, instrument: InstrumentId = BTC, *, reduce_only: bool = False) -> Any:
    return OrderApproved(
        time_ns=5,
        account=AccountId("main"),
        order=name,
        cause=name,
        client_order_id=client_order_id(name),
        strategy=StrategyId("s"),
        instrument=instrument,
        side=Side.BUY,
        quantity=Decimal(1),
        kind=OrderKind.LIMIT,
        limit_price=Decimal(50),
        reduce_only=reduce_only,
    )


def desk(**settings: Any) -> LiveExecution:
    """Three orders that work: one that only takes risk away, and one of another instrument."""
    live = LiveExecution(ExecutionSettings(cancel_all=CancelAllSettings(**settings)))
    for instrument in (BTC, ETH):
        rules = Instrument(id=instrument, base=instrument[8:11], quote="USDT")
        listed = InstrumentListed(time_ns=1, instrument=instrument, rules=rules)
        live.handlers[InstrumentListed](listed)
    for each in (order(OPENING), order(REDUCING, reduce_only=True), order(OTHER, ETH)):
        live.handlers[OrderApproved](each)
        about = {"client_order_id": each.client_order_id, "instrument": each.instrument}
        live.answer([VenueAccepted(time_ns=6, venue_order_id="1", **about)], 6)
    live.commands()
    return live


def cancelled(live: LiveExecution) -> set[EventId]:
    """The orders that the venue is to cancel now."""
    wanted = [c for c in live.commands() if isinstance(c, CancelOrder)]
    assert len({c.client_order_id for c in wanted}) == len(wanted)
    names = {client_order_id(name): name for name in (OPENING, REDUCING, OTHER, LATER)}
    return {names[c.client_order_id] for c in wanted}


def contact(live: LiveExecution, second: float, *, connected: bool = True) -> Sequence[Event]:
    at_ns = round(second * NS_PER_SECOND)
    return live.answer([VenueContact(time_ns=at_ns, connected=connected, at_ns=at_ns)], at_ns)


def stale(live: LiveExecution, instrument: InstrumentId = BTC, stream: Any = "bar") -> None:
    live.handlers[FeedStale](FeedStale(time_ns=9, instrument=instrument, stream=stream, last_ns=0))


def halted(scope: str = "main") -> TradingHalted:
    return TradingHalted(time_ns=9, scope=scope, issuer="risk", reason="halted by command")


def end(name: EventId) -> VenueClosed:
    return VenueClosed(
        time_ns=9,
        client_order_id=client_order_id(name),
        instrument=ETH if name == OTHER else BTC,
        cancelled=True,
        reason="",
    )


@pytest.mark.parametrize("which", WHICH)
def test_a_stop_takes_back_the_chosen_orders_and_has_left_when_they_have_ended(
    which: Which,
) -> None:
    live = desk(on_stop=which)
    assert live.left == (which == "none")
    live.leave(9)
    commands = live.commands()
    handles = {c.client_order_id for c in commands if isinstance(c, CancelOrder)}
    assert handles == {client_order_id(name) for name in CHOSEN[which]}
    assert any(isinstance(c, CancelAll) for c in commands) == (which == "all")
    for name in CHOSEN[which]:
        assert not live.left
        (report,) = live.answer([end(name)], 10)
        assert isinstance(report, OrderCancelled)
    assert live.left


@pytest.mark.parametrize("which", WHICH)
def test_a_halt_takes_back_the_chosen_orders(which: Which) -> None:
    live = desk(on_halt=which)
    live.handlers[TradingHalted](halted())
    assert cancelled(live) == CHOSEN[which]


@pytest.mark.parametrize(("scope", "ours"), [("main", True), ("*", True), ("other", False)])
def test_a_halt_concerns_its_own_account(scope: str, ours: bool) -> None:
    live = desk()
    live.handlers[TradingHalted](halted(scope))
    assert bool(cancelled(live)) == ours


def test_what_takes_risk_away_may_still_be_placed_in_a_halt_and_works_on() -> None:
    live = desk()
    live.handlers[TradingHalted](halted())
    live.commands()
    live.handlers[OrderApproved](order(LATER, reduce_only=True))
    assert any(isinstance(c, PlaceOrder) for c in live.commands())
    live.handlers[TradingHalted](halted("*"))
    assert cancelled(live) == set()


@pytest.mark.parametrize("which", WHICH)
def test_lost_contact_takes_back_the_chosen_orders_once_it_has_lasted(which: Which) -> None:
    live = desk(on_lost_contact=which, lost_after="60s")
    contact(live, 100)
    contact(live, 101, connected=False)
    contact(live, 101 + LOST_AFTER_S - 1, connected=False)
    assert cancelled(live) == set()
    contact(live, 101 + LOST_AFTER_S, connected=False)
    assert cancelled(live) == CHOSEN[which]
    contact(live, 101 + LOST_AFTER_S + 2, connected=False)
    assert cancelled(live) == set()


def test_contact_that_comes_back_in_time_counts_anew() -> None:
    live = desk()
    contact(live, 100, connected=False)
    contact(live, 159)
    contact(live, 161, connected=False)
    contact(live, 220, connected=False)
    assert cancelled(live) == set()
    contact(live, 221, connected=False)
    assert cancelled(live) == CHOSEN["opening"]


def test_without_contact_nothing_is_placed_that_may_add_risk() -> None:
    live = desk()
    contact(live, 100, connected=False)
    contact(live, 160, connected=False)
    live.commands()
    (refusal,) = live.handlers[OrderApproved](order(LATER))
    assert isinstance(refusal, OrderRejected)
    assert "contact" in refusal.reason
    assert live.commands() == []
    assert not live.handlers[OrderApproved](order(LATER)), "a repetition says nothing more"
    live.handlers[OrderApproved](order(EventId("e" * 32), reduce_only=True))
    assert any(isinstance(c, PlaceOrder) for c in live.commands())
    contact(live, 170)
    live.handlers[OrderApproved](order(EventId("f" * 32)))
    assert any(isinstance(c, PlaceOrder) for c in live.commands())


def test_stale_bars_take_back_the_orders_of_their_instrument_only() -> None:
    live = desk()
    contact(live, 100)
    stale(live)
    contact(live, 159)
    assert cancelled(live) == set()
    contact(live, 160)
    assert cancelled(live) == {OPENING}
    (refusal,) = live.handlers[OrderApproved](order(LATER))
    assert isinstance(refusal, OrderRejected)
    assert "stale" in refusal.reason
    live.handlers[FeedRecovered](FeedRecovered(time_ns=10, instrument=BTC, stream="bar"))
    live.handlers[OrderApproved](order(EventId("e" * 32)))
    assert any(isinstance(c, PlaceOrder) for c in live.commands())


def test_bars_that_are_stale_before_the_clock_is_told_count_from_when_it_is() -> None:
    live = desk()
    stale(live)
    contact(live, 100)
    contact(live, 159)
    assert cancelled(live) == set()
    contact(live, 160)
    assert cancelled(live) == {OPENING}


def closed(live: LiveExecution, second: int, *, seconds: int = 60) -> None:
    """A bar that ends at a second, by the clock that contact is timed with."""
    price = Decimal(50)
    bar = BarClosed(
        time_ns=second * NS_PER_SECOND,
        instrument=BTC,
        interval_ns=seconds * NS_PER_SECOND,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )
    live.handlers[BarClosed](bar)


def test_bars_that_do_not_come_are_stale_though_nobody_says_so() -> None:
    live = desk()
    contact(live, 100)
    closed(live, 90)
    closed(live, 90, seconds=300)
    contact(live, 90 + 2 * 60 + LOST_AFTER_S - 1)
    assert cancelled(live) == set()
    contact(live, 90 + 2 * 60 + LOST_AFTER_S)
    assert cancelled(live) == {OPENING}
    closed(live, 260)
    live.handlers[OrderApproved](order(LATER))
    assert any(isinstance(c, PlaceOrder) for c in live.commands())


def test_bars_of_the_past_say_nothing_about_when_the_next_is_due() -> None:
    live = desk()
    contact(live, 10_000)
    closed(live, 90)
    contact(live, 20_000)
    assert cancelled(live) == set()


def test_after_a_restart_no_bar_is_due_before_one_has_come() -> None:
    live = desk()
    contact(live, 100)
    closed(live, 90)
    again = LiveExecution(ExecutionSettings())
    again.restore(live.snapshot())
    again.doubts(1)
    contact(again, 10_000)
    assert cancelled(again) == set()


@pytest.mark.parametrize("stream", ["book", "trade", "quote"])
def test_another_stream_that_is_stale_says_nothing_about_bars(stream: Any) -> None:
    live = desk()
    contact(live, 100)
    stale(live, stream=stream)
    contact(live, 1000)
    assert cancelled(live) == set()


def test_a_loss_goes_on_over_a_restart() -> None:
    live = desk()
    contact(live, 100, connected=False)
    again = LiveExecution(ExecutionSettings())
    again.restore(live.snapshot())
    contact(again, 160, connected=False)
    assert cancelled(again) == CHOSEN["opening"]


def test_an_order_of_unknown_fate_is_taken_back_when_it_turns_up() -> None:
    live = LiveExecution(ExecutionSettings())
    live.handlers[OrderApproved](order(OPENING))
    about: dict[str, Any] = {"client_order_id": client_order_id(OPENING), "instrument": BTC}
    live.answer([VenueUnreachable(time_ns=6, reason="", **about)], 6)
    live.leave(7)
    live.commands()
    live.answer([VenueAccepted(time_ns=8, venue_order_id="1", **about)], 8)
    assert cancelled(live) == {OPENING}
    assert not live.left
    live.answer([VenueRejected(time_ns=8, reason="", **about)], 8)
    assert live.left


@pytest.mark.parametrize("which", WHICH)
def test_on_paper_a_halt_takes_back_the_chosen_orders_too(which: Which) -> None:
    paper = PaperExecution(ExecutionSettings(cancel_all=CancelAllSettings(on_halt=which)))
    for instrument in (BTC, ETH):
        rules = Instrument(id=instrument, base=instrument[8:11], quote="USDT")
        listed = InstrumentListed(time_ns=1, instrument=instrument, rules=rules)
        paper.handlers[InstrumentListed](listed)
    for each in (order(OPENING), order(REDUCING, reduce_only=True), order(OTHER, ETH)):
        paper.handlers[OrderApproved](each)
    reports = paper.handlers[TradingHalted](halted())
    assert {r.order for r in reports if isinstance(r, OrderCancelled)} == CHOSEN[which]
    working: set[ClientOrderId] = set(paper.execution.working)
    kept = {OPENING, REDUCING, OTHER} - CHOSEN[which]
    assert working == {client_order_id(name) for name in kept}


def test_no_command_of_these_leaves_as_a_report() -> None:
    live = desk(on_stop="all")
    assert not any(isinstance(event, VenueEvent) for event in live.leave(9))
