"""Orders that algos work, against a venue outside: children, doubt, stops, and what has to wait."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.config.algos import PARAMS, AlgoName
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.market import BarClosed, InstrumentListed, QuoteChanged
from goalkick.common.events.order import (
    AlgoOrder,
    CancelRequested,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderKind,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReport,
    OrderUnknown,
    OrderWorked,
    TimeInForce,
)
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueContact,
    VenueEvent,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.execution.algos.model import child_order_id
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
RULES = Instrument(
    id=BTC, base="BTC", quote="USDT", tick_size=D("0.1"), lot_size=D("0.01"), min_quantity=D("0.01")
)
PARENT = EventId("a" * 32)
START = NS_PER_MINUTE
SETTINGS = ExecutionSettings()

BRACKET: dict[str, Any] = {"stop_price": 95, "take_profit": 110}


def approved(
    algo: AlgoName | None = "twap",
    order: EventId = PARENT,
    *,
    side: Side = Side.BUY,
    quantity: str = "1",
    minutes: int = 10,
    limit: str | None = None,
    reduce_only: bool = False,
    expires_at_ns: int = 0,
    **params: Any,
) -> OrderApproved:
    work = None
    if algo is not None:
        work = AlgoOrder(
            name=algo,
            params=PARAMS[algo].model_validate(params).model_dump_json(),
            arrival_price=D(100),
            end_ns=START + minutes * NS_PER_MINUTE,
        )
    return OrderApproved(
        time_ns=START,
        account=AccountId("main"),
        order=order,
        cause=EventId("c"),
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=side,
        quantity=D(quantity),
        kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
        limit_price=None if limit is None else D(limit),
        reduce_only=reduce_only,
        expires_at_ns=expires_at_ns,
        algo=work,
    )


class Live:
    """The core, and a venue that does only what a test says."""

    def __init__(self) -> None:
        self.core = LiveExecution(SETTINGS)
        self.said: list[Event] = []
        self.sent: list[VenueEvent] = []
        self.now_ns = START
        self.trades = 0
        self.do(InstrumentListed(time_ns=1, instrument=BTC, rules=RULES))

    def do(self, event: Event) -> Sequence[Event]:
        return self._heard(self.core.handlers[type(event)](event))

    def hear(self, *news: VenueEvent) -> Sequence[Event]:
        return self._heard(self.core.answer(news, self.now_ns))

    def _heard(self, said: Sequence[Event]) -> Sequence[Event]:
        self.sent += self.core.commands()
        self.said += said
        return said

    def restart(self) -> None:
        """From the snapshot; the orders under way are asked about."""
        data = self.core.snapshot()
        self.core = LiveExecution(SETTINGS)
        self.core.restore(data)
        assert self.core.snapshot() == data
        self._heard(self.core.doubts(self.now_ns))

    def bar(self, price: str = "100", volume: int = 10) -> Sequence[Event]:
        self.now_ns = self.now_ns // NS_PER_MINUTE * NS_PER_MINUTE + NS_PER_MINUTE
        close = D(price)
        return self.do(
            BarClosed(
                time_ns=self.now_ns,
                instrument=BTC,
                interval_ns=NS_PER_MINUTE,
                open=close,
                high=close,
                low=close,
                close=close,
                volume=D(volume),
            )
        )

    def clock(self, seconds: int) -> Sequence[Event]:
        """So much later by the clock, which the venue's adapter tells."""
        self.now_ns += seconds * NS_PER_SECOND
        return self.hear(VenueContact(time_ns=0, connected=True, at_ns=self.now_ns))

    @property
    def placed(self) -> list[PlaceOrder]:
        return [command for command in self.sent if isinstance(command, PlaceOrder)]

    @property
    def last(self) -> PlaceOrder:
        return self.placed[-1]

    def cancels(self) -> list[ClientOrderId]:
        return [each.client_order_id for each in self.sent if isinstance(each, CancelOrder)]

    def fill(self, order: PlaceOrder, quantity: str = "", price: str = "100") -> Sequence[Event]:
        self.trades += 1
        return self.hear(
            VenueTraded(
                **about(order),
                trade_id=str(self.trades),
                venue_time_ns=1,
                side=order.side,
                quantity=D(quantity) if quantity else order.quantity,
                price=D(price),
                fee=ZERO,
                fee_currency="USDT",
                slippage=ZERO,
            )
        )

    def close(self, order: PlaceOrder) -> Sequence[Event]:
        return self.hear(VenueClosed(**about(order), cancelled=True, reason=""))

    def cancel(self, order: EventId = PARENT) -> Sequence[Event]:
        return self.do(
            CancelRequested(
                time_ns=self.now_ns,
                account=AccountId("main"),
                order=order,
                cause=EventId("d"),
                reason="not wanted",
            )
        )

    def ends(self) -> list[OrderWorked]:
        return [event for event in self.said if isinstance(event, OrderWorked)]


