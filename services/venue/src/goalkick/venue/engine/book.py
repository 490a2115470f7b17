"""One instrument's book: price levels, best first; within a level, the oldest order first.

It knows orders and levels, nothing of money or of why something changes. Every change of a level
takes the next update id.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Depth, LevelChanged, Order, Side


class Level:
    """The resting orders at one price.

    Attributes:
        quantity: sum of what is left of them.
        orders: by order id, oldest first.
    """

    __slots__ = ("orders", "price", "quantity")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.quantity = ZERO
        # Not a plain dict: taking from its front again and again would walk over the holes.
        self.orders: OrderedDict[int, Order] = OrderedDict()


class Ladder:
    """One side of a book."""

    def __init__(self, side: Side) -> None:
        self._bids = side is Side.BUY
        self._prices: list[Decimal] = []  # ascending
        self._levels: dict[Decimal, Level] = {}

    def __iter__(self) -> Iterator[Level]:
        """Levels, best first. The ladder must not change meanwhile."""
        prices = reversed(self._prices) if self._bids else iter(self._prices)
        return map(self._levels.__getitem__, prices)

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def best(self) -> Decimal | None:
        """The price that is taken first; None: the side is empty."""
        if not self._prices:
            return None
        return self._prices[-1] if self._bids else self._prices[0]

    def add(self, price: Decimal, order: Order) -> Decimal:
        """Puts an order last in its level; returns the level's quantity."""
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = Level(price)
            insort(self._prices, price)
        level.orders[order.order_id] = order
        level.quantity += order.left
        return level.quantity

    def take(self, price: Decimal, order: Order, quantity: Decimal, *, remove: bool) -> Decimal:
        """Takes away `quantity` of an order, and the order itself; returns the level's quantity."""
        level = self._levels[price]
        level.quantity -= quantity
        if remove:
            del level.orders[order.order_id]
            if not level.orders:
                del self._levels[price]
                del self._prices[bisect_left(self._prices, price)]
        return level.quantity


class Book:
    """Both sides of an instrument.

    Attributes:
        update_id: number of the last change; 0: there was none.
    """

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.update_id = 0
        self.bids = Ladder(Side.BUY)
        self.asks = Ladder(Side.SELL)

    def side(self, side: Side) -> Ladder:
        """Where orders of `side` rest."""
        return self.bids if side is Side.BUY else self.asks

    def opposite(self, side: Side) -> Ladder:
        """What an order of `side` trades with."""
        return self.asks if side is Side.BUY else self.bids

    def crosses(self, side: Side, price: Decimal) -> bool:
        """Whether an order at `price` would trade at once."""
        best = self.opposite(side).best
        return best is not None and (best <= price if side is Side.BUY else best >= price)

    def add(self, order: Order, price: Decimal, now_ns: int) -> LevelChanged:
        """An order comes to rest."""
        quantity = self.side(order.side).add(price, order)
        return self._changed(order.side, price, quantity, now_ns)

    def take(
        self, order: Order, price: Decimal, quantity: Decimal, now_ns: int, *, remove: bool
    ) -> LevelChanged:
        """A resting order loses `quantity`; with `remove` it leaves."""
        rest = self.side(order.side).take(price, order, quantity, remove=remove)
        return self._changed(order.side, price, rest, now_ns)

    def depth(self, limit: int | None = None) -> Depth:
        """The best `limit` levels of each side, or all."""
        return Depth(
            update_id=self.update_id,
            bids=tuple((level.price, level.quantity) for level in islice(self.bids, limit)),
            asks=tuple((level.price, level.quantity) for level in islice(self.asks, limit)),
        )

    def _changed(self, side: Side, price: Decimal, quantity: Decimal, now_ns: int) -> LevelChanged:
        self.update_id += 1
        return LevelChanged(
            instrument=self.instrument,
            update_id=self.update_id,
            side=side,
            price=price,
            quantity=quantity,
            time_ns=now_ns,
        )
