"""Routing: which part of an order goes to which venue, so that all of it costs the least.

Pure: books, fees and doubts come in, a `Route` comes out. Nothing goes to a venue whose book is
stale or whose account is in doubt. Costs are exact: sums of products, nothing is rounded.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import BPS, ONE, ZERO
from goalkick.execution.routing_search import Offer, Step, search

Level = tuple[Decimal, Decimal]
"""(price in quote currency, quantity in base currency)."""


class VenueBook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one venue.

    Attributes:
        venue: its name, unique among those that are compared.
        rules: the instrument's rules there, with the taker's fee.
        levels: the side that would be taken, best first; quantities positive.
        stale: whether the book is not known to be the present one.
        doubt: why the account there is in doubt (an order of unknown fate, holdings that differ, a
            halt); "": it is not.
        latency_bps: what the way to the venue is thought to cost, in basis points of notional: how
            far the price moves against us meanwhile. Compared, but not part of the cost.
        most: what the account there can trade, in base currency; None: no bound.
    """

    venue: str
    rules: Instrument
    levels: Sequence[Level]
    stale: bool = False
    doubt: str = ""
    latency_bps: Decimal = ZERO
    most: Decimal | None = None


class LeftOut(StrEnum):
    """Why a venue gets nothing."""

    STALE_BOOK = "stale_book"
    ACCOUNT_IN_DOUBT = "account_in_doubt"
    EMPTY_BOOK = "empty_book"
    """Nothing is offered within the limit price, or nothing that the account can trade."""
    BELOW_MINIMUM = "below_minimum"
    """All that could be sent there is less than it takes as one order."""
    COSTLIER = "costlier"
    """It is not needed: others cost less."""


