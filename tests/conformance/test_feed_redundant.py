"""Two connections to one venue in one process, as the settings say: each is broken in turn.

Nothing is missing, nothing comes twice, nothing is said to be stale: the other one tells it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    TradePrinted,
)
from goalkick.common.ports.feed import LiveFeed, Quiet, Tape
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.aggregate import standing_of
from goalkick.ingest.feeds.build import build_live
from goalkick.ingest.settings import IngestSettings
from goalkick.venue.faults import Action, Point
from goalkick.venue.server import VenueServer
from tests.conformance.feed_listener import (
    BTC,
    WITHIN_S,
    SkewedClock,
    arm,
    lively_venue,
    trade,
)

pytestmark = pytest.mark.slow

ILL = (FeedStale, FeedRecovered, GapDetected)


class Heard:
    """What the feed of the service told, until it is left."""

    def __init__(self, feed: LiveFeed, registry: CollectorRegistry) -> None:
        self.feed = feed
        self.registry = registry
        self.events: list[Event] = []
        self.moments: list[int] = []
        self.promises: list[int] = []
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        async with aclosing(self.feed.steps()) as steps:
            async for said in steps:
                if isinstance(said, Quiet):
                    self.promises.append(said.until_ns)
                    self.moments.append(said.until_ns)
                elif not isinstance(said, Tape):
                    self.moments.append(said[0].time_ns)
                self.events += said
                self._changed.set()

    async def until(self, holds: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Waits until something holds; looked at when something is told, and now and then."""
        async with asyncio.timeout(within_s):
            while not holds():
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.02)

    def trades(self) -> list[int]:
        """Numbers, in the order of their being told."""
        return [int(event.trade_id) for event in self.events if isinstance(event, TradePrinted)]

    def closes(self) -> list[int]:
        """Ends of the bars, in the order of their being told."""
        return [event.time_ns for event in self.events if isinstance(event, BarClosed)]

    def ill(self) -> list[Event]:
        """What was said to be wrong, or right again."""
        return [event for event in self.events if isinstance(event, ILL)]

    def well(self, connection: int) -> bool:
        """Whether the metric says that a connection is well."""
        value = self.registry.get_sample_value(
            "goalkick_feed_connection_well", {"connection": str(connection), "service": "ingest"}
        )
        return bool(value)


@asynccontextmanager
async def service_feed(venue: VenueServer, **ccxt: Any) -> AsyncIterator[Heard]:
    """The live feed as the ingest service builds it."""
    name = (ccxt.get("instruments") or (BTC,))[0].split(":")[0]
    url = {"binance": venue.binance_url, "bybit": venue.bybit_url}[name]
    usual: dict[str, Any] = {
        "instruments": (BTC,),
        "connections": 2,
        "endpoints": {name: url},
        "streams": ("bars", "trades", "books"),
        "interval": "1s",
        "warmup": 2,
        "poll": "200ms",
        "settle": "100ms",
        "grace": "200ms",
        "quiet_every": "50ms",
        "retry_delay": "50ms",
        "max_retry_delay": "1s",
        "patience": {"bar": "500ms", "trade": None, "quote": None, "book": None, "all": "10s"},
    }
    settings = IngestSettings.model_validate({"feed": "ccxt", "ccxt": usual | ccxt})
    registry = CollectorRegistry()
    feed = build_live(settings, SkewedClock(venue, 0), Metrics(registry, "ingest"))
    heard = Heard(feed, registry)
    task = asyncio.create_task(heard.listen())
    try:
        yield heard
    finally:
        feed.close()
        async with asyncio.timeout(WITHIN_S):
            await task


def break_oldest(venue: VenueServer, action: Action, before: int = 0) -> None:
    """Breaks the stream socket that has been open the longest: both in turn, if they are mended.

    Args:
        venue: whose.
        action: how.
        before: how many were broken; half-open ones stay open at the venue's end.
    """
    skip = before if action is Action.HALF_OPEN else 0
    arm(venue, Point.NOW, "socket:stream", action, skip=skip)


async def begun(heard: Heard) -> None:
    """Waits until both connections tell everything."""
    await heard.until(lambda: any(isinstance(e, BookSnapshotTaken) for e in heard.events))
    await heard.until(lambda: bool(heard.closes()) and heard.well(1) and heard.well(2))


async def mended(venue: VenueServer, heard: Heard) -> None:
    """Trades now and then until both connections tell everything: trades only trades mend."""
    async with asyncio.timeout(WITHIN_S):
        while not (heard.well(1) and heard.well(2)):
            trade(venue, "0.01")
            with suppress(TimeoutError):
                await heard.until(lambda: heard.well(1) and heard.well(2), within_s=0.2)
    known = len(venue.exchange.trades("BTC/USDT"))
    await heard.until(lambda: heard.trades()[-1:] == [known])


@pytest.mark.parametrize("action", [Action.RESET, Action.CLOSE, Action.HALF_OPEN])
async def test_f1_either_connection_may_break_and_nothing_is_missing_or_comes_twice(
    action: Action,
) -> None:
    async with lively_venue(seconds=True) as venue, service_feed(venue) as heard:
        await begun(heard)
        for before in range(3):
            break_oldest(venue, action, before)
            for _ in range(3):
                trade(venue, "0.01")
            known = len(venue.exchange.trades("BTC/USDT"))
            await heard.until(partial(lambda last: heard.trades()[-1:] == [last], known))
            await heard.until(lambda: not (heard.well(1) and heard.well(2)))
            await mended(venue, heard)
        count = len(heard.closes())
        await heard.until(lambda: len(heard.closes()) > count + 1)
        assert heard.trades() == list(range(heard.trades()[0], heard.trades()[-1] + 1))
        closes = heard.closes()
        assert closes == list(range(closes[0], closes[-1] + 1, NS_PER_SECOND))
        assert heard.ill() == []
        assert len([e for e in heard.events if isinstance(e, InstrumentListed)]) == 1
        assert heard.moments == sorted(set(heard.moments))


async def test_what_both_connections_lack_is_said() -> None:
    async with lively_venue(seconds=True) as venue, service_feed(venue) as heard:
        await begun(heard)
        arm(venue, Point.NOW, "socket:stream", Action.HALF_OPEN, count=None)
        await heard.until(lambda: any(isinstance(e, FeedStale) for e in heard.ill()))
        trade(venue, "0.01")
        await mended(venue, heard)
        assert heard.trades() == list(range(heard.trades()[0], heard.trades()[-1] + 1))
        # Both have asked for what they missed.
        assert not [e for e in heard.ill() if isinstance(e, GapDetected) and e.stream != "book"]
        stale = {e.stream for e in heard.ill() if isinstance(e, FeedStale)}
        await heard.until(
            lambda: stale <= {e.stream for e in heard.ill() if isinstance(e, FeedRecovered)}
        )


async def test_people_see_how_each_connection_stands() -> None:
    async with lively_venue(seconds=True) as venue, service_feed(venue) as heard:
        await begun(heard)
        assert [line.partition(":")[0] for line in standing_of(heard.feed)] == [
            "connection 1 well",
            "connection 2 well",
        ]
        arm(venue, Point.HANDSHAKE, "socket:stream", Action.RESET, count=None)
        break_oldest(venue, Action.RESET)
        await heard.until(lambda: not (heard.well(1) and heard.well(2)))
        lines = [line.partition(":")[0] for line in standing_of(heard.feed)]
        assert sum(line.endswith("well") for line in lines) == 1
        assert sum(line.endswith("ill") for line in lines) == 1
