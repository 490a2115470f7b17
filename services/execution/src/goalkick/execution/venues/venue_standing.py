"""How one of several venues stands: whether it is heard, and what the account there has. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from goalkick.common.events.base import Side
from goalkick.common.events.venue import VenueExternalTrade, VenueTraded
from goalkick.common.values.ids import ClientOrderId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ONE, ZERO
from goalkick.execution.routing import Level

_REMEMBERED = 10_000
"""Trades whose ids are kept: they may be told again."""


class VenueStanding:
    """One venue.

    Attributes:
        connected: whether it is heard.
        holdings: by currency: what it said last, and what trades have made of it since.
        fresh: whether it has said so since all were summed up.
        working: orders that it has, or may have, in its book.
        doubted: those among them of whose fate there nobody knows.
    """

    def __init__(self) -> None:
        """Heard, with nothing."""
        self.connected = True
        self.fresh = False
        self.holdings: dict[str, Decimal] = {}
        self.working: dict[ClientOrderId, None] = {}
        self.doubted: dict[ClientOrderId, None] = {}
        self._trades: dict[str, None] = {}

    def holds(self, holdings: Mapping[str, Decimal]) -> None:
        """The venue says what the account has."""
        self.holdings = dict(holdings)
        self.fresh = True

    def has(self, handle: ClientOrderId, *, working: bool, doubted: bool) -> None:
        """How its part of an order stands."""
        for kept, holds in ((self.working, working), (self.doubted, doubted)):
            if holds:
                kept[handle] = None
            else:
                kept.pop(handle, None)

    def saw(self, trade: VenueTraded | VenueExternalTrade) -> None:
        """A trade has moved it; one that is told again has not."""
        key = f"{trade.instrument}|{trade.trade_id}"
        if key in self._trades:
            return
        self._trades[key] = None
        if len(self._trades) > _REMEMBERED:
            del self._trades[next(iter(self._trades))]
        base, _, quote = trade.instrument.partition(":")[2].partition("/")
        signed = trade.side.sign * trade.quantity
        self._move(base, signed)
        self._move(quote, -signed * trade.price)
        self._move(trade.fee_currency, -trade.fee)

    def most(self, side: Side, rules: Instrument, levels: Sequence[Level]) -> Decimal:
        """What the account can trade of what is offered, in base currency, fees included.

        What open orders have set aside is not known to be so, and counts as free.
        """
        if side is Side.SELL:
            return max(ZERO, self.holdings.get(rules.base, ZERO))
        left, most = max(ZERO, self.holdings.get(rules.quote, ZERO)), ZERO
        for price, quantity in levels:
            cost = price * (ONE + rules.taker_fee)
            if cost * quantity > left:
                return most + left / cost
            left -= cost * quantity
            most += quantity
        return most

    def _move(self, currency: str, amount: Decimal) -> None:
        self.holdings[currency] = self.holdings.get(currency, ZERO) + amount
