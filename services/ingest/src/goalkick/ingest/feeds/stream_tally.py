"""What is counted of live feeds, for people and for tests."""

from collections import Counter as Tally

from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_SECOND


class FeedTally:
    """Counts by venue.

    Attributes:
        rebuilt: connections that were built anew, by venue and reason.
        gaps: gaps that were told, by venue and stream.
        dropped: messages that found the queue full, by venue.
        refused: messages that could not be used, by venue.
        late: trades that came too late or again, by venue.
        mended: trades that were missing and fetched, by venue.
    """

    def __init__(
        self, metrics: Metrics | None = None, *, beside: "FeedTally | None" = None
    ) -> None:
        """Nothing counted yet.

        Args:
            metrics: where it is shown besides.
            beside: that of another feed of the same market, with which it is shown as one.
        """
        self._metrics = metrics
        self._ill: dict[tuple[str, str], dict[int, int]] = beside._ill if beside else {}
        self.rebuilt: Tally[tuple[str, str]] = Tally()
        self.gaps: Tally[tuple[str, str]] = Tally()
        self.dropped: Tally[str] = Tally()
        self.refused: Tally[str] = Tally()
        self.late: Tally[str] = Tally()
        self.mended: Tally[str] = Tally()

    def rebuild(self, venue: str, reason: str) -> None:
        """A connection is being built anew."""
        self.rebuilt[venue, reason] += 1
        self._count(names.FEED_RECONNECTS, venue=venue, reason=reason)

    def gap(self, venue: str, stream: str) -> None:
        """A gap is told."""
        self.gaps[venue, stream] += 1
        self._count(names.FEED_GAPS, venue=venue, stream=stream)

    def drop(self, venue: str) -> None:
        """A message found the queue full."""
        self.dropped[venue] += 1
        self._count(names.FEED_DROPPED, venue=venue)

    def refuse(self, venue: str) -> None:
        """A message could not be used."""
        self.refused[venue] += 1
        self._count(names.FEED_REFUSED, venue=venue)

    def trades(self, venue: str, late: int, mended: int) -> None:
        """So many trades were late, so many mended, in all."""
        self._count(names.FEED_LATE_TRADES, late - self.late[venue], venue=venue)
        self._count(names.FEED_MENDED_TRADES, mended - self.mended[venue], venue=venue)
        self.late[venue], self.mended[venue] = late, mended

    def ill(self, venue: str, stream: str, count: int) -> None:
        """So many streams of a kind are ill now; shown is that of the best of several feeds."""
        counts = self._ill.setdefault((venue, stream), {})
        counts[id(self)] = count
        if self._metrics is not None:
            gauge = self._metrics.gauge(names.FEED_STREAMS_STALE, venue=venue, stream=stream)
            gauge.set(min(counts.values()))

    def lag(self, venue: str, behind_ns: int) -> None:
        """An event was told so long after its own time, by our clock."""
        if self._metrics is not None:
            histogram = self._metrics.histogram(names.FEED_LAG_SECONDS, venue=venue)
            histogram.observe(max(0, behind_ns) / NS_PER_SECOND)

    def _count(self, metric: names.CounterMetric, count: int = 1, **labels: str) -> None:
        if self._metrics is not None and count:
            self._metrics.counter(metric, **labels).inc(count)
