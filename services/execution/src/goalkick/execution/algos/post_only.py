"""Post-only with re-quote: rests at the best price of its side and follows it."""

from decimal import Decimal

import msgspec

from goalkick.common.config.algos import PostOnlyParams
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.execution.algos.working import WorkingAlgo


class PostOnlyMemory(msgspec.Struct):
    """When the last child was placed, UTC ns; None: none was."""

    placed_ns: int | None = None


class PostOnly(WorkingAlgo[PostOnlyParams, PostOnlyMemory]):
    """Earns the spread or at least does not pay it, at the risk of not trading.

    Where there are no quotes it follows the last price, one tick behind.

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
        """Where it should rest now, in quote currency; None: no price was seen."""
        state, tick = self.state, self.parent.rules.tick_size
        bid = state.last if state.bid is None else state.bid
        ask = state.last if state.ask is None else state.ask
        if bid is None or ask is None:
            return None
        off, limit = self.params.behind * tick, self.parent.limit_price
        if self.parent.side is Side.BUY:
            price = min(bid, ask - tick) - off
            return price if limit is None else min(price, limit)
        price = max(ask, bid + tick) + off
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
