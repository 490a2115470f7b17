"""Longer bars for any feed, and what all our feeds can do besides their ports."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from goalkick.common.ports.feed import Step
from goalkick.ingest.bars import LongerBars

FROM_THE_START: Final = -(2**63)


class RecordedFeedFrom(Protocol):
    """A `RecordedFeed` that can begin anywhere."""

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks."""
        ...


class LiveFeedFrom(Protocol):
    """A `LiveFeed` that can go on after an earlier run, and be closed."""

    def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step, None]:
        """The steps as they happen, in order of time, later than `after_ns`."""
        ...

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        ...


class RecordedWithIntervals:
    """A recorded feed whose steps also hold longer bars."""

    def __init__(self, feed: RecordedFeedFrom, intervals: Sequence[int]) -> None:
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

    def __init__(self, feed: LiveFeedFrom, intervals: Sequence[int]) -> None:
        """Adds bars of `intervals` (ns), each a multiple of the feed's bars."""
        self._feed = feed
        self._intervals = intervals

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        self._feed.close()

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step, None]:
        """The steps as they happen; see the feed. Longer bars under way at a stop are lost."""
        bars = LongerBars(self._intervals)
        async with aclosing(self._feed.steps(after_ns)) as steps:
            async for step in steps:
                for whole in bars.add(step):
                    yield whole


def with_intervals(feed: RecordedFeedFrom, intervals: Sequence[int]) -> RecordedFeedFrom:
    """The feed with longer bars in its steps; the feed itself if `intervals` is empty.

    Raises:
        SettingsError: an interval is not positive.
    """
    if not intervals:
        return feed
    LongerBars(intervals)
    return RecordedWithIntervals(feed, intervals)


def live_with_intervals(feed: LiveFeedFrom, intervals: Sequence[int]) -> LiveFeedFrom:
    """The feed with longer bars in its steps; the feed itself if `intervals` is empty.

    Raises:
        SettingsError: an interval is not positive.
    """
    if not intervals:
        return feed
    LongerBars(intervals)
    return LiveWithIntervals(feed, intervals)
