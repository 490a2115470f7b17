"""How fast a venue may be asked: just below what its limit allows, and never into a ban.

Pure: times come from outside. A venue counts weight in windows of a minute and says with every
answer what is used; other programs behind the same address use it up as well.
"""

from typing import Final

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND

_SHARE: Final = 0.95
"""Of the limit that is aimed at: answers that bunch up on the way must not exceed it."""
_BURST_S: Final = 0.5
"""Seconds' worth of weight that is caught up on after a stall of ours."""
_CROWDED: Final = 0.97
"""Share of the limit from which on only probes are sent, until a new window begins. Alone we never
come that far: somebody else uses the address as well."""
_PROBE_NS: Final = 5 * NS_PER_SECOND
_ON_THE_WAY: Final = 0.015
"""Share of the limit that may be on the way at a time: less than is left when it gets crowded."""
_MOST_ON_THE_WAY: Final = 16
"""Requests: enough at 300 ms latency for Binance's 50 pages a second."""


class Pace:
    """Weight that may be spent, as time goes by."""

    def __init__(self, limit: int) -> None:
        """Starts with a burst to spend.

        Args:
            limit: weight that the venue allows in a minute; positive.
        """
        self.limit = limit
        self._balance = limit / 60 * _BURST_S
        self._seen_ns: int | None = None
        self._sent_ns = -NS_PER_MINUTE
        self._until_ns = 0
        self._crowded = False

    def wait_ns(self, now_ns: int) -> int:
        """How long to wait before the next request; 0: send it, and `spend`."""
        if now_ns < self._until_ns:
            return self._until_ns - now_ns
        if self._crowded:
            return max(0, self._sent_ns + _PROBE_NS - now_ns)
        self._refill(now_ns)
        return max(0, round(-self._balance / self._per_ns))

    def spend(self, weight: int, now_ns: int) -> None:
        """Counts a request that is sent now."""
        self._refill(now_ns)
        self._balance -= weight
        self._sent_ns = now_ns

    def told(self, used: int) -> None:
        """Takes what the venue says is used of the present window."""
        self._crowded = used >= _CROWDED * self.limit

    def allow(self, limit: int) -> None:
        """Takes the limit that the venue itself names."""
        self.limit = limit

    def refuse(self, wait_s: float, now_ns: int) -> None:
        """Takes a refusal: nothing is sent for so many seconds."""
        self._until_ns = max(self._until_ns, now_ns + round(wait_s * NS_PER_SECOND))

    def on_the_way(self, weight: int) -> int:
        """How many requests of a weight may be unanswered at a time: at least one."""
        return max(1, min(_MOST_ON_THE_WAY, int(_ON_THE_WAY * self.limit / weight)))

    @property
    def _per_ns(self) -> float:
        return _SHARE * self.limit / NS_PER_MINUTE

    def _refill(self, now_ns: int) -> None:
        if self._seen_ns is not None:
            earned = (now_ns - self._seen_ns) * self._per_ns
            self._balance = min(self._balance + earned, self.limit / 60 * _BURST_S)
        self._seen_ns = now_ns
