"""May this order be? The checks, in the order in which they are made; the first "no" counts.

Each check is a pure function of a `Proposal`. Adding one is adding a line to `CHECKS`.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from goalkick.common.events.market import VenueStatus
from goalkick.common.events.order import RefusalCode
from goalkick.common.values.money import ONE, ZERO, plain
from goalkick.risk.settings import RiskSettings
from goalkick.risk.state import Account, Book


class Refusal(msgspec.Struct, frozen=True):
    """A "no" with its reason."""

    code: RefusalCode
    detail: str
    numbers: dict[str, Decimal]


class Proposal:
    """An order that somebody would like, weighed once against the whole account.

    Attributes:
        quantity: signed, base currency.
        reducing: whether it only brings the expected position nearer to zero; what follows is
            then not worked out, because no check asks for it.
        after: the position once everything has traded, base currency.
        equity: of the account, quote currency.
        notional: worst case of the instrument with this order, quote currency.
        gross: the same of all instruments together.
        net: of all instruments once everything has traded: longs less shorts, quote currency.
        buying: what working buys may still cost, quote currency.
        held: instruments that are held or may be.
    """

    __slots__ = (
        "account",
        "after",
        "book",
        "buying",
        "equity",
        "gross",
        "held",
        "net",
        "notional",
        "price",
        "quantity",
        "reducing",
        "settings",
    )

    def __init__(
        self,
        account: Account,
        book: Book,
        quantity: Decimal,
        reducing: bool,
        settings: RiskSettings,
    ) -> None:
        """Weighs it; `book` must have a price."""
        self.account = account
        self.book = book
        self.quantity = quantity
        self.reducing = reducing
        self.settings = settings
        if reducing:
            return
        self.price = book.price or ZERO
        self.after = book.expected + quantity
        self.equity = account.equity
        self.notional = self.gross = book.worst_with(quantity) * self.price
        self.net = self.after * self.price
        self.buying = ZERO
        self.held = 1
        if book.external:
            self.net += book.external * self.price
        for each in account.books.values():
            price = each.mark
            if each.working:
                self.buying += sum(each.buying, ZERO) * price
            if each is not book:
                worst = each.worst
                self.held += bool(worst)
                self.gross += worst * price
                self.net += (each.expected + each.external) * price


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
    halts = p.account.halts
    if not (halts.operator or halts.daily or halts.drawdown):
        return None
    numbers = {"equity": p.equity}
    if halts.operator:
        return Refusal(
            RefusalCode.TRADING_HALTED, f"halted by command for {halts.operator[0]}", numbers
        )
    if halts.daily:
        numbers["day_equity"] = p.account.day_equity
        return Refusal(RefusalCode.DAILY_LOSS_REACHED, "no new risk until 00:00 UTC", numbers)
    numbers["peak"] = p.account.peak
    return Refusal(RefusalCode.DRAWDOWN_REACHED, "no new risk until resumed", numbers)


def _orders_known(p: Proposal) -> Refusal | None:
    if not p.book.unknown:
        return None
    return Refusal(
        RefusalCode.UNKNOWN_ORDER, f"the fate of order {p.book.unknown[0]} is not known", {}
    )


def _side(p: Proposal) -> Refusal | None:
    if p.after >= ZERO or p.settings.allow_short:
        return None
    return Refusal(
        RefusalCode.SHORT_NOT_ALLOWED, "expected no short position", {"position": p.after}
    )


def _smallest(p: Proposal) -> Refusal | None:
    rules, price = p.book.rules, p.price
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
    if p.settings.allow_borrowing or p.quantity < ZERO:
        return None
    rules = p.book.rules
    assert rules is not None  # `readiness` came first  # noqa: S101
    needed = p.quantity * p.price * (ONE + rules.taker_fee)
    free = p.account.cash + p.account.external_cash - p.buying
    if needed <= free:
        return None
    return Refusal(
        RefusalCode.INSUFFICIENT_CASH,
        "expected the cash to pay for it",
        {"needed": needed, "free": free},
    )


def _instrument_cap(p: Proposal) -> Refusal | None:
    return _capped(RefusalCode.INSTRUMENT_CAP, p, p.notional, p.settings.max_instrument_exposure)


def _gross_cap(p: Proposal) -> Refusal | None:
    return _capped(RefusalCode.GROSS_CAP, p, p.gross, p.settings.max_gross_exposure)


def _net_cap(p: Proposal) -> Refusal | None:
    return _capped(RefusalCode.NET_CAP, p, abs(p.net), p.settings.max_net_exposure)


def _capped(code: RefusalCode, p: Proposal, exposure: Decimal, cap: Decimal) -> Refusal | None:
    limit = p.equity * cap
    if exposure <= limit:
        return None
    return Refusal(
        code,
        f"expected at most {plain(cap)} x equity",
        {"exposure": exposure, "limit": limit, "equity": p.equity},
    )


def _position_count(p: Proposal) -> Refusal | None:
    if p.held <= p.settings.max_positions:
        return None
    return Refusal(
        RefusalCode.POSITION_COUNT_CAP,
        "expected fewer instruments at once",
        {"positions": Decimal(p.held), "max_positions": Decimal(p.settings.max_positions)},
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
