"""Runs the services over a log in one process, and reads back what they decided."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Literal

from prometheus_client import CollectorRegistry

from goalkick.common.adapters.bus.memory import MemoryBus
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.core.fused import FusedCore
from goalkick.common.core.machine import Core
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.order import OrderFilled
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.ports.feed import Step
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.envelope import header_of, read_event
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.place import HEADER, read_place
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.source import Source
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.topics import (
    DEAD_LETTERS,
    PARTS,
    STATE_OF,
    TOPIC_OF,
    TOPICS,
    partition_of,
    signals_of,
)
from goalkick.execution.paper import PaperExecution
from goalkick.execution.service import has_working_orders
from goalkick.execution.settings import ExecutionSettings
from goalkick.feature.core import FeatureCore
from goalkick.feature.settings import FeatureSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.service import awaits_reports
from goalkick.risk.settings import RiskSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategyRun, StrategySettings
from tests.embedded.recordings import Recorded
from tests.kafka.platform import DECISIONS

Form = Literal["each", "fused"]
"""Each service by itself, or those that can be as one."""

FEATURES = FeatureSettings(features=("ema_2", "ema_3", "ema_5", "ema_8", "rsi_5"))
STRATEGIES = StrategySettings(
    strategies={
        "cross": StrategyRun(strategy="ema_cross", params={"fast": 3, "slow": 8}),
        "reversion": StrategyRun(strategy="rsi_reversion", params={"length": 5}),
    }
)
RISK = RiskSettings(sizing="fixed_fraction", stop_loss="0.01")
EXECUTION = ExecutionSettings()
RUNTIME = RuntimeSettings(clock="event", forecasts=False, snapshot_every="1ms", poll_for="20ms")


def make_cores(
    risk: RiskSettings = RISK, strategies: StrategySettings = STRATEGIES
) -> dict[str, Callable[[], Core]]:
    catalogue = discover()
    return {
        "feature": lambda: FeatureCore(FEATURES),
        "strategy": lambda: StrategyCore(strategies, catalogue),
        "risk": lambda: RiskCore(risk),
        "execution": lambda: PaperExecution(EXECUTION),
    }


def fused(cores: dict[str, Callable[[], Core]]) -> Service:
    """Those that can be, as one."""
    parts = [name for name in PARTS["fused"] if name in cores]
    unsaid = set() if "prediction" in parts else {TOPIC_OF[ForecastMade].name}
    return Service(
        "fused",
        lambda: FusedCore({name: cores[name]() for name in parts}),
        renews=True,
        unsaid=frozenset(unsaid),
    )


def services(risk: RiskSettings = RISK, *, form: Form = "each") -> list[Service]:
    cores = make_cores(risk)
    flow = (
        [fused(cores)]
        if form == "fused"
        else [Service("feature", cores["feature"]), Service("strategy", cores["strategy"])]
    )
    return [
        *flow,
        Service("risk", cores["risk"], awaits_reports, "main"),
        Service("execution", cores["execution"], None, "main", has_working_orders),
    ]


def embedded(
    steps: Sequence[Step], risk: RiskSettings = RISK, strategies: StrategySettings = STRATEGIES
) -> list[Event]:
    """What one process decides, in order."""
    seen: list[Event] = []
    kinds = [kind for topic in DECISIONS for kind in topic.events]
    bus = MemoryBus(
        {name: make() for name, make in make_cores(risk, strategies).items()},
        [(kind, seen.append) for kind in kinds],
    )
    for step in steps:
        bus.feed(step)
    return seen


def new_broker(partitions: int = 3) -> Broker:
    topics = {t.name: partitions if t.key == "instrument" else t.partitions for t in TOPICS}
    topics |= {
        t.name: partitions if name in ("fused", *PARTS["fused"]) else t.partitions
        for name, t in STATE_OF.items()
    }
    return Broker({**topics, DEAD_LETTERS.name: 1})


def meter(service: str) -> Meter:
    return Meter(Metrics(CollectorRegistry(), service))


def decided(broker: Broker, deployments: Sequence[str] = ("",)) -> list[Event]:
    """What stands on the topics of decisions, each event once, in the order of the partitions."""
    events: dict[str, Event] = {}
    names = [topic.name for topic in DECISIONS if Signal not in topic.events]
    for name in (*(signals_of(deployment).name for deployment in deployments), *names):
        for number in range(broker.topics[name]):
            for record in broker.records[Partition(name, number)]:
                event = read_event(record)
                if not isinstance(event, Progress):
                    events.setdefault(event.id, event)
    return list(events.values())


async def settled(broker: Broker, moment: int, timeout_s: float = 60) -> None:
    """Returns when execution has said all about `moment`."""
    name = TOPIC_OF[OrderFilled].name
    place = Partition(name, partition_of("main", broker.topics[name]))
    async with asyncio.timeout(timeout_s):
        while True:
            records = broker.records[place]
            if records:
                group = read_place(header_of(records[-1], HEADER)).group
                if group.moment >= moment and group.phase == 1:
                    return
            await broker.arrival(0.05)


class Live:
    """A feed that says what comes after a moment, and never a moment again."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step, None]:
        for step in self._steps:
            if after_ns is None or step[0].time_ns > after_ns:
                yield step


class Member:
    """One running copy of a service."""

    def __init__(
        self,
        broker: Broker,
        service: Service | Recorded | Live,
        name: str,
        *,
        batch: int = 50,
        fault: Callable[[str], None] | None = None,
        settings: RuntimeSettings = RUNTIME,
        clock: Any = None,
    ) -> None:
        self.log = MemoryLog(broker, batch=batch, fault=fault)
        clock = clock or SystemClock()
        self.stop = asyncio.Event()
        if isinstance(service, Service):
            counted = meter(service.name)
            self.worker: Any = Worker(self.log, service, settings, clock, counted, name)
        else:
            feed = (
                {"live": service.steps}
                if isinstance(service, Live)
                else {"recorded": service.steps}
            )
            self.worker = Source(self.log, settings, clock, meter("ingest"), **feed)
        self.task = asyncio.create_task(self.worker.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        await self.task

    async def kill(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
