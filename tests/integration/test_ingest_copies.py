"""Two ingest processes listen to one venue: each is killed in turn, and nothing is missing."""

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
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.runtime.envelope import read_event
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.time import NS_PER_SECOND
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
    for name in (BTC, ETH):
        trades, closes = sorted(trades_of(events[name])), sorted(closes_of(events[name]))
        assert trades == list(range(trades[0], trades[-1] + 1))
        assert closes == list(range(closes[0], closes[-1] + 1, NS_PER_SECOND))
        assert len(closes) > 8
        assert not [event for event in events[name] if isinstance(event, GapDetected)]
