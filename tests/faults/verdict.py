"""Whether a desk's books are the exchange's: the invariants that no fault and no kill may break.

1. No order is executed more than once for its intent.
2. No intent stays without an end (the trial itself watches the time).
3. Reports, fills, position and cash equal the exchange's ledger.
4. The exchange itself neither makes nor loses money.

Books and trades of the market are no part of it: a desk sees none.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from goalkick.common.events.base import Event
from goalkick.common.events.order import (
    Fill,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
)
from goalkick.common.values.money import ZERO
from goalkick.execution.venues.dialect import OURS
from goalkick.venue.engine.ledger import AccountLedger, Ledger
from goalkick.venue.engine.model import Fill as VenueFill
from goalkick.venue.engine.model import Order, Status
from tests.faults.desk import ACCOUNT
from tests.faults.messages import Books
from tests.faults.record import ENDS, Record

Fault = Literal["duplicate", "lost", "difference", "stuck", "forgotten", "crash", "venue"]
"""`duplicate`: executed twice. `lost`: an order or a fill that the desk does not know of.
`difference`: told otherwise than it is. `stuck`: no end in time. `forgotten`: a cancel without
effect. `crash`: the desk ended by itself. `venue`: the exchange's own books are wrong."""

_ENDED_AS: Mapping[Status, type[Event]] = {
    Status.FILLED: OrderFilled,
    Status.CANCELLED: OrderCancelled,
    Status.EXPIRED: OrderExpired,
    Status.EXPIRED_IN_MATCH: OrderExpired,
    Status.REJECTED: OrderRejected,
}


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong."""

    fault: Fault
    text: str


def judge(
    ledger: Ledger,
    approved: Sequence[OrderApproved],
    record: Record,
    books: Books | None,
    venue: str,
) -> list[Finding]:
    """What is wrong, after everything has come to rest.

    Args:
        ledger: the exchange's.
        approved: orders that risk approved.
        record: what the desk reported.
        books: what it believes to have; None: it did not say.
        venue: `binance`, which tells trades by the trade's number, or `bybit`, by the execution's.
    """
    account = ledger.accounts[ACCOUNT]
    findings: list[Finding] = []
    for order in approved:
        judged = _judge_order if order.algo is None else _judge_worked
        findings += judged(order, account, record, venue)
    handles = handles_of(approved, record)
    told_of = {order.client_order_id for order in account.orders}
    if unknown := {each for each in told_of if each.startswith(OURS)} - handles:
        findings.append(Finding("lost", f"nobody reported {sorted(unknown)}"))
    fills = [fill for fill in account.fills if fill.client_order_id in handles]
    findings += _judge_books(account, fills, books)
    findings += _judge_balances(account)
    if ledger.deposited() != ledger.held():
        findings.append(Finding("venue", f"{ledger.deposited()} came in, {ledger.held()} is held"))
    return findings


def _judge_order(
    approved: OrderApproved, account: AccountLedger, record: Record, venue: str
) -> Iterable[Finding]:
    handle = approved.client_order_id
    found = [order for order in account.orders if order.client_order_id == handle]
    reports = record.of(handle)
    executed = sum((order.executed for order in found), ZERO)
    if len(found) > 1 or executed > approved.quantity:
        yield Finding("duplicate", f"{handle}: {len(found)} orders, {executed} executed")
    ends = [event for event in reports if isinstance(event, ENDS)]
    if not ends:
        yield Finding("lost", f"{handle}: no end was reported, the venue has {_short(found)}")
        return
    if len(ends) > 1:
        yield Finding("difference", f"{handle}: more than one end: {ends}")
    yield from _judge_end(ends[0], found)
    numbered = {
        str(fill.trade_id if venue == "binance" else fill.execution_id): fill
        for order in found
        for fill in order.fills
    }
    yield from _judge_fills(handle, reports, numbered)


def handles_of(approved: Sequence[OrderApproved], record: Record) -> set[str]:
    """Client order ids of orders, and of the children that were reported of them."""
    return {order.client_order_id for order in approved} | {
        each.client_order_id for order in approved for each in _children(order, record)
    }


def _children(approved: OrderApproved, record: Record) -> list[OrderIntended]:
    reports = record.about(approved.order)
    return [event for event in reports if isinstance(event, OrderIntended) and event.parent]


def _judge_worked(
    approved: OrderApproved, account: AccountLedger, record: Record, venue: str
) -> Iterable[Finding]:
    """Each child as any order, and all together against what was approved and what was told."""
    children = _children(approved, record)
    for child in children:
        yield from _judge_order(
            msgspec.structs.replace(
                approved, order=child.order, client_order_id=child.client_order_id
            ),
            account,
            record,
            venue,
        )
    handles = {child.client_order_id for child in children}
    executed = sum((o.executed for o in account.orders if o.client_order_id in handles), ZERO)
    name = approved.client_order_id
    if executed > approved.quantity:
        yield Finding("duplicate", f"{name}: {executed} of {approved.quantity} executed")
    ends = [event for event in record.of(name) if isinstance(event, ENDS)]
    if not ends:
        yield Finding("lost", f"{name}: no end was reported of what an algo works")
    elif getattr(ends[-1], "filled", ZERO) != executed:
        yield Finding("difference", f"{name}: {executed} executed, reported was {ends[-1]}")


def _judge_end(end: Event, found: Sequence[Order]) -> Iterable[Finding]:
    expected = _ENDED_AS.get(found[0].status) if found else OrderRejected
    executed = found[0].executed if found else ZERO
    right = expected is type(end) and getattr(end, "filled", executed) == executed
    if not right:
        yield Finding("difference", f"the venue has {_short(found)}, reported was {end}")


def _judge_fills(
    handle: str, reports: Sequence[Event], true: Mapping[str, VenueFill]
) -> Iterable[Finding]:
    told = {each.trade_id: each for each in reports if isinstance(each, Fill)}
    if missing := true.keys() - told.keys():
        yield Finding("lost", f"{handle}: trades {sorted(missing)} were not reported")
    if more := told.keys() - true.keys():
        yield Finding("duplicate", f"{handle}: trades {sorted(more)} were reported and never were")
    for number in true.keys() & told.keys():
        ours, theirs = told[number], true[number]
        if (str(ours.side), ours.quantity, ours.price, ours.fee, ours.fee_currency) != (
            str(theirs.side),
            theirs.quantity,
            theirs.price,
            theirs.fee,
            theirs.fee_asset,
        ):
            yield Finding("difference", f"{handle}: the venue has {theirs}, reported was {ours}")


def _judge_books(
    account: AccountLedger, fills: Sequence[VenueFill], books: Books | None
) -> Iterable[Finding]:
    if books is None:
        yield Finding("stuck", "the desk does not say what it has")
        return
    held = sum((_held(fill) for fill in fills), ZERO)
    if books.position != held:
        yield Finding("difference", f"the venue's fills make {held}, the desk has {books.position}")
    # Not the balance, which orders by hand change as well.
    opening = sum((each.amount for each in account.deposits if each.asset == "USDT"), ZERO)
    cash = opening + sum((_earned(fill) for fill in fills), ZERO)
    if books.cash != cash:
        yield Finding("difference", f"the venue's fills leave {cash}, the desk has {books.cash}")


def _judge_balances(account: AccountLedger) -> Iterable[Finding]:
    """Whether the venue's balances are what its fills make of its deposits."""
    for asset, change in (("BTC", _held), ("USDT", _earned)):
        came = sum((each.amount for each in account.deposits if each.asset == asset), ZERO)
        expected = came + sum((change(fill) for fill in account.fills), ZERO)
        found = account.balances[asset]
        if found.free + found.locked != expected:
            yield Finding("venue", f"fills make {expected} {asset}, the balance is {found}")


def _held(fill: VenueFill) -> Decimal:
    signed = fill.quantity if fill.side == "buy" else -fill.quantity
    return signed - (fill.fee if fill.fee_asset == "BTC" else ZERO)


def _earned(fill: VenueFill) -> Decimal:
    signed = -fill.quote_quantity if fill.side == "buy" else fill.quote_quantity
    return signed - (fill.fee if fill.fee_asset == "USDT" else ZERO)


def _short(orders: Sequence[Order]) -> str:
    return ", ".join(f"{o.status} {o.executed}/{o.quantity}" for o in orders) or "none"