def about(order: PlaceOrder) -> dict[str, Any]:
    return {"time_ns": 0, "client_order_id": order.client_order_id, "instrument": BTC}


def kinds(said: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in said]


def bracketed() -> Live:
    """A bracket that has entered, and whose stop rests."""
    live = Live()
    live.do(approved("bracket", **BRACKET))
    live.fill(live.last)
    assert live.last.kind is OrderKind.STOP
    return live


# --- children


def test_children_have_ids_of_their_own_and_name_their_parent() -> None:
    live = Live()
    live.do(approved(slices=2, jitter=0))
    (intended,) = [event for event in live.said if isinstance(event, OrderIntended)]
    assert (intended.order, intended.parent) == (child_order_id(PARENT, 0), PARENT)
    assert live.last.client_order_id == intended.client_order_id == client_order_id(intended.order)
    assert live.last.quantity == D("0.5")
    said = live.fill(live.last)
    assert isinstance(said[0], OrderFilled)
    assert (said[0].order, said[0].parent, said[0].strategy) == (intended.order, PARENT, "s")


def test_the_clock_alone_moves_a_schedule_on() -> None:
    live = Live()
    live.do(approved(slices=10, jitter=0))
    for number in range(1, 10):
        live.clock(59)
        assert len(live.placed) == number
        live.clock(1)
        assert len(live.placed) == number + 1


def test_quotes_move_what_rests() -> None:
    live = Live()
    live.do(approved("post_only", requote_every="1s"))
    for bid in ("100", "101"):
        live.now_ns += 2 * NS_PER_SECOND
        quote = QuoteChanged(
            time_ns=live.now_ns,
            instrument=BTC,
            bid=D(bid),
            bid_quantity=D(1),
            ask=D(bid) + 1,
            ask_quantity=D(1),
        )
        live.do(quote)
    (first,) = live.placed
    assert (first.limit_price, first.time_in_force) == (D(100), TimeInForce.POST_ONLY)
    assert live.cancels() == [first.client_order_id]
    live.close(first)
    assert live.last.limit_price == D(101)


def test_a_repeated_approval_of_a_parent_is_left_alone_even_long_after() -> None:
    live = Live()
    parent = approved(slices=1, jitter=0)
    live.do(parent)
    live.fill(live.last)
    assert len(live.ends()) == 1
    for number in range(30):
        other = approved(order=derive_id("other", "order", number), slices=1, jitter=0)
        live.do(other)
        live.fill(live.last)
    placed = len(live.placed)
    assert not live.do(parent)
    assert len(live.placed) == placed


def test_a_late_trade_of_a_child_corrects_what_was_measured() -> None:
    live = Live()
    live.do(approved(slices=1, jitter=0))
    child = live.last
    live.cancel()
    live.close(child)
    assert [each.filled for each in live.ends()] == [0]
    said = live.fill(child, "0.3")
    assert isinstance(said[0], OrderPartiallyFilled)
    assert [each.filled for each in live.ends()] == [D(0), D("0.3")]
    assert len({each.id for each in live.ends()}) == 2


def test_a_child_in_doubt_stays_reserved_and_is_asked_about() -> None:
    live = Live()
    live.do(approved(slices=2, jitter=0))
    child = live.last
    said = live.hear(VenueUnreachable(**about(child), reason="no answer"))
    assert kinds(said) == [OrderUnknown]
    assert isinstance(said[0], OrderUnknown)
    assert said[0].parent == PARENT
    assert isinstance(live.sent[-1], QueryOrder)
    live.clock(300)
    assert [order.quantity for order in live.placed] == [D("0.5"), D("0.5")]
    live.clock(300)
    assert live.ends() == []
    live.close(live.last)
    live.hear(VenueNotFound(**about(child)))
    assert [each.leftover for each in live.ends()] == [D(1)]


def test_a_child_that_the_venue_refuses_is_tried_again_and_then_no_more() -> None:
    live = Live()
    live.do(approved(slices=1, jitter=0, max_failures=2, retry_delay="10s"))
    live.hear(VenueRejected(**about(live.last), reason="no funds"))
    live.clock(10)
    assert len(live.placed) == 2
    live.hear(VenueRejected(**about(live.last), reason="no funds"))
    (end,) = live.ends()
    assert end.leftover_reason == "rejected"
    assert "no funds" in end.detail


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": "{"}, "expected parameters as JSON"),
        ({"params": '{"slces": 1}'}, "slces"),
        ({"name": "twop"}, "expected an algo of"),
        ({"end_ns": START}, "after its start"),
    ],
)
def test_an_order_that_cannot_be_worked_so_is_refused(changes: dict[str, Any], words: str) -> None:
    live = Live()
    order = approved()
    assert order.algo is not None
    fields = {name: getattr(order.algo, name) for name in AlgoOrder.__struct_fields__}
    wrong = {name: getattr(order, name) for name in OrderApproved.__struct_fields__}
    (said,) = live.do(OrderApproved(**wrong | {"algo": AlgoOrder(**fields | changes)}))
    assert isinstance(said, OrderRejected)
    assert words in said.reason
    assert not live.placed
    assert not live.core.execution.busy


