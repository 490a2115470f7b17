"""What a core is: a state machine over events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from goalkick.common.events.base import Event

Handler = Callable[[Any], Sequence[Event]]
"""Takes one event, returns the events that it causes, in order. `()` for none."""


class Core(Protocol):
    """A service's logic. Same construction and same inputs give the same outputs, byte for byte.

    A core has no I/O, no clock, no randomness, no logging and no async. Time is the `time_ns` of
    its inputs. It may assume that inputs come in order of time, each once.
    """

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        """The dispatch table: which event types it takes, and the method of each."""
        ...

    def snapshot(self) -> bytes:
        """All state, self-contained: `restore` on a fresh core makes it indistinguishable."""
        ...

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it was made by another version or with other settings.
        """
        ...
