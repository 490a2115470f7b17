"""Two ingest processes listen to one venue: one dies, or is deaf, and nothing is missing."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.runtime.envelope import read_event
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.venue.engine.model import Side
from goalkick.venue.server import VenueServer
from tests.conformance.feed_listener import BTC, ETH, lively_venue, place, trade
from tests.kafka.broker import Broker
from tests.kafka.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

PARTITIONS = 3
"""Of two copies one has the first instrument, one the other."""
TOPICS = (TOPIC_OF[BarClosed].name, TOPIC_OF[TradePrinted].name)
WITHIN_S = 60.0
"""A broker gives a dead process up after three seconds; machines may be busy."""


def settings(venue: VenueServer) -> dict[str, Any]:
    return {
        "runtime": {"log_level": "info"},
        "ingest": {
            "feed": "ccxt",
            "ccxt": {
                "instruments": [BTC, ETH],
                "endpoints": {"binance": venue.binance_url},
                "streams": ["bars", "trades"],
                "interval": "1s",
                "warmup": 2,
                "poll": "200ms",
                "settle": "100ms",
                "grace": "200ms",
                "retry_delay": "100ms",
                "max_retry_delay": "1s",
            },
        },
    }


async def said(platform: Platform) -> Mapping[str, Sequence[Event]]:
    """Of each instrument what stands on the log, each event once, as readers take it."""
    found: dict[str, dict[str, Event]] = defaultdict(dict)
    for record in await platform.read(TOPICS):
        event = read_event(record)
        if isinstance(event, BarClosed | TradePrinted | GapDetected):
            found[event.instrument].setdefault(event.id, event)
    return {name: list(events.values()) for name, events in found.items()}


async def promises(platform: Platform) -> set[int]:
    """Times between bars up to which readers were told that nothing is to come."""
    found = map(read_event, await platform.read([TOPIC_OF[BarClosed].name]))
    times = {event.time_ns for event in found if isinstance(event, Progress)}
    return {time_ns for time_ns in times if time_ns % NS_PER_SECOND > NS_PER_MS}


def trades_of(events: Sequence[Event]) -> list[int]:
    return [int(event.trade_id) for event in events if isinstance(event, TradePrinted)]


def closes_of(events: Sequence[Event]) -> list[int]:
    return [event.time_ns for event in events if isinstance(event, BarClosed)]


@contextlib.asynccontextmanager
async def trading(venue: VenueServer) -> AsyncIterator[None]:
    """Somebody trades both instruments ten times a second."""
    place(venue, Side.SELL, 3_002, 50, instrument="ETH/USDT")

    async def trade_on() -> None:
        while True:
            trade(venue, "0.001")
            trade(venue, "0.01", instrument="ETH/USDT")
            await asyncio.sleep(0.1)

    task = asyncio.create_task(trade_on())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until_listening(venue: VenueServer, count: int) -> None:
    """Waits until so many processes listen: each has a socket for bars and one for trades."""
    async with asyncio.timeout(WITHIN_S):
        while venue.faults.sockets().count("socket:stream") != 2 * count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_it_says(platform: Platform, moment_ns: int) -> None:
    """Waits until bars of both instruments after a moment stand on the log."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        events = await said(platform)
        last = [max(closes_of(events.get(name, ())), default=0) for name in (BTC, ETH)]
        if min(last) > moment_ns:
            return
        if time.monotonic() > deadline:
            raise AssertionError(
                f"expected bars after {moment_ns}, found {last}\n{platform.logs()}"
            )


async def until_said(log: Path, event: str) -> None:
    """Waits until a process says something."""
    async with asyncio.timeout(WITHIN_S):
        while not says(log, event):  # noqa: ASYNC110 -- a file tells nobody
            await asyncio.sleep(0.02)


def held_some(log: Path) -> bool:
    """Whether a copy ever had partitions to speak for."""
    lines = [line for line in log.read_text().splitlines() if '"partitions assigned"' in line]
    return any(json.loads(line)["partitions"] for line in lines)