# --- ends that somebody asks for


def test_to_cancel_a_parent_is_to_cancel_its_children() -> None:
    live = Live()
    live.do(approved(slices=2, jitter=0))
    live.clock(300)
    live.cancel()
    assert live.cancels() == [order.client_order_id for order in live.placed]
    for order in live.placed:
        live.close(order)
    (end,) = live.ends()
    assert (end.leftover_reason, end.detail) == ("stopped", "not wanted")
    live.clock(300)
    assert len(live.placed) == 2


def test_a_stop_ends_entries_and_leaves_what_protects() -> None:
    live = bracketed()
    live.do(approved(order=EventId("b" * 32), slices=2, jitter=0))
    live._heard(live.core.leave(live.now_ns))
    assert live.cancels() == [live.placed[2].client_order_id]
    assert not live.core.left
    live.close(live.placed[2])
    assert live.core.left
    assert live.core.execution.parents.busy, "the bracket protects what it has entered"


def test_a_halt_of_everything_ends_brackets_too() -> None:
    live = Live()
    live.core = LiveExecution(ExecutionSettings.model_validate({"cancel_all": {"on_halt": "all"}}))
    live.do(InstrumentListed(time_ns=1, instrument=BTC, rules=RULES))
    live.do(approved("bracket", **BRACKET))
    live.fill(live.last)
    live.do(TradingHalted(time_ns=live.now_ns, scope="*", issuer="t", reason="t"))
    assert live.cancels() == [live.last.client_order_id]
    live.close(live.last)
    assert [each.unprotected for each in live.ends()] == [D(1)]


def test_lost_contact_ends_entries() -> None:
    live = Live()
    live.do(approved(slices=2, jitter=0))
    for _ in range(3):
        live.now_ns += 40 * NS_PER_SECOND
        live.hear(VenueContact(time_ns=0, connected=False, at_ns=live.now_ns))
    assert live.cancels() == [live.last.client_order_id]


# --- what has to wait


def flatten(**changes: Any) -> OrderApproved:
    flat: dict[str, Any] = {"side": Side.SELL, "reduce_only": True} | changes
    return approved(None, EventId("f" * 32), **flat)


def test_an_order_waits_until_what_would_trade_the_same_way_is_gone() -> None:
    live = bracketed()
    stop = live.last
    live.cancel()
    assert not live.do(flatten())
    assert live.last is stop
    assert live.core.execution.busy
    said = live.close(stop)
    assert kinds(said) == [OrderCancelled, OrderWorked, OrderIntended]
    assert (live.last.side, live.last.quantity) == (Side.SELL, D(1))


def test_what_traded_meanwhile_is_not_traded_again() -> None:
    live = bracketed()
    stop = live.last
    live.cancel()
    live.do(flatten())
    live.fill(stop, "0.4", "95")
    live.close(stop)
    assert live.last.quantity == D("0.6")
    said = live.fill(live.last)
    assert isinstance(said[0], OrderFilled)
    assert said[0].order == EventId("f" * 32)
    assert said[0].remaining == 0
    assert live.core.execution.ledger.positions[BTC].quantity == 0


def test_an_order_that_was_traded_for_is_not_placed_at_all() -> None:
    live = bracketed()
    stop = live.last
    live.cancel()
    live.do(flatten())
    said = live.fill(stop, price="95")
    (rejected,) = [event for event in said if isinstance(event, OrderRejected)]
    assert rejected.order == EventId("f" * 32)
    assert "has traded all of it" in rejected.reason
    assert live.last is stop
    assert not live.core.execution.busy


def test_an_order_that_expires_while_it_waits_is_not_placed() -> None:
    live = bracketed()
    live.cancel()
    live.do(flatten(expires_at_ns=START + 30 * NS_PER_SECOND))
    live.clock(31)
    said = live.close(live.last)
    assert OrderRejected in kinds(said)
    assert live.last.kind is OrderKind.STOP


def test_an_order_that_is_cancelled_while_it_waits_is_not_placed() -> None:
    live = bracketed()
    live.cancel()
    live.do(flatten())
    (said,) = live.cancel(EventId("f" * 32))
    assert isinstance(said, OrderRejected)
    assert OrderIntended not in kinds(live.close(live.last))


