"""What the parts of a core say to each other within a moment: it never leaves the task."""

from collections.abc import Iterator, Sequence

from goalkick.common.events.base import Event
from goalkick.common.topics import Topic

Said = tuple[Event, bytes]
"""An event and the traceparent of what caused it."""


class Inside:
    """Hands events on as topics would: rank by rank, sorted by key, each rank when it is complete.

    In an order other than that of topics a fused service would decide something else.
    """

    def __init__(self, topics: Sequence[Topic]) -> None:
        """Nothing waits yet.

        Args:
            topics: what stays inside, in order of rank.
        """
        self._waiting: list[list[Said]] = [[] for _ in topics]
        self._of = {
            kind: waiting
            for topic, waiting in zip(topics, self._waiting, strict=True)
            for kind in topic.events
        }

    def keep(self, event: Event, trace: bytes) -> bool:
        """Keeps an event that is heard inside; False for any other."""
        waiting = self._of.get(type(event))
        if waiting is None:
            return False
        waiting.append((event, trace))
        return True

    def take(self) -> Iterator[Said]:
        """Removes and yields all that waits, and what is kept meanwhile of later ranks."""
        for waiting in self._waiting:
            if waiting:
                said = sorted(waiting, key=_key)
                waiting.clear()
                yield from said


def _key(said: Said) -> str:
    return said[0].key