async def test_either_process_may_be_killed_and_no_bar_or_trade_is_missing(
    broker: Broker, tmp_path: Path
) -> None:
    async with lively_venue(seconds=True) as venue, trading(venue):
        platform = Platform(broker.bootstrap, tmp_path, settings(venue), PARTITIONS)
        await platform.make_topics()
        try:
            for copy in (0, 1):
                platform.start("ingest", copy)
            await until_listening(venue, 2)
            await until_it_says(platform, venue.clock.now_ns())
            for copy in (0, 1):
                platform.kill(f"ingest-{copy}")
                await until_listening(venue, 1)
                await until_listening(venue, 2)
                await until_it_says(platform, venue.clock.now_ns() + 2 * NS_PER_SECOND)
            assert all(held_some(tmp_path / f"ingest-{copy}.log") for copy in (0, 1))
            events = await said(platform)
        finally:
            platform.close()
    assert_whole(events)


def assert_whole(events: Mapping[str, Sequence[Event]]) -> None:
    """Whether no bar and no trade is missing, and none is said to be."""
    for name in (BTC, ETH):
        trades, closes = sorted(trades_of(events[name])), sorted(closes_of(events[name]))
        assert trades == list(range(trades[0], trades[-1] + 1))
        assert closes == list(range(closes[0], closes[-1] + 1, NS_PER_SECOND))
        assert len(closes) > 8
        assert not [event for event in events[name] if isinstance(event, GapDetected)]


class Line:
    """A line to a server that can be cut so that neither end notices: what is said is lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._through = asyncio.Event()
        self._through.set()
        self._pumps: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Carries connections; yields its address."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for pump in (pumps := tuple(self._pumps)):
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def cut(self) -> None:
        """From now on nothing comes through, and connections stay open."""
        self._through.clear()

    def mend(self) -> None:
        """What comes from now on comes through."""
        self._through.set()

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", self._port)
        for reader, writer in ((near, forth), (far, back)):
            pump = asyncio.create_task(self._pump(reader, writer))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while said := await reader.read(65_536):
                    await self._through.wait()
                    writer.write(said)
                    await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def says(log: Path, event: str) -> bool:
    return f'"event":"{event}"' in log.read_text()


async def test_a_process_that_hears_nothing_leaves_its_part_to_the_other_until_it_hears_again(
    broker: Broker, tmp_path: Path
) -> None:
    async with lively_venue(seconds=True) as venue, trading(venue):
        configured = settings(venue)
        configured["ingest"]["ccxt"]["leave_after"] = "500ms"
        configured["ingest"]["ccxt"]["patience"] = {"bar": "1s"}
        configured["ingest"]["ccxt"]["quiet_every"] = "100ms"
        platform = Platform(broker.bootstrap, tmp_path, configured, PARTITIONS)
        await platform.make_topics()
        line, deaf = Line(int(venue.binance_url.rpartition(":")[2])), tmp_path / "ingest-0.log"
        try:
            async with line.laid() as address:
                endpoints = {"GOALKICK__INGEST__CCXT__ENDPOINTS": json.dumps({"binance": address})}
                platform.start("ingest", 0, endpoints)
                platform.start("ingest", 1)
                await until_listening(venue, 2)
                await until_it_says(platform, venue.clock.now_ns())
                line.cut()
                await until_said(deaf, "nothing is heard: partitions are left to other copies")
                await until_it_says(platform, venue.clock.now_ns() + NS_PER_SECOND)
                line.mend()
                await until_said(deaf, "something is heard again")
                await until_it_says(platform, venue.clock.now_ns() + 4 * NS_PER_SECOND)
                assert all(held_some(tmp_path / f"ingest-{copy}.log") for copy in (0, 1))
                events, promised = await said(platform), await promises(platform)
        finally:
            platform.close()
    assert_whole(events)
    # Between the bars readers were told that nothing was to come up to then.
    assert len(promised) > 20
