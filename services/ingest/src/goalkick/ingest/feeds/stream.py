"""Live market data of venues over their streams: bars in order; trades, quotes, books at once."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from goalkick.common.core.errors import TransientError
from goalkick.common.events.base import Event
from goalkick.common.ports.budget import Budget
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.feeds.live_bars import LiveBars, empty_bars
from goalkick.ingest.feeds.retries import retry_delay_s
from goalkick.ingest.feeds.stream_connection import Connection
from goalkick.ingest.feeds.stream_intake import Intake
from goalkick.ingest.feeds.stream_jobs import Errands
from goalkick.ingest.feeds.stream_rest import Record, Requests
from goalkick.ingest.feeds.stream_tally import FeedTally
from goalkick.ingest.feeds.stream_tap import load_library
from goalkick.ingest.feeds.stream_venues import dialect_of
from goalkick.ingest.recorder import Recorder
from goalkick.ingest.recording import Kind as Frames
from goalkick.ingest.settings import CcxtSettings

_TICK_S: Final = 0.05
"""Time between two looks at what is late: small beside every patience, large beside its cost."""
_AWAY_S: Final = 0.25
"""Between two looks, from when on it was we who did not listen, and no venue that was silent."""
_ALL_S: Final = 1.0
"""From the first message to the last stream's subscription: a connection more, or two."""

log = structlog.get_logger()


