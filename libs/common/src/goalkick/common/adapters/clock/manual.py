"""A clock that is moved by hand: for tests and for replays."""

from goalkick.common.core.errors import InvariantError


class ManualClock:
    """Says what it was last set to."""

    def __init__(self, time_ns: int = 0) -> None:
        """Starts at `time_ns`, UTC nanoseconds since the Unix epoch."""
        self._time_ns = time_ns

    def now_ns(self) -> int:
        """UTC nanoseconds since the Unix epoch."""
        return self._time_ns

    def set(self, time_ns: int) -> None:
        """Moves to a time.

        Raises:
            InvariantError: the time lies before the present one.
        """
        if time_ns < self._time_ns:
            raise InvariantError(
                f"clock: expected a time at or after {self._time_ns}, found {time_ns}"
            )
        self._time_ns = time_ns

    def advance(self, duration_ns: int) -> None:
        """Moves on by a duration.

        Raises:
            InvariantError: the duration is negative.
        """
        self.set(self._time_ns + duration_ns)
