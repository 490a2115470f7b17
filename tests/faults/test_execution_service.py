"""Live execution as a service on the log: one copy trades, another takes over."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.config.secret import Secret
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Progress
from goalkick.common.events.order import (
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderKind,
    OrderRejected,
)
from goalkick.common.events.venue import PlaceOrder, VenueRejected
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.outside import OutsideWorker
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.service import Life
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Output
from goalkick.common.runtime.wiring import Service
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.topics import DEAD_LETTERS, STATE_OF, TOPIC_OF, TOPICS, partition_of
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import CancelAllSettings, ExecutionSettings, VenueSettings
from goalkick.execution.standing import LOOKS
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.faults.desk import BTC, QUICK

pytestmark = pytest.mark.slow

RUNTIME = RuntimeSettings(poll_for="20ms", kafka={"session_timeout": "3s"})
PATIENCE_S = 20.0


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    async with VenueServer(quiet_settings()) as running:
        yield running


class World:
    """A log with risk's decisions on it, and copies of the execution service."""

    def __init__(self, server: VenueServer) -> None:
        self.server = server
        events = {topic.name: topic.partitions for topic in TOPICS}
        states = {topic.name: topic.partitions for topic in (*STATE_OF.values(), DEAD_LETTERS)}
        self.broker = Broker(events | states)
        topic = TOPIC_OF[OrderApproved]
        place = Partition(topic.name, partition_of("main", topic.partitions))
        self._risk = Output(topic, place, "risk")
        self._approvals = self._decisions = 0
        self._copies: list[Copy] = []

    def approve(self, quantity: str = "0.01", *, expires_at_ns: int = 0, **fields: Any) -> None:
        self._approvals += 1
        order = derive_id(f"world|{self._approvals}", "order")
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
            expires_at_ns=expires_at_ns,
            **fields,
        )
        self.decide(approved)

    def decide(self, event: Event) -> None:
        """Risk says something."""
        self._decisions += 1
        self._risk.pending.append((event, b""))
        for message in self._risk.close(Group(self._decisions, 1)):
            self.broker.append(message)

    async def copy(self, *, cancel_all: Any = None, **venue: Any) -> "Copy":
        copy = Copy(self, venue, cancel_all or {})
        self._copies.append(copy)
        await asyncio.sleep(0)
        return copy

    async def end(self) -> None:
        for copy in self._copies:
            await copy.kill()

    def reports(self) -> list[Event]:
        topic = TOPIC_OF[OrderFilled]
        place = Partition(topic.name, partition_of("main", topic.partitions))
        events = [read_event(record) for record in self.broker.records[place]]
        return [event for event in events if not isinstance(event, Progress)]

    def orders(self) -> list[str]:
        """Client order ids that the venue has ever seen from us."""
        ours = self.server.exchange.ledger().accounts["main"]
        return [o.client_order_id for o in ours.orders if o.client_order_id.startswith("gk-")]

    async def until(self, kind: type[Event], count: int) -> None:
        """Waits until this many different events of a kind were reported."""
        async with asyncio.timeout(PATIENCE_S):
            while len({e.id for e in self.reports() if type(e) is kind}) < count:
                await self.broker.arrival(0.1)


