"""A parent cut into slices over its time: what TWAP and VWAP share.

Slice k of n belongs to the k-th n-th of the parent's time and comes at a time drawn in it; after
it, the schedule wants a given share of the quantity to be traded.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from typing import TypeVar

import msgspec

from goalkick.common.config.algos import ScheduleParams
from goalkick.common.values.money import ONE, ZERO, round_down
from goalkick.execution.algos.chance import draw
from goalkick.execution.algos.working import WorkingAlgo


class ScheduleMemory(msgspec.Struct):
    """How many slices have come."""

    done: int = 0


ScheduleParamsType = TypeVar("ScheduleParamsType", bound=ScheduleParams)


class ScheduledAlgo(WorkingAlgo[ScheduleParamsType, ScheduleMemory]):
    """The base of TWAP and VWAP."""

    memory_type = ScheduleMemory

    def share(self, slices: int) -> Decimal:
        """Share of the quantity that is due after so many slices: 0 to 1, rising."""
        raise NotImplementedError(self.name)

    @cached_property
    def times_ns(self) -> Sequence[int]:
        """When each slice comes, UTC ns: in its own span, rising, before the parent's end."""
        parent, count = self.parent, self.params.slices
        length = parent.end_ns - parent.start_ns
        times = []
        for number in range(count):
            begin, end = number * length // count, (number + 1) * length // count
            late = int(draw(parent.order, "time", number) * self.params.jitter * (end - begin))
            times.append(parent.start_ns + begin + late)
        return times

    @cached_property
    def targets(self) -> Sequence[Decimal]:
        """What is due after 0, 1, ... all slices, in base currency: whole lots, never falling."""
        parent, count = self.parent, self.params.slices
        whole = round_down(parent.quantity, parent.rules.lot_size)
        targets = [ZERO]
        for number in range(1, count):
            off = draw(parent.order, "size", number) - ONE / 2
            shift = off * self.params.size_jitter * whole / count
            due = round_down(whole * self.share(number) + shift, parent.rules.lot_size)
            targets.append(min(max(due, targets[-1]), whole))
        return [*targets, whole]

    def due_ns(self) -> int | None:
        """The next slice's time."""
        done = self.memory.done
        return self.times_ns[done] if done < self.params.slices else None

    def decide(self) -> None:
        """Places what is due by now, where a slice has come or an earlier one failed."""
        come = bisect_right(self.times_ns, self.state.now_ns)
        fresh = come > self.memory.done
        self.memory.done = come
        if come and self.ready():
            self.place_work(self._wanted(come, fresh=fresh))

    def _wanted(self, come: int, *, fresh: bool) -> Decimal:
        own = self.targets[come] - self.targets[come - 1]
        match self.params.catch_up:
            case "never":
                return own if fresh else ZERO
            case "spread" if come < self.params.slices:
                rest = self.targets[-1] - self.targets[come - 1]
                return self.left * own / rest if fresh and rest else ZERO
        return self.targets[come] - (self.parent.quantity - self.left)