def test_what_is_worked_waits_likewise() -> None:
    live = bracketed()
    stop = live.last
    live.cancel()
    live.do(
        approved("twap", EventId("f" * 32), side=Side.SELL, reduce_only=True, slices=1, jitter=0)
    )
    live.fill(stop, "0.4", "95")
    live.close(stop)
    assert (live.last.quantity, live.last.reduce_only) == (D("0.6"), True)


def test_an_order_the_other_way_waits_for_nothing() -> None:
    live = bracketed()
    live.cancel()
    said = live.do(approved(None, EventId("e" * 32)))
    assert kinds(said) == [OrderIntended]


# --- restarts


def test_a_restart_goes_on_with_the_same_children() -> None:
    live = Live()
    live.do(approved(slices=4, jitter=0))
    live.hear(VenueAccepted(**about(live.last), venue_order_id="1"))
    live.restart()
    assert isinstance(live.sent[-1], QueryOrder)
    live.clock(150)
    ids = [order.client_order_id for order in live.placed]
    assert ids == [client_order_id(child_order_id(PARENT, number)) for number in (0, 1)]


def test_what_waits_waits_after_a_restart_too() -> None:
    live = bracketed()
    stop = live.last
    live.cancel()
    live.do(flatten())
    live.fill(stop, "0.4", "95")
    live.restart()
    live.close(stop)
    assert live.last.quantity == D("0.6")


# --- whatever the venue says

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["accept", "part", "fill", "close", "expire", "reject", "doubt", "not found", "clock",
             "bar", "restart", "stop", "again"]
        ),
        st.integers(0, 5),
    ),
    max_size=40,
)  # fmt: skip

ALGOS: dict[AlgoName, dict[str, Any]] = {
    "twap": {"slices": 4},
    "vwap": {"slices": 4, "profile": [1, 2], "finish": "market"},
    "pov": {"rate": "0.05"},
    "iceberg": {"visible": "0.3"},
    "post_only": {},
    "bracket": BRACKET,
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*ALGOS]), STEPS)
def test_the_sum_of_the_children_never_exceeds_the_parent(
    name: AlgoName, steps: list[tuple[str, int]]
) -> None:
    limit = "100" if name == "iceberg" else None
    live, prices = Live(), ("100", "96", "112", "94")
    parent = approved(name, limit=limit, **ALGOS[name])
    live.do(parent)
    for step, which in steps:
        play(live, parent, step, which, prices[which % 4])
        orders = list(live.core.execution.working.values())
        for side in Side:
            traded = total(live, side)
            left = sum((each.remaining for each in orders if each.sent.side is side), ZERO)
            bound = D(1) if side is Side.BUY else total(live, Side.BUY)
            assert traded + left <= bound
    ids = [order.client_order_id for order in live.placed]
    assert len(set(ids)) == len(ids), "each child is placed once"
    assert len(live.ends()) <= 1 or live.ends()[0].filled < live.ends()[-1].filled
    for event in live.said:
        if isinstance(event, OrderReport) and not isinstance(event, OrderWorked):
            assert event.parent == PARENT


def play(live: Live, parent: OrderApproved, step: str, which: int, price: str) -> None:
    """One thing that may happen; to an order that is in the market, where it concerns one."""
    working = live.core.execution.working
    found = [order for order in live.placed if order.client_order_id in working]
    if step == "clock":
        live.clock(which * 30)
    elif step == "bar":
        live.bar(price)
    elif step == "restart":
        live.restart()
    elif step == "stop":
        live.cancel()
    elif step == "again":
        live.do(parent)
    elif found:
        order = found[which % len(found)]
        remaining = working[order.client_order_id].remaining
        if step == "part" and remaining > D("0.01"):
            live.fill(order, str((remaining / 2).quantize(D("0.01"))), price)
        elif step == "fill":
            live.fill(order, str(remaining), price)
        else:
            answer(live, order, step)


def answer(live: Live, order: PlaceOrder, step: str) -> None:
    news: dict[str, VenueEvent] = {
        "accept": VenueAccepted(**about(order), venue_order_id="9"),
        "close": VenueClosed(**about(order), cancelled=True, reason=""),
        "expire": VenueClosed(**about(order), cancelled=False, reason=""),
        "reject": VenueRejected(**about(order), reason=""),
        "doubt": VenueUnreachable(**about(order), reason=""),
        "not found": VenueNotFound(**about(order)),
    }
    if step in news:
        live.hear(news[step])


def total(live: Live, side: Side) -> Decimal:
    fills = (e for e in live.said if isinstance(e, OrderFilled | OrderPartiallyFilled))
    return sum((fill.quantity for fill in fills if fill.side is side), ZERO)
