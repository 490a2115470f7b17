"""May this order be? The checks, in the order in which they are made; the first "no" counts.

Each check is a pure function of a `Proposal`. Adding one is adding a line to `CHECKS`.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from goalkick.common.events.market import VenueStatus
from goalkick.common.events.order import RefusalCode
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ONE, ZERO, plain
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Account, Book


class Refusal(msgspec.Struct, frozen=True):
    """A "no" with its reason."""

    code: RefusalCode
    detail: str
    numbers: dict[str, Decimal]


class Proposal(msgspec.Struct, frozen=True):
    """An order that somebody would like.

    Attributes:
        quantity: signed, base currency.
        expires_at_ns: when the signal behind it expires.
        reducing: whether it only brings the expected position nearer to zero.
    """

    account: Account
    book: Book
    instrument: InstrumentId
    quantity: Decimal
    expires_at_ns: int
    reducing: bool
    settings: RiskSettings

    @property
    def after(self) -> Decimal:
        """The position once everything has traded, base currency."""
        return self.book.expected + self.quantity


def readiness(
    account: Account, book: Book, expires_at_ns: int, settings: RiskSettings
) -> Refusal | None:
    """Whether anything can be decided at all: rules and a price are known, the signal is alive."""
    if account.now_ns >= expires_at_ns:
        return Refusal(
            RefusalCode.SIGNAL_EXPIRED,
            "expected a signal that is still valid",
            {"expires_at_ns": Decimal(expires_at_ns), "now_ns": Decimal(account.now_ns)},
        )
    if book.rules is None:
        return Refusal(
            RefusalCode.UNKNOWN_INSTRUMENT, "expected the instrument to be listed first", {}
        )
    if book.price is None or not account.opened:
        return Refusal(RefusalCode.NO_PRICE, "expected a bar and an opening balance first", {})
    if book.rules.quote != settings.currency:
        return Refusal(
            RefusalCode.UNKNOWN_INSTRUMENT,
            f"expected an instrument paid in {settings.currency}, found {book.rules.quote}",
            {},
        )
    return None


def _venue(p: Proposal) -> Refusal | None:
    if p.book.status is VenueStatus.TRADING:
        return None
    return Refusal(RefusalCode.VENUE_HALTED, f"the venue says {p.book.status}", {})


def _fresh(p: Proposal) -> Refusal | None:
    limit = p.settings.max_data_age or 2 * p.book.interval_ns
    age = p.account.now_ns - p.book.bar_ns
    if not p.book.stale and age <= limit:
        return None
    return Refusal(
        RefusalCode.STALE_DATA,
        "expected a fresh price",
        {"age_ns": Decimal(age), "max_data_age_ns": Decimal(limit)},
    )


def _not_halted(p: Proposal) -> Refusal | None:
    halts, numbers = p.account.halts, {"equity": p.account.equity}
    if halts.operator:
        return Refusal(
            RefusalCode.TRADING_HALTED, f"halted by command for {halts.operator[0]}", numbers
        )
    if halts.daily:
        numbers["day_equity"] = p.account.day_equity
        return Refusal(RefusalCode.DAILY_LOSS_REACHED, "no new risk until 00:00 UTC", numbers)
    if halts.drawdown:
        numbers["peak"] = p.account.peak
        return Refusal(RefusalCode.DRAWDOWN_REACHED, "no new risk until resumed", numbers)
    return None


def _orders_known(p: Proposal) -> Refusal | None:
    if not p.book.unknown:
        return None
    return Refusal(
        RefusalCode.UNKNOWN_ORDER, f"the fate of order {p.book.unknown[0]} is not known", {}
    )


def _side(p: Proposal) -> Refusal | None:
    if p.after >= 0 or p.settings.allow_short:
        return None
    return Refusal(
        RefusalCode.SHORT_NOT_ALLOWED, "expected no short position", {"position": p.after}
    )


def _smallest(p: Proposal) -> Refusal | None:
    rules, price = p.book.rules, p.book.price or ZERO
    assert rules is not None  # `readiness` came first  # noqa: S101
    quantity = abs(p.quantity)
    if quantity < rules.min_quantity:
        return Refusal(
            RefusalCode.BELOW_MIN_QUANTITY,
            "smaller than the venue takes",
            {"quantity": quantity, "min_quantity": rules.min_quantity},
        )
    if quantity * price < rules.min_notional:
        return Refusal(
            RefusalCode.BELOW_MIN_NOTIONAL,
            "worth less than the venue takes",
            {"notional": quantity * price, "min_notional": rules.min_notional},
        )
    return None


def _cash(p: Proposal) -> Refusal | None:
    if p.settings.allow_borrowing or p.quantity < 0:
        return None
    rules, price = p.book.rules, p.book.price or ZERO
    assert rules is not None  # `readiness` came first  # noqa: S101
    needed = p.quantity * price * (ONE + rules.taker_fee)
    free = p.account.cash - sum(
        (q * (b.price or ZERO) for b in p.account.books.values() for q in b.buying), ZERO
    )
    if needed <= free:
        return None
    return Refusal(
        RefusalCode.INSUFFICIENT_CASH,
        "expected the cash to pay for it",
        {"needed": needed, "free": free},
    )


def _worst_notional(p: Proposal) -> Decimal:
    """Worst case of the instrument with the proposed order, quote currency."""
    return p.book.worst_with(p.quantity) * (p.book.price or ZERO)


def _notional(book: Book) -> Decimal:
    return book.worst * (book.price or ZERO)


def _instrument_cap(p: Proposal) -> Refusal | None:
    return _capped(
        RefusalCode.INSTRUMENT_CAP, p, _worst_notional(p), p.settings.max_instrument_exposure
    )


def _gross_cap(p: Proposal) -> Refusal | None:
    others = sum(
        (_notional(b) for b in p.account.books.values() if b is not p.book), _worst_notional(p)
    )
    return _capped(RefusalCode.GROSS_CAP, p, others, p.settings.max_gross_exposure)


def _net_cap(p: Proposal) -> Refusal | None:
    net = p.after * (p.book.price or ZERO)
    for book in p.account.books.values():
        if book is not p.book:
            net += book.expected * (book.price or ZERO)
    return _capped(RefusalCode.NET_CAP, p, abs(net), p.settings.max_net_exposure)


def _capped(code: RefusalCode, p: Proposal, exposure: Decimal, cap: Decimal) -> Refusal | None:
    limit = p.account.equity * cap
    if exposure <= limit:
        return None
    return Refusal(
        code,
        f"expected at most {plain(cap)} x equity",
        {"exposure": exposure, "limit": limit, "equity": p.account.equity},
    )


def _position_count(p: Proposal) -> Refusal | None:
    held = 1 + sum(1 for b in p.account.books.values() if b is not p.book and b.worst)
    if held <= p.settings.max_positions:
        return None
    return Refusal(
        RefusalCode.POSITION_COUNT_CAP,
        "expected fewer instruments at once",
        {"positions": Decimal(held), "max_positions": Decimal(p.settings.max_positions)},
    )


CHECKS: tuple[Callable[[Proposal], Refusal | None], ...] = (
    _venue,
    _fresh,
    _not_halted,
    _orders_known,
    _side,
    _smallest,
    _cash,
    _position_count,
    _instrument_cap,
    _gross_cap,
    _net_cap,
)
"""For an order that adds risk."""

REDUCING_CHECKS: tuple[Callable[[Proposal], Refusal | None], ...] = (_venue, _orders_known)
"""For an order that only takes risk away: doubt about data or limits does not hold it back."""


def first_refusal(proposal: Proposal) -> Refusal | None:
    """The first "no" to a proposal; None if it may be."""
    for check in REDUCING_CHECKS if proposal.reducing else CHECKS:
        refusal = check(proposal)
        if refusal is not None:
            return refusal
    return None
