"""Percentage of volume: keeps to a share of what the market trades."""

from decimal import Decimal

import msgspec

from goalkick.common.config.algos import PovParams
from goalkick.execution.algos.working import WorkingAlgo


class PovMemory(msgspec.Struct):
    """Nothing: the counts say all."""


class Pov(WorkingAlgo[PovParams, PovMemory]):
    """Follows the volume: the more others trade, the more it trades, and no more than its share.

    It can only follow what was seen, so it is late by one trade or bar; it ends when time is up,
    whatever is left.
    """

    name = "pov"
    memory_type = PovMemory

    def cap(self) -> Decimal:
        """The cap, or the rate where none is given."""
        cap = self.params.max_participation
        return self.params.rate if cap is None else cap

    def decide(self) -> None:
        """Places what the share has grown by, once that is worth a child."""
        params = self.params
        wanted = params.rate * self.state.volume - (self.parent.quantity - self.left)
        if params.max_child is not None:
            wanted = min(wanted, params.max_child)
        if self.ready() and wanted >= min(params.min_child, self.left):
            self.place_work(wanted)
