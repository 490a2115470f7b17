"""Live bars of venues, by polling their REST interfaces: for venues whose streams nobody knows."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Sequence

import structlog

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.feeds.live_bars import LiveBars, empty_bars
from goalkick.ingest.feeds.retries import retry_delay_s
from goalkick.ingest.settings import CcxtSettings

log = structlog.get_logger()


class CcxtFeed:
    """Closed bars of venues as a `LiveFeed`.

    Two times must not be confused: bars have the venue's, pacing and retries the event loop's.
    """

    def __init__(
        self,
        settings: CcxtSettings,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        budget: Budget | None = None,
    ) -> None:
        """Nothing is loaded or connected before the first step is asked for.

        Args:
            settings: what to fetch, and how patiently.
            clock: says which bars are closed, and what is late.
            jitter: numbers in [0, 1) that keep copies of this feed from retrying in step.
            budget: gives leave for requests; None: they go at ccxt's own pace.
        """
        self._budget = budget
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
            SettingsError: a venue has no such instrument or bars.
            TransientError: a venue cannot be reached at the start; later only `FeedStale`
                tells.
        """
        async with contextlib.AsyncExitStack() as stack:
            rules: dict[InstrumentId, Instrument] = {}
            asked: list[tuple[CcxtVenue, Instrument]] = []
            for name in self._settings.venues:
                connecting = await CcxtVenue.connect(self._settings.of(name), self._budget)
                venue = await stack.enter_async_context(connecting)
                found = await self._patiently(venue)
                rules |= found
                asked += [(venue, instrument) for instrument in found.values()]
            if self._closed.is_set():
                return
            bars = empty_bars(self._settings, rules, after_ns, self._clock.now_ns())
            yield bars.listing()
            failures, attempt_at = 0, 0.0
            while not self._closed.is_set():
                now = asyncio.get_running_loop().time()
                if now >= attempt_at:
                    answered = await self._poll(asked, bars)
                    failures = 0 if answered else failures + 1
                    attempt_at = now + self._delay_s(failures)
                for step in bars.release(self._clock.now_ns()):
                    yield step
                await self._pause(self._settings.poll / NS_PER_SECOND)

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

    async def _poll(self, asked: Sequence[tuple[CcxtVenue, Instrument]], bars: LiveBars) -> bool:
        """Fetches what is new of all instruments; returns whether all were answered."""

        async def fetch(venue: CcxtVenue, instrument: Instrument) -> bool:
            since_ns = bars.known_ns(instrument.id)
            try:
                found = await venue.closed_bars(instrument, since_ns, self._clock.now_ns())
            except (TransientError, SettingsError) as error:
                log.warning("no bars", instrument=instrument.id, reason=str(error))
                return False
            bars.add(instrument.id, found)
            return True

        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(fetch(*each)) for each in asked]
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
