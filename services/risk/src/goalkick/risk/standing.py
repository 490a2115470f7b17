"""How the account stands in risk's books, for `/info` and `/metrics`: reserves, doubt, others."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from types import MappingProxyType

from goalkick.common.runtime.standing import Looks
from goalkick.common.telemetry import names
from goalkick.common.values.ids import EventId, InstrumentId
from goalkick.common.values.money import ZERO, plain
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.risk.core import RiskCore
from goalkick.risk.state import Book


def reserved(core: RiskCore) -> Decimal:
    """What orders under way may still trade, at the last prices; quote currency."""
    return sum((_value(book, quantity) for _, book, _, quantity in _working(core)), ZERO)


def reserved_unknown(core: RiskCore) -> Decimal:
    """The same of those orders only whose fate nobody knows."""
    return sum(
        (_value(book, left) for _, book, order, left in _working(core) if book.in_doubt(order)),
        ZERO,
    )


def external(core: RiskCore) -> Decimal:
    """What trades of others made of the account, at the last prices; unsigned, quote currency."""
    return sum((_value(book, book.external) for book in core.account.books.values()), ZERO)


def exposure(core: RiskCore) -> Decimal:
    """What is held, at the last prices; unsigned, quote currency."""
    return sum((_value(book, book.position) for book in core.account.books.values()), ZERO)


def net_exposure(core: RiskCore) -> Decimal:
    """The same with its sign: short is negative."""
    return sum((book.position * book.mark for book in core.account.books.values()), ZERO)


def drawdown(core: RiskCore) -> Decimal:
    """Fall of equity from the highest that the limit counts from, as a part of it."""
    account = core.account
    return max(ZERO, 1 - account.equity / account.peak) if account.peak > ZERO else ZERO


def halts(core: RiskCore) -> int:
    """For how many reasons no new risk is taken."""
    standing = core.account.halts
    return len(standing.operator) + standing.daily + standing.drawdown


def lines(core: RiskCore, now_ns: int) -> Sequence[str]:
    """What a person should know; nothing, where there is no doubt, no halt and nobody else."""
    account = core.account
    told = [
        f"{order} of {instrument}: fate unknown for {_doubt(book, order, now_ns):.1f} s, "
        f"{plain(abs(left))} of it ({plain(_value(book, left))} of cash) stay reserved"
        for instrument, book, order, left in _working(core)
        if book.in_doubt(order)
    ]
    standing = account.halts
    told += [f"halted by command for {scope}" for scope in standing.operator]
    if standing.daily:
        told.append("halted by the daily loss limit")
    if standing.drawdown:
        told.append("halted by the drawdown limit")
    if account.external_orders or account.external_fills:
        told.append(
            f"of others: {account.external_orders} orders and {account.external_fills} fills were "
            f"seen, {plain(external(core))} of exposure"
        )
    return told


def _working(core: RiskCore) -> Iterator[tuple[InstrumentId, Book, EventId, Decimal]]:
    for instrument, book in core.account.books.items():
        for order, quantity in book.working.items():
            yield instrument, book, order, quantity


def _doubt(book: Book, order: EventId, now_ns: int) -> float:
    under = book.unknown_under
    since = [ns for each, ns in book.unknown_ns.items() if order in (each, under.get(each))]
    return max(0, now_ns - min(since, default=now_ns)) / NS_PER_SECOND


def _value(book: Book, quantity: Decimal) -> Decimal:
    return abs(quantity) * book.mark


def _oldest(core: RiskCore, now_ns: int) -> float:
    books = core.account.books.values()
    since = [since_ns for book in books for since_ns in book.unknown_ns.values()]
    return max(0, now_ns - min(since)) / NS_PER_SECOND if since else 0.0


def _unknown(core: RiskCore, _: int) -> float:
    return float(sum(len(book.unknown) for book in core.account.books.values()))


LOOKS = Looks(
    lines,
    MappingProxyType(
        {
            names.ORDERS_UNKNOWN: _unknown,
            names.ORDERS_UNKNOWN_SECONDS: _oldest,
            names.RESERVED_EXPOSURE: lambda core, _: float(reserved(core)),
            names.RESERVED_UNKNOWN_EXPOSURE: lambda core, _: float(reserved_unknown(core)),
            names.EXTERNAL_EXPOSURE: lambda core, _: float(external(core)),
            names.EQUITY: lambda core, _: float(core.account.equity),
            names.DAY_PROFIT: lambda core, _: float(core.account.equity - core.account.day_equity),
            names.DRAWDOWN: lambda core, _: float(drawdown(core)),
            names.POSITIONS: lambda core, _: float(
                sum(1 for book in core.account.books.values() if book.position)
            ),
            names.EXPOSURE: lambda core, _: float(exposure(core)),
            names.NET_EXPOSURE: lambda core, _: float(net_exposure(core)),
            names.HALTS: lambda core, _: float(halts(core)),
        }
    ),
)
"""What there is to see in a risk core."""
