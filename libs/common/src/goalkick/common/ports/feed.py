"""Where market events come from."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from goalkick.common.events.base import Event

Step = Sequence[Event]
"""All market events of one moment: same `time_ns`, ordered by instrument; never empty."""


class RecordedFeed(Protocol):
    """A feed whose events are all known or computable at once: recorded or simulated."""

    def steps(self) -> Iterator[Step]:
        """The steps in order of time. The first step lists the instruments."""
        ...


class LiveFeed(Protocol):
    """A feed that waits for the outside world."""

    def steps(self) -> AsyncIterator[Step]:
        """The steps as they happen, in order of time; ends when the feed is closed."""
        ...
