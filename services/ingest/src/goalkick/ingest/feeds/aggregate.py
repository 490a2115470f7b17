"""Longer bars for any feed."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from goalkick.common.ports.feed import FROM_THE_START, LiveFeed, RecordedFeed, Step, Tape
from goalkick.ingest.longer_bars import LongerBars


class RecordedWithIntervals:
    """A recorded feed whose steps also hold longer bars."""

    def __init__(self, feed: RecordedFeed, intervals: Sequence[int]) -> None:
        """Adds bars of `intervals` (ns), each a multiple of the feed's bars."""
        self._feed = feed
        self._intervals = intervals

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks."""
        bars = LongerBars(self._intervals)
        # A longer bar may have begun long before `from_ns`: only the whole past tells.
        for step in self._feed.steps():
            for whole in bars.add(step):
                if whole[0].time_ns >= from_ns:
                    yield whole


class LiveWithIntervals:
    """A live feed whose steps also hold longer bars."""

    def __init__(self, feed: LiveFeed, intervals: Sequence[int]) -> None:
        """Adds bars of `intervals` (ns), each a multiple of the feed's bars."""
        self._feed = feed
        self._intervals = intervals

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        self._feed.close()

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        """The steps as they happen; see the feed. Longer bars under way at a stop are lost."""
        bars = LongerBars(self._intervals)
        async with aclosing(self._feed.steps(after_ns)) as steps:
            async for step in steps:
                if isinstance(step, Tape):
                    yield step
                    continue
                for whole in bars.add(step):
                    yield whole


def with_intervals(feed: RecordedFeed, intervals: Sequence[int]) -> RecordedFeed:
    """The feed with longer bars in its steps; the feed itself if `intervals` is empty.

    Raises:
        SettingsError: an interval is not positive.
    """
    if not intervals:
        return feed
    LongerBars(intervals)
    return RecordedWithIntervals(feed, intervals)


def live_with_intervals(feed: LiveFeed, intervals: Sequence[int]) -> LiveFeed:
    """The feed with longer bars in its steps; the feed itself if `intervals` is empty.

    Raises:
        SettingsError: an interval is not positive.
    """
    if not intervals:
        return feed
    LongerBars(intervals)
    return LiveWithIntervals(feed, intervals)
