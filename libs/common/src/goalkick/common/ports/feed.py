"""Where market events come from."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Final, Protocol

from goalkick.common.events.base import Event

Step = Sequence[Event]
"""All market events of one moment: same `time_ns`, ordered by instrument; never empty."""


class Tape(tuple[Event, ...]):
    """Events that hold up nobody: trades, quotes and books as they come, each at its own time.

    They are published beside the steps and have no moment: a bar of 12:00 is told when it has
    settled, and trades of after 12:00 need not wait for it.
    """

    __slots__ = ()


class Quiet(Tape):
    """A promise: no further step lies at or before a time. It holds no event.

    Who waits for the market need wait no longer: what others say meanwhile, such as a venue of an
    order, belongs to a moment in which the market says nothing.

    Attributes:
        until_ns: the time, UTC ns; later than that of the last step and of the last promise.
    """

    until_ns: int

    @classmethod
    def until(cls, until_ns: int) -> "Quiet":
        """Promises that all steps up to a time have been said."""
        promise = cls()
        promise.until_ns = until_ns
        return promise


FROM_THE_START: Final = -(2**63)
"""A moment before every other, UTC ns."""


class RecordedFeed(Protocol):
    """A feed whose events are all known or computable at once: recorded or simulated."""

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks.

        The first step of all lists the instruments.
        """
        ...


class LiveFeed(Protocol):
    """A feed that waits for the outside world."""

    def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        """The steps as they happen, in order of time, and the tape; ends when the feed is closed.

        Args:
            after_ns: the last moment of an earlier run, to go on after it; None: begin anew.
        """
        ...

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        ...
