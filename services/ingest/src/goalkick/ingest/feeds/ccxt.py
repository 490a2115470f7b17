"""Live bars of a venue, by polling its REST interface."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Final

import structlog

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.feeds.live_bars import LiveBars
from goalkick.ingest.settings import CcxtSettings

_STALE_BARS: Final = 3
"""Bars' length without a new bar after which the feed is stale, unless the settings say."""
_LONGEST_WARMUP: Final = 50_000
"""Bars that are fetched at most to go on where an earlier run stopped; the rest is a gap."""

log = structlog.get_logger()


class CcxtFeed:
    """Closed bars of a venue as a `LiveFeed`.

    Two times must not be confused: bars have the venue's, pacing and retries the event loop's.
    """

    def __init__(
        self,
        settings: CcxtSettings,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is loaded or connected before the first step is asked for.

        Args:
            settings: what to fetch, and how patiently.
            clock: says which bars are closed, and what is late.
            jitter: numbers in [0, 1) that keep copies of this feed from retrying in step.
        """
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        self._closed.set()

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step, None]:
        """The steps as they happen, in order of time; ends when the feed is closed.

        The first step lists the instruments. Close the iterator (`contextlib.aclosing`) where you
        leave it early: sockets are open behind it.

        Args:
            after_ns: the last moment of an earlier run, to go on after it; what has been missed
                since is fetched, or said to be missing. None: begin with `warmup` closed bars.

        Raises:
            SettingsError: the venue has no such instrument or bars.
            TransientError: the venue cannot be reached at the start; later only `FeedStale`
                tells.
        """
        async with await CcxtVenue.connect(self._settings) as venue:
            rules = await self._patiently(venue)
            if self._closed.is_set():
                return
            bars = self._empty(rules, after_ns)
            yield bars.listing()
            failures, attempt_at = 0, 0.0
            while not self._closed.is_set():
                now = asyncio.get_running_loop().time()
                if now >= attempt_at:
                    answered = await self._poll(venue, rules.values(), bars)
                    failures = 0 if answered else failures + 1
                    attempt_at = now + self._delay_s(failures)
                for step in bars.release(self._clock.now_ns()):
                    yield step
                await self._pause(self._settings.poll / NS_PER_SECOND)

    def _empty(self, rules: Mapping[InstrumentId, Instrument], after_ns: int | None) -> LiveBars:
        interval_ns, now_ns = self._settings.interval, self._clock.now_ns()
        latest_ns = now_ns - now_ns % interval_ns
        if after_ns is None:
            told_ns = None
            begins_ns = listing_ns = latest_ns - self._settings.warmup * interval_ns
        else:
            told_ns = after_ns - after_ns % interval_ns
            begins_ns = max(told_ns, latest_ns - _LONGEST_WARMUP * interval_ns)
            listing_ns = after_ns + 1
        return LiveBars(
            rules,
            interval_ns,
            self._settings.stale_after or _STALE_BARS * interval_ns,
            begins_ns=begins_ns,
            told_ns=told_ns,
            listing_ns=listing_ns,
            now_ns=now_ns,
        )

    async def _patiently(self, venue: CcxtVenue) -> dict[InstrumentId, Instrument]:
        """The rules, asked for more than once; none when the feed is closed meanwhile."""
        for attempt in range(1, self._settings.start_attempts):
            try:
                return await venue.rules()
            except TransientError as error:
                log.warning("venue does not answer", attempt=attempt, reason=str(error))
            await self._pause(self._delay_s(attempt))
            if self._closed.is_set():
                return {}
        return await venue.rules()

    async def _poll(
        self, venue: CcxtVenue, instruments: Iterable[Instrument], bars: LiveBars
    ) -> bool:
        """Fetches what is new of all instruments; returns whether all were answered."""

        async def fetch(instrument: Instrument) -> bool:
            since_ns = bars.known_ns(instrument.id)
            try:
                found = await venue.closed_bars(instrument, since_ns, self._clock.now_ns())
            except (TransientError, SettingsError) as error:
                log.warning("no bars", instrument=instrument.id, reason=str(error))
                return False
            bars.add(instrument.id, found)
            return True

        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(fetch(instrument)) for instrument in instruments]
        return all(answer.result() for answer in answers)

    def _delay_s(self, failures: int) -> float:
        if not failures:
            return 0.0
        settings = self._settings
        return retry_delay_s(
            failures, settings.retry_delay, settings.max_retry_delay, self._jitter()
        )

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the feed is closed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)


def retry_delay_s(failures: int, first_ns: int, longest_ns: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, spread out.

    Args:
        failures: 1 or more.
        first_ns: wait after the first failure.
        longest_ns: bound of all waits.
        jitter: in [0, 1): from the lower half of the wait to all of it.
    """
    delay_ns = min(first_ns << min(failures - 1, 32), longest_ns)
    return delay_ns / NS_PER_SECOND * (0.5 + jitter / 2)
