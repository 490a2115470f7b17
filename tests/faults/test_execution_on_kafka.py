"""Live execution as processes on a real Kafka: killed, paused, and never two at once."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from goalkick.common.codec import protobuf
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderApproved, OrderFilled
from goalkick.common.runtime.envelope import envelope
from goalkick.common.runtime.place import Group, Place
from goalkick.common.topics import TOPIC_OF, partition_of
from goalkick.common.values.ids import AccountId, StrategyId, client_order_id, derive_id
from goalkick.venue.presets import PLACE_ORDER, QUERY_ORDER, preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.faults.desk import BTC, QUICK
from tests.kafka.broker import Broker
from tests.kafka.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

LISTS = "rest:GET /api/v3/openOrders|rest:GET /api/v3/myTrades"
KEYS = {"VENUE_KEY": KEY, "VENUE_SECRET": SECRET}


class Trading:
    """A platform whose execution trades on an exchange in a box; the test is its risk service."""

    def __init__(self, platform: Platform, server: VenueServer, producer: AIOKafkaProducer) -> None:
        self.platform = platform
        self.server = server
        self._producer = producer
        self._approvals = 0

    async def start(self, copy: int) -> None:
        self.platform.start("execution", copy, KEYS)

    async def works(self, copy: int, times: int = 1) -> None:
        """Waits until a copy has the account."""
        path = self.platform.folder / f"execution-{copy}.log"
        async with asyncio.timeout(40):
            while path.read_text().count("works for the account") < times:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def pages(self, copy: int) -> str:
        """Where the copy's pages are."""
        lines = (self.platform.folder / f"execution-{copy}.log").read_text().splitlines()
        (started,) = [line for line in lines if '"event":"started"' in line]
        return str(json.loads(started)["pages"])

    async def approve(self, quantity: str = "0.01") -> None:
        self._approvals += 1
        order = derive_id(f"kafka|{self._approvals}", "order")
        approved = OrderApproved(
            time_ns=self._approvals,
            account=AccountId("main"),
            order=order,
            cause=order,
            client_order_id=client_order_id(order),
            strategy=StrategyId("s"),
            instrument=BTC,
            side=Side.BUY,
            quantity=Decimal(quantity),
        )
        topic = TOPIC_OF[OrderApproved]
        await self._producer.send_and_wait(
            topic.name,
            protobuf.encode(approved),
            key=b"main",
            partition=partition_of("main", topic.partitions),
            headers=list(
                envelope(approved, "risk", Place(Group(self._approvals, 1), 0, True), b"")
            ),
        )

    def orders(self) -> list[str]:
        ours = self.server.exchange.ledger().accounts["main"].orders
        return [o.client_order_id for o in ours if o.client_order_id.startswith("gk-")]

    async def placed(self, count: int) -> None:
        async with asyncio.timeout(40):
            while len(self.orders()) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def filled(self, count: int) -> None:
        """Waits until so many different orders are reported as filled."""
        async with asyncio.timeout(40):
            while True:
                told = await self.platform.decided()
                if sum(isinstance(event, OrderFilled) for event in told) >= count:
                    return


@pytest.fixture
async def trading(broker: Broker, tmp_path: Path) -> AsyncIterator[Trading]:
    async with VenueServer(quiet_settings()) as server:
        settings: dict[str, Any] = {
            "trading": {"mode": "live", "account": "main"},
            "runtime": {"log_form": "json", "poll_for": "20ms"},
            "execution": {
                "venue": {
                    **QUICK,
                    "endpoint": server.binance_url,
                    "key": "env:VENUE_KEY",
                    "secret": "env:VENUE_SECRET",
                }
            },
        }
        platform = Platform(broker.bootstrap, tmp_path, settings)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        try:
            await platform.make_topics()
            yield Trading(platform, server, producer)
        finally:
            for process in platform.processes.values():
                process.send_signal(signal.SIGCONT)
            platform.close()
            await producer.stop()


async def test_an_order_goes_from_the_log_to_the_venue_and_its_fill_back(trading: Trading) -> None:
    await trading.start(0)
    await trading.works(0)
    await trading.approve()
    await trading.filled(1)
    assert len(trading.orders()) == 1


async def test_an_order_in_doubt_is_told_on_the_pages_until_the_venue_has_spoken(
    trading: Trading,
) -> None:
    await trading.start(0)
    await trading.works(0)
    pages = await trading.pages(0)
    for name, where in (("F4-5xx", PLACE_ORDER), ("F12-503", f"{QUERY_ORDER}|{LISTS}")):
        fault = preset(name, where=where, count=100).faults[0]
        trading.server.faults.arm(fault)
    for fault in preset("F8").faults:
        trading.server.faults.arm(fault)
    await trading.approve()
    async with aiohttp.ClientSession(pages) as session:
        await told(session, "goalkick_orders_unknown", 1.0)
        async with session.get("/info") as reply:
            (line,) = [text for text in (await reply.json())["tasks"] if "fate unknown" in text]
        assert "up to 0.01 of 0.01 may still trade" in line
        trading.server.faults.clear()
        await told(session, "goalkick_orders_unknown", 0.0)
    await trading.filled(1)


async def told(session: aiohttp.ClientSession, metric: str, figure: float) -> None:
    """Waits until a metric of the service has a figure."""
    async with asyncio.timeout(20):
        while True:
            async with session.get("/metrics") as reply:
                lines = (await reply.text()).splitlines()
            (found,) = [line for line in lines if line.startswith(f"{metric}{{")]
            if float(found.split()[-1]) == figure:
                return
            await asyncio.sleep(0.02)


async def test_sigkill_while_replies_are_lost_places_nothing_twice(trading: Trading) -> None:
    os.environ.update(KEYS)
    await trading.start(0)
    await trading.works(0)
    for number in (1, 2, 3):
        for name in ("F4-slow", "F8"):
            for fault in preset(name).faults:
                trading.server.faults.arm(fault)
        await trading.approve()
        await trading.placed(number)
        trading.platform.kill("execution-0")
        await trading.works(0, times=number + 1)
        trading.server.faults.clear()
    await trading.filled(3)
    assert len(trading.orders()) == len(set(trading.orders())) == 3


async def test_a_paused_copy_that_wakes_up_after_another_took_over_places_nothing(
    trading: Trading,
) -> None:
    await trading.start(0)
    await trading.works(0)
    await trading.approve()
    await trading.filled(1)
    paused = trading.platform.processes["execution-0"]
    paused.send_signal(signal.SIGSTOP)
    await trading.start(1)
    await trading.approve()  # the paused copy will read this, too
    await trading.works(1)
    await trading.filled(2)
    paused.send_signal(signal.SIGCONT)
    await trading.approve()
    await trading.filled(3)
    assert len(trading.orders()) == len(set(trading.orders())) == 3
    # What it did when it woke up did not spoil what the other one knows.
    os.environ.update(KEYS)
    trading.platform.kill("execution-1")
    trading.platform.stop("execution-0")
    await trading.works(1, times=2)
    await trading.approve()
    await trading.filled(4)
    assert len(trading.orders()) == len(set(trading.orders())) == 4
