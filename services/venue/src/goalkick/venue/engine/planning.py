"""What an order would do to the book, before anything is done: who is taken, how much, why it ends.

Planning first makes all-or-nothing orders, the check of funds and the test order one thing: look
at the plan, then carry it out or leave it. Between the two nothing can change.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

import msgspec

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.book import Book
from goalkick.venue.engine.model import Order, SelfTrade, Side


class Ending(StrEnum):
    """Why the plan goes no further."""

    DONE = "done"
    """The order gets all that it wants."""
    NO_MORE = "no_more"
    """The book has nothing (more) at the order's price."""
    SELF_TRADE = "self_trade"
    """The next order is the account's own, and the mode ends the taker."""
    FUNDS = "funds"
    """The account cannot pay for more."""


class Step(msgspec.Struct, frozen=True):
    """One resting order, met: `quantity` is traded with it; 0: it ends by self-trade prevention."""

    maker: Order
    price: Decimal
    quantity: Decimal


class Plan(msgspec.Struct):
    """What will happen.

    Attributes:
        steps: in order.
        quantity: sum of what is traded, in base.
        cost: sum of price x quantity.
    """

    steps: list[Step] = msgspec.field(default_factory=list)
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    ending: Ending = Ending.NO_MORE


def plan(book: Book, taker: Order, lot_size: Decimal, funds: Decimal | None) -> Plan:
    """How `taker` meets the book.

    Args:
        book: not changed.
        taker: not in the book; what is left of it is planned for.
        lot_size: step of quantities that are worked out from quote.
        funds: what can be spent: quote by a buy, base by a sell; None: it is locked already.
    """
    result = Plan()
    for maker, price in _reachable(book, taker):
        wanted = _wanted(taker, result, price, lot_size)
        if not wanted:
            result.ending = Ending.DONE if result.quantity else Ending.NO_MORE
            return result
        own = maker.account == taker.account and taker.self_trade is not SelfTrade.NONE
        if own:
            if taker.self_trade is not SelfTrade.EXPIRE_TAKER:
                result.steps.append(Step(maker, price, ZERO))
            if taker.self_trade is not SelfTrade.EXPIRE_MAKER:
                result.ending = Ending.SELF_TRADE
                return result
            continue
        quantity = min(wanted, maker.left)
        payable = _payable(taker, result, price, lot_size, funds, quantity)
        if payable:
            result.steps.append(Step(maker, price, payable))
            result.quantity += payable
            result.cost += payable * price
        if payable < quantity:
            result.ending = Ending.FUNDS
            return result
    result.ending = Ending.DONE if _has_all(taker, result, lot_size) else Ending.NO_MORE
    return result


def _reachable(book: Book, taker: Order) -> Iterator[tuple[Order, Decimal]]:
    for level in book.opposite(taker.side):
        price = level.price
        limit = taker.price
        if limit is not None and (price > limit if taker.side is Side.BUY else price < limit):
            return
        for maker in level.orders.values():
            yield maker, price


def _wanted(taker: Order, so_far: Plan, price: Decimal, lot_size: Decimal) -> Decimal:
    if taker.quote_quantity is None:
        return taker.left - so_far.quantity
    return (taker.quote_quantity - so_far.cost) // (price * lot_size) * lot_size


def _payable(
    taker: Order,
    so_far: Plan,
    price: Decimal,
    lot_size: Decimal,
    funds: Decimal | None,
    quantity: Decimal,
) -> Decimal:
    if funds is None:
        return quantity
    buys = taker.side is Side.BUY
    left = funds - (so_far.cost if buys else so_far.quantity)
    if (quantity * price if buys else quantity) <= left:
        return quantity
    return left // (price * lot_size if buys else lot_size) * lot_size


def _has_all(taker: Order, result: Plan, lot_size: Decimal) -> bool:
    if taker.quote_quantity is None:
        return result.quantity == taker.left
    if not result.quantity:
        return False
    # What is left of the quote buys not one lot more at the last price.
    return not _wanted(taker, result, result.steps[-1].price, lot_size)
