"""The venue's clock: what it tells clients, and what it checks their time stamps against."""

import time
from collections.abc import Callable


class VenueClock:
    """Real time plus an offset that can be changed, at a rate that can be changed.

    It may go back; the exchange's own time then stands still until the clock has caught up.
    """

    def __init__(self, source: Callable[[], int] = time.time_ns) -> None:
        """Shows real time.

        Args:
            source: real time, UTC nanoseconds.
        """
        self._source = source
        self._anchor_ns = self._shown_ns = source()
        self._rate = 1.0

    def now_ns(self) -> int:
        """The time, UTC nanoseconds."""
        passed = self._source() - self._anchor_ns
        return self._shown_ns + (passed if self._rate == 1 else round(passed * self._rate))

    def now_ms(self) -> int:
        """The time, UTC milliseconds."""
        return self.now_ns() // 1_000_000

    @property
    def skew_ns(self) -> int:
        """By how much it is ahead of real time; negative: behind."""
        return self.now_ns() - self._source()

    @property
    def rate(self) -> float:
        """Its seconds in a real second; 1: right, 0: it stands."""
        return self._rate

    def set(self, time_ns: int) -> None:
        """Makes it show a time and go on from there."""
        self._anchor_ns, self._shown_ns = self._source(), time_ns

    def step(self, by_ns: int) -> None:
        """Moves it on, or back (negative)."""
        self.set(self.now_ns() + by_ns)

    def skew(self, by_ns: int) -> None:
        """Sets it `by_ns` ahead of real time; negative: behind, 0: right."""
        now = self._source()
        self._anchor_ns, self._shown_ns = now, now + by_ns

    def drift(self, rate: float) -> None:
        """Lets it run faster or slower from now on.

        Args:
            rate: its seconds in a real second; not negative.

        Raises:
            ValueError: `rate` is negative.
        """
        if not rate >= 0:
            raise ValueError(f"expected a rate of 0 or more, found {rate}")
        self.set(self.now_ns())
        self._rate = rate
