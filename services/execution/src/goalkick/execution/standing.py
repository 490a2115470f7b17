"""How a live account stands, for `/info` and `/metrics`: doubt, what is others', lost contact."""

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from goalkick.common.runtime.standing import Looks
from goalkick.common.telemetry import names
from goalkick.common.values.money import plain
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.live import LiveExecution
from goalkick.execution.order_state import Order, OrderStatus


def lines(core: LiveExecution, now_ns: int) -> Sequence[str]:
    """What a person should know; nothing, where there is no doubt and nobody else's order."""
    told = [
        f"{order.sent.client_order_id} of {order.approved.instrument}: fate unknown for "
        f"{(now_ns - order.unknown_ns) / NS_PER_SECOND:.1f} s, up to {plain(order.remaining)} of "
        f"{plain(order.sent.quantity)} may still trade"
        for order in _unknown(core)
    ]
    contact, book = core.contact, core.book
    if contact.lost_ns:
        told.append(f"the venue is not heard for {_seconds(contact.lost_ns, now_ns):.1f} s")
    told += [
        f"{instrument}: bars are stale"
        for instrument in sorted({*contact.stale, *contact.blind(0)})
    ]
    told += [
        f"{currency}: the venue holds {plain(off)} more than is expected"
        if off > 0
        else f"{currency}: the venue holds {plain(-off)} less than is expected"
        for currency, off in sorted(book.told.items())
    ]
    if book.orders or book.trades:
        told.append(f"of others: {len(book.orders)} orders, {len(book.trades)} fills were seen")
    return told


def _unknown(core: LiveExecution) -> Iterator[Order]:
    orders = core.execution.working.values()
    return (order for order in orders if order.status is OrderStatus.UNKNOWN)


def _oldest(core: LiveExecution, now_ns: int) -> float:
    return max((_seconds(each.unknown_ns, now_ns) for each in _unknown(core)), default=0.0)


def _lost(core: LiveExecution, now_ns: int) -> float:
    return _seconds(core.contact.lost_ns, now_ns) if core.contact.lost_ns else 0.0


def _seconds(since_ns: int, now_ns: int) -> float:
    return max(0, now_ns - since_ns) / NS_PER_SECOND


LOOKS = Looks(
    lines,
    MappingProxyType(
        {
            names.ORDERS_UNKNOWN: lambda core, _: float(sum(1 for _ in _unknown(core))),
            names.ORDERS_UNKNOWN_SECONDS: _oldest,
            names.DIFFERING_CURRENCIES: lambda core, _: float(len(core.book.told)),
            names.VENUE_LOST_SECONDS: _lost,
        }
    ),
)
"""What there is to see in a live account's core."""
