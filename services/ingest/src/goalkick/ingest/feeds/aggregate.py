"""Longer bars for any feed."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from goalkick.common.ports.feed import FROM_THE_START, LiveFeed, Quiet, RecordedFeed, Step, Tape
from goalkick.ingest.longer_bars import LongerBars


@runtime_checkable
class Standing(Protocol):
    """A feed that has more to tell of itself than its steps."""

    def standing(self) -> Sequence[str]:
        """How it stands, a line each, for people."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A feed that takes a while to be connected."""

    async def begun(self) -> None:
        """Returns when it hears all that it listens to."""
        ...


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

    def standing(self) -> Sequence[str]:
        """How the feed's connections stand, for people."""
        return standing_of(self._feed)

    async def begun(self) -> None:
        """Returns when the feed hears all that it listens to."""
        await begun(self._feed)

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        """The steps as they happen; see the feed. Longer bars under way at a stop are lost."""
        bars = LongerBars(self._intervals)
        async with aclosing(self._feed.steps(after_ns)) as steps:
            async for step in steps:
                if isinstance(step, Tape):
                    if isinstance(step, Quiet):
                        for whole in bars.pass_quiet(step.until_ns):
                            yield whole
                    yield step
                    continue
                for whole in bars.add(step):
                    yield whole


def standing_of(feed: LiveFeed) -> Sequence[str]:
    """How the connections of a feed stand, for people; nothing where there is but one."""
    return feed.standing() if isinstance(feed, Standing) else ()


async def begun(feed: LiveFeed) -> None:
    """Returns when a feed hears all that it listens to; one that polls does at once."""
    if isinstance(feed, Beginning):
        await feed.begun()


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
