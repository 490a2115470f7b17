"""Iceberg: only a part of a resting order can be seen; when it is traded, the next part comes.

Emulated: each part is an order of its own, so each goes to the end of its price's queue, as the
refilled part does where a venue has such orders itself.
"""

import msgspec

from goalkick.common.config.algos import IcebergParams
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.values.money import ONE
from goalkick.execution.algos.chance import draw
from goalkick.execution.algos.working import WorkingAlgo


class IcebergMemory(msgspec.Struct):
    """Nothing: the counts say all."""


class Iceberg(WorkingAlgo[IcebergParams, IcebergMemory]):
    """Rests at the limit price with a visible part, refilled when all of it was traded."""

    name = "iceberg"
    memory_type = IcebergMemory
    emulates = True

    def check(self) -> None:
        """A limit price, and a part that the venue takes.

        Raises:
            InvalidDataError: either is missing.
        """
        limit = self.parent.limit_price
        if limit is None:
            raise InvalidDataError(f"iceberg {self.parent.order}: expected a limit price")
        smallest = self.smallest(limit)
        if self.params.visible * (ONE - self.params.jitter) < smallest:
            raise InvalidDataError(
                f"iceberg {self.parent.order}: expected a visible part of at least {smallest} "
                f"after jitter, found {self.params.visible}, jitter {self.params.jitter}"
            )

    def decide(self) -> None:
        """Places the next part when none is there."""
        children, limit = self.state.children, self.parent.limit_price
        if children.open or not self.ready() or limit is None:
            return
        off = draw(self.parent.order, "visible", children.count) * self.params.jitter
        quantity = self.portion(self.params.visible * (ONE - off), limit)
        if quantity:
            self.place(
                quantity,
                OrderKind.LIMIT,
                limit_price=limit,
                time_in_force=TimeInForce.POST_ONLY
                if self.params.post_only
                else TimeInForce.UNTIL_CANCELLED,
            )