class Copy:
    """One running copy of the execution service."""

    def __init__(self, world: World, venue: dict[str, Any], cancel_all: dict[str, Any]) -> None:
        settings = ExecutionSettings(
            cancel_all=CancelAllSettings(**cancel_all),
            venue=VenueSettings(
                endpoint=world.server.binance_url,
                key=Secret("env:KEY", KEY),
                secret=Secret("env:SECRET", SECRET),
                **{**QUICK, **venue},
            ),
        )
        self.log = MemoryLog(world.broker)
        self.registry = CollectorRegistry()
        self.worker = OutsideWorker(
            self.log,
            Service("execution", lambda: LiveExecution(settings), account="main", looks=LOOKS),
            CcxtVenue(settings.venue, BinanceDialect(), "main"),
            RUNTIME,
            SystemClock(),
            Meter(Metrics(self.registry, "execution")),
            str(id(self)),
            grace_ns=settings.venue.recv_window + settings.venue.margin,
            leave_ns=settings.cancel_all.grace,
        )
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.worker.run(self._stop))

    async def ready(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.worker.ready:
                await asyncio.wait([self._task], timeout=0.02)
                if self._task.done():
                    self._task.result()

    @property
    def lease_s(self) -> float:
        """What its metrics say."""
        labels = {"service": "execution"}
        return self.registry.get_sample_value("goalkick_lease_seconds", labels) or 0.0

    async def kill(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def end(self) -> None:
        self._stop.set()
        await self._task


@pytest.fixture
async def world(server: VenueServer) -> AsyncIterator[World]:
    made = World(server)
    yield made
    await made.end()


async def test_an_approval_becomes_one_order_and_its_fill_is_reported(world: World) -> None:
    copy = await world.copy()
    await copy.ready()
    world.approve()
    await world.until(OrderFilled, 1)
    kinds = [type(event).__name__ for event in world.reports()]
    assert kinds[:2] == ["OrderIntended", "OrderAccepted"]
    assert len(world.orders()) == 1
    await copy.end()


async def test_decisions_from_before_the_account_was_live_are_nobodys(world: World) -> None:
    world.approve()
    copy = await world.copy()
    await copy.ready()
    world.approve()
    await world.until(OrderFilled, 1)
    assert len(world.orders()) == 1


async def test_an_approval_that_has_expired_meanwhile_is_not_placed(world: World) -> None:
    copy = await world.copy()
    await copy.ready()
    world.approve(expires_at_ns=1)
    await world.until(OrderRejected, 1)
    assert world.orders() == []


async def test_a_copy_that_starts_again_goes_on_and_repeats_nothing(world: World) -> None:
    copy = await world.copy()
    await copy.ready()
    world.approve()
    await world.until(OrderFilled, 1)
    await copy.kill()
    world.approve()
    again = await world.copy()
    await again.ready()
    await world.until(OrderFilled, 2)
    assert len(world.orders()) == len(set(world.orders())) == 2


async def test_a_kill_while_the_reply_is_lost_neither_repeats_nor_loses_the_order(
    world: World,
) -> None:
    copy = await world.copy()
    await copy.ready()
    for name in ("F4-slow", "F8"):
        for fault in preset(name).faults:
            world.server.faults.arm(fault)
    world.approve()
    await world.until(OrderIntended, 1)
    while not world.orders():
        await world.broker.arrival(0.02)
    await copy.kill()
    again = await world.copy()
    await again.ready()
    await world.until(OrderFilled, 1)
    assert len(world.orders()) == 1


async def test_another_copy_stands_by_and_takes_over(world: World) -> None:
    first = await world.copy()
    await first.ready()
    second = await world.copy()
    world.approve()
    await world.until(OrderFilled, 1)
    ours = first if first.worker.ready else second
    other = second if ours is first else first
    assert not other.worker.ready
    assert other.worker.tasks_running() == ["main: standing by"]
    assert (ours.worker.stands_by, other.worker.stands_by) == (False, True)
    for copy in (ours, other):
        life = Life(Stores(SecretsSettings(), VaultSettings(), {}, "execution"))
        assert not life.probe.is_ready
        life.pump = copy.worker
        assert life.probe.is_ready, "a copy that stands by can take over"
    assert 0 < ours.lease_s <= RUNTIME.kafka.session_timeout / NS_PER_SECOND
    assert other.lease_s == 0.0
    await ours.kill()
    await other.ready()
    world.approve()
    await world.until(OrderFilled, 2)
    assert len(world.orders()) == len(set(world.orders())) == 2


async def test_a_copy_whose_membership_is_not_confirmed_may_not_act(world: World) -> None:
    copy = await world.copy()
    await copy.ready()
    assert copy.worker.may_act()
    await copy.log.vanish()  # the group has given it up, and it does not know
    async with asyncio.timeout(PATIENCE_S):
        while copy.worker.may_act():
            await world.broker.arrival(0.05)
    before = len(world.reports())
    world.approve()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await world.until(OrderIntended, 1)
    assert (world.orders(), len(world.reports())) == ([], before)


async def test_an_order_that_waits_to_be_signed_when_the_lease_ends_is_never_sent(
    server: VenueServer,
) -> None:
    settings = VenueSettings(
        endpoint=server.binance_url,
        key=Secret("env:KEY", KEY),
        secret=Secret("env:SECRET", SECRET),
        **QUICK,
    )
    venue = CcxtVenue(settings, BinanceDialect(), "main", may_place=lambda: False)
    await venue.start()
    try:
        venue.carry_out(
            PlaceOrder(
                time_ns=1,
                client_order_id=ClientOrderId("gk-1"),
                instrument=BTC,
                side=Side.BUY,
                quantity=Decimal("0.01"),
                kind=OrderKind.MARKET,
            )
        )
        async with asyncio.timeout(PATIENCE_S):
            answers: list[Event] = []
            while not any(isinstance(answer, VenueRejected) for answer in answers):
                answers += await venue.answers()
    finally:
        await venue.close()
    assert "lease has run out" in next(a.reason for a in answers if isinstance(a, VenueRejected))
    assert server.exchange.ledger().accounts["main"].orders == []
