"""The steps of a moment in a task: which inputs are handled together, and what is waited for."""

from collections.abc import Sequence

from goalkick.common.runtime.channel import Channel
from goalkick.common.topics import Topic


class Stage:
    """A step of a moment.

    Attributes:
        channels: whose events are handled together.
        phase: which phase of the moment they must be complete for.
        feedback: whether it is only waited for while the core awaits reports.
        closes: the phase that the outputs' group is complete for after it; None: not yet.
        place: orders the steps of a moment, whichever of them there are.
    """

    __slots__ = ("channels", "closes", "feedback", "phase", "place")

    def __init__(
        self, channels: Sequence[Channel], phase: int, feedback: bool, *, again: bool = False
    ) -> None:
        self.channels = tuple(channels)
        self.place = again, channels[0].topic.rank
        self.phase = phase
        self.feedback = feedback
        self.closes: int | None = None


def stages_of(channels: Sequence[Channel], outputs: Sequence[Topic]) -> tuple[Stage, ...]:
    """The steps of a moment for a task with these inputs and outputs, in order."""
    ranks = sorted({c.topic.rank for c in channels if c.topic.synchronised})
    stages: list[Stage] = []
    for rank in ranks:
        same = [c for c in channels if c.topic.rank == rank and c.topic.synchronised]
        feedback = any(c.topic.feedback for c in same)
        stages.append(Stage(same, 0 if feedback else 1, feedback))
    reporting = [topic.rank for topic in outputs if topic.feedback]
    if reporting:
        early = [s for s in stages if s.channels[0].topic.rank < reporting[0]]
        early[-1].closes = 0
    stages[-1].closes = 1
    returning = [s for s in stages if s.feedback]
    stages += [Stage(stage.channels, 1, True, again=True) for stage in returning]
    return tuple(stages)
