"""The clock of the machine."""

import time


class SystemClock:
    """UTC from the operating system; stands still where the system's clock is set back.

    Cores take their inputs in order of time, and `TimeAdvanced` is made from this clock: it must
    never say less than it said before.
    """

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        """UTC nanoseconds since the Unix epoch, never less than the last answer."""
        self._last_ns = max(self._last_ns, time.time_ns())
        return self._last_ns