class Omission(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that gets nothing, and why; `detail` is for people."""

    venue: str
    reason: LeftOut
    detail: str = ""


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """What one venue gets: a limit order that takes what is there at once.

    Attributes:
        quantity: in base currency.
        limit_price: the worst price that it reaches in the book, in quote currency.
        notional: what it trades for if the book stands still, in quote currency.
        fee: the taker's, on the notional, in quote currency; a venue that takes it in base
            currency takes the same share there.
        penalty: what the way is thought to cost, in quote currency.
    """

    venue: str
    quantity: Decimal
    limit_price: Decimal
    notional: Decimal
    fee: Decimal
    penalty: Decimal


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """How an order is split.

    Attributes:
        portions: by venue's name.
        omissions: the other venues, by name.
        unrouted: what no venue takes, in base currency: as little as possible.
        cost: what is paid in all with fees, in quote currency; of a sale, minus what is received.
        compared: the cost with the penalties; what was made as small as possible.
        exact: whether it is proven that no split is cheaper.
    """

    portions: tuple[Portion, ...]
    omissions: tuple[Omission, ...]
    unrouted: Decimal
    cost: Decimal
    compared: Decimal
    exact: bool


def route(
    side: Side,
    quantity: Decimal,
    books: Sequence[VenueBook],
    limit_price: Decimal | None = None,
) -> Route:
    """Splits an order over venues: as much of it as can be, at the least cost.

    Args:
        side: of the order.
        quantity: in base currency; positive.
        books: one for each venue.
        limit_price: no level beyond it is taken, in quote currency.

    Raises:
        InvalidDataError: the quantity is not positive, two venues share a name, or a book's levels
            are not in order.
    """
    _check(side, quantity, books)
    books = sorted(books, key=lambda book: book.venue)
    omissions: dict[str, Omission] = {}
    offers: list[Offer] = []
    for book in books:
        offer, why = _offer(side, quantity, book, limit_price)
        if offer is not None:
            offers.append(offer)
        elif why is not None:
            omissions[book.venue] = why
    quantities, exact = search(quantity, offers)
    portions = [_portion(o, q) for o, q in zip(offers, quantities, strict=True) if q]
    for offer, taken in zip(offers, quantities, strict=True):
        if not taken:
            omissions[offer.venue] = _spare(offer, sum(quantities, ZERO), quantity)
    costs = [side.sign * p.notional + p.fee for p in portions]
    return Route(
        portions=tuple(portions),
        omissions=tuple(omissions[name] for name in sorted(omissions)),
        unrouted=quantity - sum(quantities, ZERO),
        cost=sum(costs, ZERO),
        compared=sum(costs, ZERO) + sum((p.penalty for p in portions), ZERO),
        exact=exact,
    )


def _check(side: Side, quantity: Decimal, books: Sequence[VenueBook]) -> None:
    if quantity <= 0:
        raise InvalidDataError(f"route: expected a positive quantity, found {quantity}")
    names = [book.venue for book in books]
    if len(set(names)) != len(names):
        raise InvalidDataError(f"route: expected one book a venue, found {sorted(names)}")
    for book in books:
        prices = [side.sign * price for price, _ in book.levels]
        if prices != sorted(prices) or any(amount <= 0 for _, amount in book.levels):
            raise InvalidDataError(
                f"route: expected levels of {book.venue} best first and with positive quantities, "
                f"found {book.levels[:3]}..."
            )


def _offer(
    side: Side, quantity: Decimal, book: VenueBook, limit_price: Decimal | None
) -> tuple[Offer | None, Omission | None]:
    """What a venue can take of an order, or why nothing."""

    def out(reason: LeftOut, detail: str = "") -> tuple[None, Omission]:
        return None, Omission(venue=book.venue, reason=reason, detail=detail)

    if book.stale:
        return out(LeftOut.STALE_BOOK)
    if book.doubt:
        return out(LeftOut.ACCOUNT_IN_DOUBT, book.doubt)
    fee, penalty = book.rules.taker_fee, book.latency_bps * BPS
    most = quantity if book.most is None else min(quantity, book.most)
    steps: list[Step] = []
    begin = ZERO
    for price, amount in book.levels:
        beyond = limit_price is not None and side.sign * (price - limit_price) > 0
        end = min(begin + amount, most)
        if beyond or end <= begin:
            break
        # A sale's notional is received: what it costs is its negative, and the fees come on top.
        steps.append(Step(begin, end, price, price * (side.sign * ONE + fee + penalty)))
        begin = end
    if not steps:
        detail = "nothing within the limit price" if book.levels else "no levels"
        return out(LeftOut.EMPTY_BOOK, "the account can trade nothing" if most <= 0 else detail)
    offer = Offer(book.venue, book.rules, fee, penalty, tuple(steps))
    if not offer.most:
        rules = book.rules
        return out(
            LeftOut.BELOW_MINIMUM,
            f"{steps[-1].end} of it could be traded there, in lots of {rules.lot_size}, at least "
            f"{rules.min_quantity} and a value of {rules.min_notional}",
        )
    return offer, None


def _spare(offer: Offer, routed: Decimal, quantity: Decimal) -> Omission:
    """Why a venue that could take something gets nothing."""
    if routed < quantity:
        least = offer.above(offer.rules.lot_size)
        detail = f"the rest, {quantity - routed}, is below the {least} that it takes"
        return Omission(venue=offer.venue, reason=LeftOut.BELOW_MINIMUM, detail=detail)
    best = offer.steps[0]
    detail = f"its best price is {best.price}, with fee and penalty {abs(best.cost)}"
    return Omission(venue=offer.venue, reason=LeftOut.COSTLIER, detail=detail)


def _portion(offer: Offer, quantity: Decimal) -> Portion:
    """An allowed quantity as an order."""
    taken = [step for step in offer.steps if step.begin < quantity]
    notional = sum((step.price * (min(step.end, quantity) - step.begin) for step in taken), ZERO)
    return Portion(
        venue=offer.venue,
        quantity=quantity,
        limit_price=taken[-1].price,
        notional=notional,
        fee=notional * offer.fee,
        penalty=notional * offer.penalty,
    )
