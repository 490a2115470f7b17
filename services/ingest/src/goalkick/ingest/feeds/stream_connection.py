"""A venue's connection: subscribes, passes on what it hears, and is built anew when in doubt.

There is one recovery for everything: whatever looks wrong (a socket that broke, a subscription that
was refused, silence, a full queue, a notice that the venue will end the connection), the client is
thrown away with its sockets and another one subscribes to everything again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from goalkick.common.ports.clock import Clock
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.feeds.retries import retry_delay_s
from goalkick.ingest.feeds.stream_health import Kind, Stream
from goalkick.ingest.feeds.stream_rest import Record
from goalkick.ingest.feeds.stream_tally import FeedTally
from goalkick.ingest.feeds.stream_tap import Tap, dial_wait_s, dispose, tapped
from goalkick.ingest.feeds.stream_venues import Dialect, watches
from goalkick.ingest.recording import Kind as Frames
from goalkick.ingest.settings import CcxtSettings

log = structlog.get_logger()

Note = Callable[[int, Any], object]
"""Something to be done in its turn among the messages, given the time of its being put there and
what takes its events."""


class Heard(NamedTuple):
    """What waits to be taken.

    Attributes:
        received_ns: when it came, UTC.
        stream: what it is about; None: it is a `Note`, or of an instrument that nobody asked for.
        content: a decoded message, or a `Note`.
    """

    received_ns: int
    stream: Stream | None
    content: Any


class Connection:
    """One venue's streams, for as long as `run` runs.

    Attributes:
        inbox: what was heard, oldest first.
        live: whether there is a client now.
    """

    def __init__(
        self,
        library: Any,
        venue: CcxtVenue,
        name: str,
        dialect: Dialect,
        settings: CcxtSettings,
        clock: Clock,
        jitter: Callable[[], float],
        tally: FeedTally,
        wake: Callable[[], object],
        record: Record | None = None,
    ) -> None:
        """Not connected.

        Args:
            library: ccxt's streaming half.
            venue: a connection by REST that has loaded the venue's instruments.
            name: ccxt's name of the venue.
            dialect: how it is spoken to.
            settings: how patiently.
            clock: for the time of receipt.
            jitter: numbers in [0, 1).
            tally: what is counted.
            wake: is called when something was heard; must not block.
            record: hears each frame first.
        """
        self.inbox: deque[Heard] = deque()
        self.live = False
        self._library = library
        self._venue = venue
        self._name = name
        self._dialect = dialect
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._tally = tally
        self._wake = wake
        self._record = record
        self._over: asyncio.Future[str] | None = None
        self._symbols: dict[str, InstrumentId] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def note(self, content: Note) -> None:
        """Puts something behind what has been heard."""
        self.inbox.append(Heard(self._clock.now_ns(), None, content))
        self._wake()

    def fail(self, reason: str) -> None:
        """The client is not to be trusted any more; `reason` is one of a few words."""
        if self._over is not None and not self._over.done():
            self._over.set_result(reason)

    async def run(
        self,
        wanted: Callable[[], Mapping[Kind, Sequence[str]]],
        begun: Callable[[], object],
        lost: Note,
    ) -> None:
        """Keeps a client connected; ends when it is cancelled.

        Args:
            wanted: what to subscribe to, by kind: ccxt's names of instruments.
            begun: is called when a client begins to connect.
            lost: is put among the messages when one was given up.
        """
        failures = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                began_s = loop.time()
                begun()
                self._put_down(Frames.OPENED, "")
                reason, wait_s = await self._session(wanted())
                self._put_down(Frames.CLOSED, reason)
                self.note(lost)
                self._tally.rebuild(self._name, reason)
                lasted_s = loop.time() - began_s
                lasting = lasted_s * NS_PER_SECOND > self._settings.max_retry_delay
                failures = 1 if lasting else failures + 1
                delay_s = max(wait_s, self._delay_s(failures))
                log.warning(
                    "connection is built anew",
                    venue=self._name,
                    reason=reason,
                    lasted_s=round(lasted_s, 3),
                    delay_s=round(delay_s, 3),
                )
                await asyncio.sleep(delay_s)
        finally:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _delay_s(self, failures: int) -> float:
        settings = self._settings
        return retry_delay_s(
            failures, settings.retry_delay, settings.max_retry_delay, self._jitter()
        )

    async def _session(self, wanted: Mapping[Kind, Sequence[str]]) -> tuple[str, float]:
        """Connects, and waits until something is wrong; says what, and how long to wait."""
        over = self._over = asyncio.get_running_loop().create_future()
        self._symbols = {
            self._venue.client.market(name)["id"]: InstrumentId(f"{self._name}:{name}")
            for names in wanted.values()
            for name in names
        }
        client = self._client(over)
        self.live = True
        watching = [
            asyncio.create_task(self._watch(watch))
            for kind, names in wanted.items()
            for watch in watches(client, self._dialect, kind, names, self._venue.timeframe)
        ]
        try:
            return await over, dial_wait_s(client)
        finally:
            self.live = False
            if not over.done():
                over.cancel()
            for task in watching:
                task.cancel()
            # Closing rejects what is being awaited: nobody may be, any more.
            await asyncio.gather(*watching, return_exceptions=True)
            closing = asyncio.create_task(dispose(client))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _client(self, over: "asyncio.Future[str]") -> Any:
        settings = self._settings
        client = tapped(
            self._library,
            self._name,
            self._tap(over),
            self._stumbled,
            options=self._dialect.options,
            timeout_ns=settings.timeout,
            keep_alive_ns=settings.keep_alive,
        )
        endpoint = settings.endpoints.get(self._name)
        if endpoint:
            self._dialect.point(client, endpoint)
        # Loading the venue's instruments again would block everything for half a second.
        client.set_markets_from_exchange(self._venue.client)
        return client

    def _put_down(self, kind: Frames, text: str) -> None:
        if self._record is not None:
            self._record(self._name, self._clock.now_ns(), self._name, kind, text)

    def _tap(self, over: "asyncio.Future[str]") -> Tap:
        """Hears a client's messages for as long as that client is trusted."""
        inbox, limit = self.inbox, self._settings.queue
        now_ns, wake, record = self._clock.now_ns, self._wake, self._record
        stream_of, symbols = self._dialect.stream_of, self._symbols

        def tap(url: str, message: Any) -> bool:
            if over.done():
                return True
            received_ns = now_ns()
            if record is not None:
                text = msgspec.json.encode(message).decode()
                record(self._name, received_ns, url, Frames.RECEIVED, text)
            if type(message) is not dict:
                return False
            spoken = stream_of(message)
            if spoken is None:
                return self._reply(message)
            if len(inbox) >= limit:
                self._tally.drop(self._name)
                self.fail("overflow")
                return True
            instrument = symbols.get(spoken[0])
            if instrument is not None:
                inbox.append(Heard(received_ns, (instrument, spoken[1]), message))
                wake()
            return True

        return tap

    def _reply(self, message: Any) -> bool:
        """A message that is no market data; whether ccxt must not see it."""
        if self._dialect.farewell(message):
            self.fail("shutdown")
        elif (refusal := self._dialect.refusal(message)) is not None:
            log.warning("subscription refused", venue=self._name, reason=refusal[:200])
            self.fail("refused")
        return self._dialect.settled(message)

    def _stumbled(self, error: Exception, message: Any) -> None:
        self._tally.refuse(self._name)
        log.warning(
            "message is not understood",
            venue=self._name,
            reason=f"{type(error).__name__}: {error}"[:200],
            found=str(message)[:200],
        )

    async def _watch(self, watch: Callable[[], Any]) -> None:
        """Subscribes; the answer never comes, for the tap takes it, but errors do."""
        try:
            while True:
                await watch()
        except Exception as error:
            log.info("stream ended", venue=self._name, reason=f"{type(error).__name__}: {error}")
            lost = isinstance(error, self._library.NetworkError | OSError)
            self.fail("disconnected" if lost else "error")
