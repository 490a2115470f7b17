"""The one way to learn what time it is."""

from typing import Protocol


class Clock(Protocol):
    """A clock; cores never see one."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the Unix epoch."""
        ...
