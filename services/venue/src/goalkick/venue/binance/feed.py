"""Brings what happens on the exchange to whoever listens to a market stream."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.binance.front import Front
from goalkick.venue.binance.sources import MiniTicker, Source
from goalkick.venue.binance.streams import ALL_MINI_TICKERS, parse, symbol_in
from goalkick.venue.binance.symbols import symbol_of
from goalkick.venue.engine.model import Happening, PhaseChanged


class Listener(Protocol):
    """Who hears the events of a stream; must not block."""

    def hear(self, stream: str, event: str) -> None:
        """Takes an event of a stream, as JSON."""


class Feed:
    """All streams that anybody listens to now."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._sources: dict[str, Source] = {}
        self._by_instrument: dict[str, dict[str, Source]] = defaultdict(dict)
        self._due_s: dict[str, float] = {}
        self._all: dict[str, MiniTicker] = {}
        self._settling: dict[str, None] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._unsubscribe = front.exchange.subscribe(self._happened)

    def start(self) -> None:
        """Begins to tell what is told in periods; there must be a running event loop."""
        self._ticking = asyncio.create_task(self._tick(), name="binance streams")
        self._ticking.add_done_callback(_report)

    async def stop(self) -> None:
        """Ends it."""
        self._unsubscribe()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    def listen(self, stream: str, listener: Listener) -> None:
        """Adds a listener to a stream, which must be one of the table."""
        self._listeners[stream].add(listener)
        if stream not in self._sources:
            self._open(stream)

    def leave(self, stream: str, listener: Listener) -> None:
        """Takes a listener from a stream; without any the stream ends."""
        self._listeners[stream].discard(listener)
        if self._listeners[stream]:
            return
        del self._listeners[stream]
        self._due_s.pop(stream, None)
        if (source := self._sources.pop(stream, None)) is not None:
            del self._by_instrument[source.instrument][stream]
            if not self._by_instrument[source.instrument]:
                del self._by_instrument[source.instrument]

    def _open(self, stream: str) -> None:
        """Makes a stream's source, if its symbol is listed."""
        if stream == ALL_MINI_TICKERS:
            self._due_s.setdefault(stream, self._now_s())
            return
        make, listing = parse(stream), self._front.symbols.find(symbol_in(stream))
        if make is None or listing is None:
            return
        source = make(self._front.exchange, listing, self._front.settings)
        self._sources[stream] = source
        self._by_instrument[listing.instrument][stream] = source
        if source.period_ns:
            self._due_s[stream] = self._now_s() + source.period_ns / NS_PER_SECOND

    def _happened(self, happening: Happening) -> None:
        if isinstance(happening, PhaseChanged):
            self._relist(happening)
            return
        instrument: str | None = getattr(happening, "instrument", None)
        if instrument is None or not (sources := self._by_instrument.get(instrument)):
            return
        now_ns = self._front.now_ns()
        for stream, source in sources.items():
            self._tell(stream, source.happened(happening, now_ns))
        if not self._settling:
            asyncio.get_running_loop().call_soon(self._settle)
        self._settling[instrument] = None

    def _relist(self, change: PhaseChanged) -> None:
        """Streams of what is listed no more fall silent, those of what is listed now begin."""
        self._front.symbols.refresh()
        if change.listing is None:
            for stream in self._by_instrument.pop(change.instrument, {}):
                del self._sources[stream]
                self._due_s.pop(stream, None)
            self._all.pop(change.instrument, None)
        for stream in [one for one in self._listeners if one not in self._sources]:
            self._open(stream)

    def _settle(self) -> None:
        now_ns = self._front.now_ns()
        instruments = list(self._settling)
        self._settling.clear()
        for instrument in instruments:
            for stream, source in self._by_instrument.get(instrument, {}).items():
                self._tell(stream, source.settled(now_ns))

    async def _tick(self) -> None:
        period_s = self._front.settings.fast_interval / NS_PER_SECOND
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            next_s = max(next_s + period_s, loop.time())
            await asyncio.sleep(next_s - loop.time())
            self._front.context.advance()
            self._tell_due(loop.time() + period_s / 2)

    def _tell_due(self, until_s: float) -> None:
        now_ns = self._front.now_ns()
        for stream in [one for one, due_s in self._due_s.items() if due_s <= until_s]:
            source = self._sources.get(stream)
            if source is None:
                self._due_s[stream] += self._front.settings.slow_interval / NS_PER_SECOND
                self._tell_all(now_ns)
            else:
                self._due_s[stream] = max(
                    self._due_s[stream] + source.period_ns / NS_PER_SECOND, until_s
                )
                self._tell(stream, source.due(now_ns))

    def _tell_all(self, now_ns: int) -> None:
        """The tickers of all symbols that changed, in one list."""
        events: list[Any] = []
        for listing in self._front.symbols:
            source = self._all.setdefault(
                listing.instrument,
                MiniTicker(self._front.exchange, listing.instrument, symbol_of(listing)),
            )
            events.extend(source.due(now_ns))
        if events:
            self._tell(ALL_MINI_TICKERS, [events])

    def _tell(self, stream: str, events: Iterable[Any]) -> None:
        for event in events:
            text = msgspec.json.encode(event).decode()
            for listener in tuple(self._listeners[stream]):
                listener.hear(stream, text)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _report(ticking: asyncio.Task[None]) -> None:
    """Streams that stop telling must not do so in silence."""
    if not ticking.cancelled() and (error := ticking.exception()) is not None:
        ticking.get_loop().call_exception_handler(
            {"message": "binance streams ended", "exception": error, "task": ticking}
        )
