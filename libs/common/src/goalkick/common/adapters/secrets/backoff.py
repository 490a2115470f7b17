"""How long to wait before the next try: doubling, bounded, and apart from that of other copies."""

from collections.abc import Callable

from goalkick.common.values.time import NS_PER_SECOND


class Backoff:
    """Counts failures in a row."""

    def __init__(self, first: int, longest: int, jitter: Callable[[], float]) -> None:
        """Begins without a failure.

        Args:
            first: wait after the first failure, ns; doubles with each more.
            longest: bound of the wait, ns.
            jitter: numbers in [0, 1); the wait is between half of its length and all of it.
        """
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self.failures = 0

    def failed(self) -> float:
        """Seconds to wait after one more failure."""
        self.failures += 1
        delay_ns = min(self._first << min(self.failures - 1, 40), self._longest)
        return delay_ns / NS_PER_SECOND * (0.5 + self._jitter() / 2)

    def succeeded(self) -> None:
        """Begins anew."""
        self.failures = 0
