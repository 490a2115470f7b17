"""Post-only with re-quote: rests at the best price of its side and follows it."""

from decimal import Decimal

import msgspec
from pydantic import Field

from goalkick.common.config.types import Duration
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.algos.params import CappedParams
from goalkick.execution.algos.working import WorkingAlgo


class PostOnlyParams(CappedParams):
    """Parameters of `PostOnly`."""

    max_failures: int = Field(
        20,
        ge=1,
        le=1000,
        description="number of children in a row, ended by the venue without a trade, after which "
        "no more is tried; in a fast market several in a row would trade at once and are refused",
    )
    requote_every: Duration = Field(
        NS_PER_SECOND, gt=0, description="shortest time between two placings"
    )
    min_move: int = Field(
        1,
        ge=1,
        description="how far the best price must have moved before it is followed, in ticks",
    )
    behind: int = Field(0, ge=0, description="distance from the best price, in ticks")


class PostOnlyMemory(msgspec.Struct):
    """When the last child was placed, UTC ns; None: none was."""

    placed_ns: int | None = None


class PostOnly(WorkingAlgo[PostOnlyParams, PostOnlyMemory]):
    """Earns the spread or at least does not pay it, at the risk of not trading.

    One child at a time; it is cancelled, and only when its end is known placed anew for what is
    left. The parent's limit price bounds how far it follows.
    """

    name = "post_only"
    memory_type = PostOnlyMemory

    def due_ns(self) -> int | None:
        """When it may place again."""
        placed_ns = self.memory.placed_ns
        return None if placed_ns is None else placed_ns + self.params.requote_every

    def decide(self) -> None:
        """Places where nothing rests; moves what rests off the price it should have."""
        due_ns, price = self.due_ns(), self.price()
        if price is None or (due_ns is not None and self.state.now_ns < due_ns):
            return
        if not self.state.children.open:
            self._quote(price)
            return
        for child in tuple(self.state.children.open.values()):
            distance = abs(price - (child.limit_price or price))
            if distance >= self.params.min_move * self.parent.rules.tick_size:
                self.cancel(child)

    def price(self) -> Decimal | None:
        """Where it should rest now, in quote currency; None: no quote was seen."""
        state, tick = self.state, self.parent.rules.tick_size
        if state.bid is None or state.ask is None:
            return None
        off, limit = self.params.behind * tick, self.parent.limit_price
        if self.parent.side is Side.BUY:
            price = min(state.bid, state.ask - tick) - off
            return price if limit is None else min(price, limit)
        price = max(state.ask, state.bid + tick) + off
        return price if limit is None else max(price, limit)

    def _quote(self, price: Decimal) -> None:
        quantity = self.portion(self.left, price) if price > 0 and self.ready() else None
        if quantity:
            self.memory.placed_ns = self.state.now_ns
            self.place(
                quantity,
                OrderKind.LIMIT,
                limit_price=price,
                time_in_force=TimeInForce.POST_ONLY,
            )
