"""Paper execution: what trades, when, at what price; each order once; no illegal transition."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvariantError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, InstrumentListed, QuoteChanged
from goalkick.common.events.order import (
    BalanceChanged,
    CancelRequested,
    Fill,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderKind,
    OrderPartiallyFilled,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
)
from goalkick.common.events.venue import (
    QueryOrder,
    VenueAccepted,
    VenueNotFound,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.execution.core import ExecutionCore
from goalkick.execution.order_state import LEGAL, Order, OrderStatus
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings

D = Decimal
MINUTE = 60_000_000_000
BTC = InstrumentId("test:BTC/USDT")
RULES = Instrument(
    id=BTC,
    base="BTC",
    quote="USDT",
    lot_size=D("0.001"),
    min_quantity=D("0.001"),
    min_notional=D(5),
)


def listed(rules: Instrument = RULES) -> InstrumentListed:
    return InstrumentListed(time_ns=0, instrument=rules.id, rules=rules)


def bar(minute: int, prices: str, volume: str = "10") -> BarClosed:
    """The bar that closes at `minute`; prices are open, high, low, close."""
    o, h, low, c = (D(text) for text in prices.split())
    return BarClosed(
        time_ns=minute * MINUTE,
        instrument=BTC,
        interval_ns=MINUTE,
        open=o,
        high=h,
        low=low,
        close=c,
        volume=D(volume),
    )


def approved(minute: int, quantity: str = "1", side: Side = Side.BUY, **more: Any) -> OrderApproved:
    order = EventId(more.pop("order", f"order{minute}"))
    return OrderApproved(
        time_ns=minute * MINUTE,
        account=AccountId("main"),
        order=order,
        cause=EventId("cause"),
        client_order_id=client_order_id(order),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=side,
        quantity=D(quantity),
        **more,
    )


def run(events: list[Event], **settings: Any) -> list[Event]:
    core = PaperExecution(ExecutionSettings(**settings))
    core.handlers[InstrumentListed](listed())
    return [report for event in events for report in core.handlers[type(event)](event)]


def fills(reports: list[Event]) -> list[tuple[str, str]]:
    return [(str(f.quantity), str(f.price)) for f in reports if isinstance(f, Fill)]


def kinds(reports: list[Event]) -> list[type[Event]]:
    return [type(report) for report in reports]


def test_opening_balance_is_reported_once() -> None:
    core = PaperExecution(ExecutionSettings(initial_cash=D(500)))
    (balance,) = core.handlers[InstrumentListed](listed())
    assert isinstance(balance, BalanceChanged)
    assert balance.total == 500
    assert core.handlers[InstrumentListed](listed()) == ()


def test_market_order_fills_at_the_open_of_the_next_bar_and_is_reported_at_its_close() -> None:
    reports = run([bar(1, "9 11 8 10"), approved(1), bar(2, "12 13 11 12.5")])
    assert kinds(reports) == [
        OrderIntended,
        OrderAccepted,
        OrderFilled,
        PositionChanged,
        BalanceChanged,
    ]
    fill = reports[2]
    assert isinstance(fill, OrderFilled)
    assert (fill.price, fill.time_ns, fill.venue_time_ns) == (D(12), 2 * MINUTE, MINUTE)
    assert fill.fee == D("0.012")
    balance = reports[4]
    assert isinstance(balance, BalanceChanged)
    assert balance.total == D(100_000) - D(12) - D("0.012")


def test_a_bar_that_began_before_the_order_does_not_fill_it() -> None:
    hour = BarClosed(
        time_ns=60 * MINUTE,
        instrument=BTC,
        interval_ns=60 * MINUTE,
        open=D(1),
        high=D(20),
        low=D(1),
        close=D(10),
        volume=D(1),
    )
    assert fills(run([approved(30), hour])) == []


def test_repeated_approval_is_placed_once() -> None:
    reports = run([approved(1), approved(1), bar(2, "12 13 11 12"), approved(1)])
    assert kinds(reports).count(OrderIntended) == 1
    assert len(fills(reports)) == 1


def test_repeated_approval_after_restore_is_not_placed_again() -> None:
    before, after = PaperExecution(ExecutionSettings()), PaperExecution(ExecutionSettings())
    traded = approved(1, order="traded")
    working = approved(2, order="working", kind=OrderKind.LIMIT, limit_price=D(1))
    for event in (listed(), traded, bar(2, "12 13 11 12"), working):
        before.handlers[type(event)](event)
    after.restore(before.snapshot())
    assert after.handlers[OrderApproved](traded) == []
    assert after.handlers[OrderApproved](working) == []
    assert after.snapshot() == before.snapshot()


def test_a_longer_bar_trades_nothing_that_shorter_ones_did_not() -> None:
    """Its volume was there for us once already, in the shorter bars that it sums up."""
    longer = msgspec.structs.replace(bar(6, "10 10 10 10", "20"), interval_ns=5 * MINUTE)
    events: list[Event] = [
        bar(1, "10 10 10 10"),
        approved(1, "0.9"),
        *(bar(minute, "10 10 10 10", "1") for minute in (2, 3, 4, 5, 6)),
        longer,
    ]
    reports = run(events, max_volume_share=D("0.1"))
    assert [q for q, _ in fills(reports)] == ["0.1"] * 5


def test_longer_bars_trade_where_shorter_ones_have_ceased() -> None:
    later = msgspec.structs.replace(bar(11, "10 10 10 10"), interval_ns=5 * MINUTE)
    assert fills(run([bar(1, "10 10 10 10"), approved(1), later])) == [("1", "10")]


@pytest.mark.parametrize(
    ("side", "kind", "level", "prices", "expected"),
    [
        (Side.BUY, "limit", "9", "10 11 9.5 10", None),
        (Side.BUY, "limit", "9", "10 11 8 10", "9"),
        (Side.BUY, "limit", "9", "8.5 11 8 10", "8.5"),
        (Side.SELL, "limit", "12", "10 11 9 10", None),
        (Side.SELL, "limit", "12", "10 13 9 10", "12"),
        (Side.SELL, "limit", "12", "12.5 13 9 10", "12.5"),
        (Side.BUY, "stop", "12", "10 11 9 10", None),
        (Side.BUY, "stop", "12", "10 13 9 10", "12"),
        (Side.BUY, "stop", "12", "12.5 13 9 10", "12.5"),
        (Side.SELL, "stop", "9", "10 11 9.5 10", None),
        (Side.SELL, "stop", "9", "10 11 8 10", "9"),
        (Side.SELL, "stop", "9", "8.5 11 8 10", "8.5"),
    ],
)
@pytest.mark.parametrize("model", ["next_open", "path"])
def test_resting_order_trades_at_its_level_or_at_a_gap_beyond_it(
    side: Side, kind: str, level: str, prices: str, expected: str | None, model: str
) -> None:
    key = "limit_price" if kind == "limit" else "stop_price"
    order = approved(1, side=side, kind=OrderKind(kind), **dict[str, Any]({key: D(level)}))
    found = fills(run([order, bar(2, prices)], fill=model))
    assert found == ([("1", expected)] if expected else [])


@pytest.mark.parametrize(
    ("model", "prices", "first"),
    [
        ("next_open", "10 13 8 12", "stop"),
        ("next_open", "10 13 8 9", "stop"),
        ("path", "10 13 8 12", "stop"),  # rose: low first, the sell stop at 9
        ("path", "10 13 8 9", "limit"),  # fell: high first, the sell limit at 12
    ],
)
def test_order_of_stop_and_limit_within_a_bar_is_the_declared_one(
    model: str, prices: str, first: str
) -> None:
    orders: list[Event] = [
        approved(1, order="limit", side=Side.SELL, kind=OrderKind.LIMIT, limit_price=D(12)),
        approved(1, order="stop", side=Side.SELL, kind=OrderKind.STOP, stop_price=D(9)),
        bar(2, prices),
    ]
    found = [r.order for r in run(orders, fill=model) if isinstance(r, Fill)]
    assert found[0] == first


def test_touch_fills_at_once_at_the_quote_of_the_other_side() -> None:
    quote = QuoteChanged(
        time_ns=MINUTE,
        instrument=BTC,
        bid=D(99),
        bid_quantity=D(1),
        ask=D(101),
        ask_quantity=D(1),
    )
    orders: list[Event] = [quote, approved(1), approved(1, order="s", side=Side.SELL)]
    assert fills(run(orders, fill="touch")) == [("1", "101"), ("1", "99")]


def test_slippage_makes_the_price_worse_and_is_reported() -> None:
    reports = run([approved(1), bar(2, "100 101 99 100")], slippage_bps=D(5))
    (fill,) = [r for r in reports if isinstance(r, Fill)]
    assert (fill.price, fill.slippage) == (D("100.05"), D("0.05"))
    reports = run([approved(1, side=Side.SELL), bar(2, "100 101 99 100")], slippage_bps=D("5.5"))
    (fill,) = [r for r in reports if isinstance(r, Fill)]
    assert fill.price == D("99.94")


def test_volume_share_fills_in_parts_and_never_takes_more() -> None:
    bars: list[Event] = [bar(minute, "10 10 10 10", "4") for minute in (2, 3, 4)]
    reports = run([approved(1, "0.9"), *bars], max_volume_share=D("0.1"))
    assert [q for q, _ in fills(reports)] == ["0.4", "0.4", "0.1"]
    parts = [kind for kind in kinds(reports) if issubclass(kind, Fill)]
    assert parts == [OrderPartiallyFilled, OrderPartiallyFilled, OrderFilled]


def test_reduce_only_order_never_opens_the_other_side() -> None:
    events: list[Event] = [
        approved(1, "1"),
        bar(2, "10 10 10 10"),
        approved(2, "3", Side.SELL, reduce_only=True),
        bar(3, "10 10 10 10"),
        bar(4, "10 10 10 10"),
    ]
    reports = run(events)
    assert [q for q, _ in fills(reports)] == ["1", "1"]
    assert kinds(reports)[-1] is OrderExpired


def test_cancel_takes_a_resting_order_out_and_a_finished_order_stays_finished() -> None:
    cancel = CancelRequested(
        time_ns=MINUTE,
        account=AccountId("main"),
        order=EventId("order1"),
        cause=EventId("x"),
        reason="",
    )
    order = approved(1, kind=OrderKind.LIMIT, limit_price=D(5))
    reports = run([order, cancel, cancel, bar(2, "4 4 4 4")])
    assert kinds(reports) == [OrderIntended, OrderAccepted, OrderCancelled]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": "0.0015"}, "multiple of 0.001"),
        ({"quantity": "0.4"}, "notional of at least 5"),
        ({"kind": OrderKind.LIMIT, "limit_price": D("1.001")}, "on the grid of 0.01"),
        ({"kind": OrderKind.STOP}, "expected a price"),
        ({"expires_at_ns": MINUTE}, "expired before"),
    ],
)
def test_venue_rejects_what_breaks_its_rules_and_says_why(
    changes: dict[str, Any], reason: str
) -> None:
    rejected = run([bar(1, "10 10 10 10"), approved(1, **changes)])[-1]
    assert isinstance(rejected, OrderRejected)
    assert reason in rejected.reason


def test_unknown_order_is_asked_for_and_ends_by_the_venues_evidence_only() -> None:
    core = ExecutionCore(ExecutionSettings())
    core.handlers[OrderApproved](approved(1))
    handle = client_order_id(EventId("order1"))
    lost = VenueUnreachable(time_ns=MINUTE, client_order_id=handle, instrument=BTC, reason="cut")
    assert kinds(list(core.handlers[VenueUnreachable](lost))) == [OrderUnknown, QueryOrder]
    assert kinds(list(core.handlers[VenueUnreachable](lost))) == [QueryOrder]
    assert core.working[handle].status is OrderStatus.UNKNOWN
    gone = VenueNotFound(time_ns=MINUTE, client_order_id=handle, instrument=BTC)
    assert kinds(list(core.handlers[VenueNotFound](gone))) == [OrderRejected]
    assert not core.working


def test_that_a_venue_no_longer_knows_what_it_had_accepted_is_no_evidence() -> None:
    core = ExecutionCore(ExecutionSettings())
    core.handlers[OrderApproved](approved(1))
    handle = client_order_id(EventId("order1"))
    found = VenueAccepted(
        time_ns=MINUTE, client_order_id=handle, instrument=BTC, venue_order_id="7"
    )
    assert kinds(list(core.handlers[VenueAccepted](found))) == [OrderAccepted]
    gone = VenueNotFound(time_ns=MINUTE, client_order_id=handle, instrument=BTC)
    assert kinds(list(core.handlers[VenueNotFound](gone))) == [OrderUnknown, QueryOrder]
    assert core.working[handle].status is OrderStatus.UNKNOWN


def test_a_trade_is_booked_once_and_never_above_the_approved_quantity() -> None:
    core = ExecutionCore(ExecutionSettings())
    core.handlers[OrderApproved](approved(1))
    trade = VenueTraded(
        time_ns=MINUTE,
        client_order_id=client_order_id(EventId("order1")),
        instrument=BTC,
        trade_id="1",
        venue_time_ns=MINUTE,
        side=Side.BUY,
        quantity=D("0.6"),
        price=D(10),
        fee=D(0),
        fee_currency="USDT",
        slippage=D(0),
    )
    assert len(core.handlers[VenueTraded](trade)) == 3
    assert core.handlers[VenueTraded](trade) == ()
    with pytest.raises(InvariantError, match=r"at most 0\.4, found 0\.6"):
        core.handlers[VenueTraded](msgspec.structs.replace(trade, trade_id="2"))


def test_news_of_a_foreign_order_is_an_error() -> None:
    core = ExecutionCore(ExecutionSettings())
    gone = VenueNotFound(time_ns=1, client_order_id=client_order_id(EventId("x")), instrument=BTC)
    with pytest.raises(InvariantError, match="order of ours"):
        core.handlers[VenueNotFound](gone)


@given(st.sampled_from(OrderStatus), st.sampled_from(OrderStatus))
def test_every_transition_outside_the_table_is_an_error(
    before: OrderStatus, after: OrderStatus
) -> None:
    order = Order(approved(1), before)
    if after in LEGAL[before]:
        order.advance(after)
        assert order.status is after
    else:
        with pytest.raises(InvariantError, match=f"found {after}"):
            order.advance(after)


steps = st.lists(
    st.tuples(
        st.sampled_from(["bar", "buy", "sell", "limit", "stop", "cancel"]),
        st.integers(90, 110),
        st.integers(0, 3),
    ),
    max_size=25,
)


def _events(script: list[tuple[str, int, int]]) -> list[Event]:
    events: list[Event] = []
    for minute, (what, price, size) in enumerate(script, start=1):
        side = Side.BUY if size % 2 else Side.SELL
        if what == "bar":
            prices = f"{price} {price + size} {price - size} {price}"
            events.append(bar(minute, prices, str(size)))
        elif what in ("buy", "sell"):
            events.append(approved(minute, f"0.{size}1", Side(what), reduce_only=size == 3))
        elif what == "cancel":
            events.append(
                CancelRequested(
                    time_ns=minute * MINUTE,
                    account=AccountId("main"),
                    order=EventId(f"order{minute - 1 - size}"),
                    cause=EventId("c"),
                    reason="",
                )
            )
        else:
            level = {"limit": "limit_price", "stop": "stop_price"}[what]
            kind = OrderKind(what)
            events.append(approved(minute, "0.5", side, kind=kind, **{level: D(price)}))
    return events


@given(steps, st.sampled_from(["next_open", "touch", "path"]), st.integers(0, 25))
def test_a_snapshot_in_between_is_invisible_and_positions_are_the_sum_of_fills(
    script: list[tuple[str, int, int]], model: str, cut: int
) -> None:
    settings = ExecutionSettings(fill=model, max_volume_share=D("0.2"), slippage_bps=D(3))
    events = [listed(), *_events(script)]
    whole = PaperExecution(settings)
    expected = [r for event in events for r in whole.handlers[type(event)](event)]
    first, second = PaperExecution(settings), PaperExecution(settings)
    found = [r for event in events[:cut] for r in first.handlers[type(event)](event)]
    second.restore(first.snapshot())
    found += [r for event in events[cut:] for r in second.handlers[type(event)](event)]
    assert found == expected
    assert second.snapshot() == whole.snapshot()
    held = sum((r.side.sign * r.quantity for r in expected if isinstance(r, Fill)), D(0))
    position = whole.execution.ledger.positions.get(BTC)
    assert held == (position.quantity if position else 0)
