"""Percentage of volume: keeps to a share of what the market trades."""

from decimal import Decimal

import msgspec
from pydantic import Field, model_validator

from goalkick.common.config.types import Exact
from goalkick.common.values.money import ONE, ZERO
from goalkick.execution.algos.params import CappedParams
from goalkick.execution.algos.working import WorkingAlgo


class PovParams(CappedParams):
    """Parameters of `Pov`. Without a `max_participation` the rate itself is the cap."""

    rate: Exact = Field(
        Exact("0.1"),
        gt=ZERO,
        le=ONE,
        description="share of the volume seen to trade, ours included",
    )
    min_child: Exact = Field(
        ZERO, ge=ZERO, description="smallest child, in base currency; the last one may be smaller"
    )
    max_child: Exact | None = Field(
        None, gt=ZERO, description="largest child, in base currency; none: any"
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> "PovParams":
        cap = self.max_participation
        if cap is not None and cap < self.rate:
            raise ValueError(
                f"expected max_participation not below the rate {self.rate}, found {cap}"
            )
        if self.max_child is not None and self.max_child < self.min_child:
            raise ValueError(
                f"expected max_child not below min_child {self.min_child}, found {self.max_child}"
            )
        return self


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