class StreamFeed:
    """Several venues in one process, as one `LiveFeed`.

    Two times must not be confused: events have the venues', patience has our clock's.

    Attributes:
        tally: what is counted.
    """

    def __init__(
        self,
        settings: CcxtSettings,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        *,
        tally: FeedTally | None = None,
        record: Record | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Nothing is loaded or connected before the first step is asked for.

        Args:
            settings: what to listen to, and how patiently.
            clock: for times of receipt, and for what is late.
            jitter: numbers in [0, 1) that keep copies of this feed from retrying in step.
            tally: what is counted; None: one of its own.
            record: hears each raw frame first; None: recordings are made if the settings say so.
            budget: gives leave for requests; None: they go at ccxt's own pace.
        """
        self._budget = budget
        self.tally = tally or FeedTally()
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._record = record
        self._closed = asyncio.Event()
        self._wake = asyncio.Event()
        self._begun = asyncio.Event()
        self._looked_s = self._promised_s = 0.0

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        self._closed.set()
        self._wake.set()

    async def begun(self) -> None:
        """Returns when all venues are heard, and a moment later, when all streams should be."""
        await self._begun.wait()
        await asyncio.sleep(_ALL_S)

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        """The steps as they happen, in order of time, and the tape; ends when the feed is closed.

        The first step lists the instruments. Close the iterator (`contextlib.aclosing`) where you
        leave it early: sockets are open behind it.

        Args:
            after_ns: the last moment of an earlier run, to go on after it; what has been missed
                since is fetched, or said to be missing. None: begin with `warmup` closed bars.

        Raises:
            SettingsError: a venue has no such instrument or bars, or cannot be listened to.
            TransientError: a venue cannot be reached at the start; later only events tell.
        """
        async with contextlib.AsyncExitStack() as stack:
            lines = [await self._line(name, stack) for name in self._settings.venues]
            rules: dict[InstrumentId, Instrument] = {}
            for line in lines:
                rules |= await line.rules(self._closed)
            if self._closed.is_set():
                return
            bars = empty_bars(self._settings, rules, after_ns, self._clock.now_ns())
            yield bars.listing()
            for line in lines:
                line.start(bars)
                stack.push_async_callback(line.stop)
            async for told in self._listen(lines, bars):
                yield told

    async def _line(self, name: str, stack: contextlib.AsyncExitStack) -> "_Line":
        dialect_of(name)
        connecting = await CcxtVenue.connect(self._settings.of(name), self._budget)
        venue = await stack.enter_async_context(connecting)
        return _Line(
            name,
            venue,
            await load_library(),
            self._settings,
            self._clock,
            self._jitter,
            self.tally,
            self._wake.set,
            self._record or self._recorder(name, stack),
        )

    def _recorder(self, name: str, stack: contextlib.AsyncExitStack) -> Record | None:
        if self._settings.record is None:
            return None
        recorder = stack.enter_context(Recorder(self._settings.record, name))

        def record(_: str, received_ns: int, address: str, kind: Frames, text: str) -> None:
            recorder.record(received_ns, address, kind, text)

        return record

    async def _listen(
        self, lines: Sequence["_Line"], bars: LiveBars
    ) -> AsyncGenerator[Step | Tape, None]:
        loop = asyncio.get_running_loop()
        while not self._closed.is_set():
            with self._alarm(loop):
                await self._wake.wait()
            self._wake.clear()
            for line in lines:
                line.check()
            now_s, news = loop.time(), list[Event]()
            tape: list[Event] = []
            for line in lines:
                said = line.intake.drain()
                tape += said.tape
                news += said.news
            self._note_beginning(lines)
            if due := now_s - self._looked_s >= _TICK_S:
                news += self._look(lines, now_s)
            # First what must be known of the events that follow it.
            if news:
                yield bars.beside(news)
            if tape:
                yield Tape(tape)
            if due or bars.changed:
                for step in self._released(bars, now_s):
                    yield step

    def _look(self, lines: Sequence["_Line"], now_s: float) -> list[Event]:
        """What is overdue or lacks; were we away ourselves, nobody was silent."""
        away_s = now_s - self._looked_s if self._looked_s else 0.0
        self._looked_s = now_s
        news: list[Event] = []
        for line in lines:
            if away_s > _AWAY_S:
                line.intake.health.away(int((away_s - _TICK_S) * NS_PER_SECOND))
            news += line.intake.tick(self._clock.now_ns())
        return news

    def _note_beginning(self, lines: Sequence["_Line"]) -> None:
        if not self._begun.is_set() and all(line.heard for line in lines):
            self._begun.set()

    def _released(self, bars: LiveBars, now_s: float) -> list[Step]:
        """The steps that can be told now, and now and then a promise."""
        now_ns, every_ns = self._clock.now_ns(), self._settings.quiet_every or 0
        steps = bars.release(now_ns)
        if every_ns and now_s - self._promised_s >= every_ns / NS_PER_SECOND:
            self._promised_s = now_s
            if (until_ns := bars.promise(now_ns)) is not None:
                steps.append(Quiet.until(until_ns))
        return steps

    @contextlib.contextmanager
    def _alarm(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Wakes us for the next look, if nothing does before."""
        timer = loop.call_at(self._looked_s + _TICK_S, self._wake.set)
        try:
            yield
        finally:
            timer.cancel()


class _Line:
    """One venue's connection, requests and intake."""

    def __init__(
        self,
        name: str,
        venue: CcxtVenue,
        library: Any,
        settings: CcxtSettings,
        clock: Clock,
        jitter: Callable[[], float],
        tally: FeedTally,
        wake: Callable[[], object],
        record: Record | None,
    ) -> None:
        self.intake: Intake
        self._name = name
        self._venue = venue
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._tally = tally
        self._wake = wake
        self._dialect = dialect_of(name)
        place = f"{name} at {settings.endpoints.get(name, 'its usual address')}"
        self._requests = Requests(venue, name, settings.timeout, place, clock, record)
        self._errands = Errands(self._delay_s, self._broke)
        self._connection = Connection(
            library, venue, name, self._dialect, settings, clock, jitter, tally, wake, record
        )
        self._rules: Mapping[InstrumentId, Instrument] = {}
        self._running: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    async def rules(self, closed: asyncio.Event) -> Mapping[InstrumentId, Instrument]:
        """The rules, asked for more than once; none when the feed is closed meanwhile."""
        for attempt in range(1, self._settings.start_attempts + 1):
            try:
                self._rules = await self._venue.rules()
                break
            except TransientError as error:
                if attempt == self._settings.start_attempts:
                    raise
                log.warning("venue does not answer", attempt=attempt, reason=str(error))
            delay_s = max(self._delay_s(attempt), self._requests.wait_s())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closed.wait(), delay_s)
            if closed.is_set():
                break
        return self._rules

    def start(self, bars: LiveBars) -> None:
        """Begins to listen."""
        self.intake = Intake(
            self._name,
            self._dialect,
            self._settings,
            self._rules,
            {id_: self._venue.symbol(rule) for id_, rule in self._rules.items()},
            self._requests,
            self._venue.timeframe,
            self._connection,
            self._errands,
            bars,
            self._clock,
            self._tally,
        )
        work = self._connection.run(self.intake.wanted, self.intake.begun, self.intake.lost)
        self._running = asyncio.create_task(work)
        self._running.add_done_callback(lambda _: self._wake())

    @property
    def heard(self) -> bool:
        """Whether the present connection has brought anything."""
        health = self.intake.health
        return any(health.heard_since_connected(stream) for stream in health.streams)

    def check(self) -> None:
        """Raises what ended this line: our own fault, never the venue's."""
        if self._error is not None:
            raise self._error
        if self._running is not None and self._running.done():
            self._running.result()

    async def stop(self) -> None:
        """Ends it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._errands.close()

    def _delay_s(self, failures: int) -> float:
        settings = self._settings
        return retry_delay_s(
            failures, settings.retry_delay, settings.max_retry_delay, self._jitter()
        )

    def _broke(self, error: BaseException) -> None:
        self._error = error
        self._wake()
