"""Six processes on a real Kafka decide what one process decides, whatever happens to them."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.adapters.bus.memory import MemoryBus
from goalkick.common.events.base import Event
from goalkick.common.events.order import (
    Fill,
    OrderApproved,
    OrderRefused,
    PositionChanged,
    RefusalCode,
)
from goalkick.common.ports.feed import Step
from goalkick.common.topics import PARTS, SERVICES
from goalkick.common.values.time import NS_PER_SECOND, format_time
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings
from goalkick.feature.core import FeatureCore
from goalkick.feature.settings import FeatureSettings
from goalkick.ingest.feeds.build import build_recorded
from goalkick.ingest.settings import IngestSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategySettings
from tests.kafka.broker import Broker, LocalBroker
from tests.kafka.platform import DECISIONS, Platform, kill_at_random

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

Start = Callable[..., Any]


def settings(instruments: int, bars: int, speed: float) -> dict[str, Any]:
    names = ("BTC", "ETH", "SOL", "XRP")[:instruments]
    return {
        "runtime": {"clock": "event", "log_level": "warning"},
        "ingest": {
            "speed": speed,
            "simulated": {
                "bars": bars,
                "gap_probability": 0.01,
                "instruments": {f"simulated:{name}/USDT": {"volatility": 2.0} for name in names},
            },
        },
        "feature": {"features": ["ema_3", "ema_8", "rsi_5"]},
        "strategy": {
            "strategies": {
                "cross": {"strategy": "ema_cross", "params": {"fast": 3, "slow": 8}},
                "reversion": {"strategy": "rsi_reversion", "params": {"length": 5}},
            }
        },
        "risk": {"stop_loss": 0.01, "max_gross_exposure": 0.35},
    }


def steps_of(config: dict[str, Any]) -> list[Step]:
    return list(build_recorded(IngestSettings(**config["ingest"])).steps())


def embedded(config: dict[str, Any], steps: Sequence[Step]) -> list[Event]:
    """What one process decides."""
    seen: list[Event] = []
    bus = MemoryBus(
        {
            "feature": FeatureCore(FeatureSettings(**config["feature"])),
            "strategy": StrategyCore(StrategySettings(**config["strategy"]), discover()),
            "risk": RiskCore(RiskSettings(**config["risk"])),
            "execution": PaperExecution(ExecutionSettings()),
        },
        [(kind, seen.append) for topic in DECISIONS for kind in topic.events],
    )
    for step in steps:
        bus.feed(step)
    return seen


def in_order(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.time_ns, event.id))


def assert_sound(events: Sequence[Event]) -> None:
    """No order lost, none placed twice, positions equal the sum of fills."""
    approved = Counter(e.order for e in events if isinstance(e, OrderApproved))
    assert set(approved.values()) <= {1}
    held: dict[str, Any] = {}
    for event in events:
        if isinstance(event, Fill):
            held[event.instrument] = (
                held.get(event.instrument, 0) + event.side.sign * event.quantity
            )
    last: dict[str, PositionChanged] = {}
    for event in sorted(events, key=lambda e: e.time_ns):
        if isinstance(event, PositionChanged):
            last[event.instrument] = event
    assert {name: position.quantity for name, position in last.items()} == held


@pytest.fixture
async def start(broker: Broker, tmp_path: Path) -> AsyncIterator[Start]:
    """Makes topics and a platform that is ended with the test."""
    platforms: list[Platform] = []

    async def begin(config: dict[str, Any]) -> Platform:
        platform = Platform(broker.bootstrap, tmp_path, config)
        platforms.append(platform)
        await platform.make_topics()
        return platform

    yield begin
    for platform in platforms:
        platform.close()


@pytest.mark.parametrize("instruments", [1, 4])
async def test_six_processes_decide_what_one_process_decides(
    start: Start, instruments: int
) -> None:
    config = settings(instruments, bars=400, speed=0)
    steps = steps_of(config)
    expected = embedded(config, steps)
    platform = await start(config)
    platform.start_all()
    await platform.finished(steps[-1][0].time_ns)
    assert len(expected) > 500
    assert in_order(await platform.decided()) == in_order(expected)


async def test_killing_each_service_changes_no_decision(start: Start) -> None:
    config = settings(4, bars=900, speed=60 * 20)
    steps = steps_of(config)
    platform = await start(config)
    platform.start_all()
    names = [f"{service}-0" for service in SERVICES]
    killing = asyncio.create_task(kill_at_random(platform, names, 24, 11, (0.5, 2.5)))
    await platform.finished(steps[-1][0].time_ns, timeout_s=300)
    assert killing.done(), "the run was over before everything was killed: make it longer"
    decided = await platform.decided()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))
    assert min(platform.deaths[name] for name in names) >= 4


async def test_fused_and_killed_and_in_two_copies_they_decide_what_one_process_decides(
    start: Start,
) -> None:
    config = settings(4, bars=500, speed=60 * 20)
    config["runtime"]["log_level"] = "info"
    steps = steps_of(config)
    platform = await start(config)
    platform.start_all([service for service in SERVICES if service not in PARTS["fused"]])
    platform.start("fused")
    platform.start("fused", 1)
    killing = asyncio.create_task(
        kill_at_random(platform, ["fused-0", "fused-1"], 4, 3, (2.0, 4.0))
    )
    await platform.finished(steps[-1][0].time_ns, timeout_s=200)
    assert killing.done(), "the run was over before everything was killed: make it longer"
    assert all(platform.worked(f"fused-{copy}") for copy in range(2))
    decided = await platform.decided()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))


async def test_killing_the_broker_changes_no_decision(start: Start, broker: Broker) -> None:
    if not isinstance(broker, LocalBroker):
        pytest.skip("the broker is not ours to kill; without a named one or Docker it is")
    config = settings(4, bars=700, speed=60 * 20)
    steps = steps_of(config)
    platform = await start(config)
    platform.start_all()
    chance = random.Random(5)
    for _ in range(3):
        await asyncio.sleep(chance.uniform(3, 6))
        broker.kill()
        broker.start_again()
    await platform.finished(steps[-1][0].time_ns, timeout_s=300)
    decided = await platform.decided()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))


@pytest.mark.parametrize("service", ["feature", "strategy", "risk"])
async def test_scaling_up_and_down_under_load_changes_no_decision(
    start: Start, service: str
) -> None:
    config = settings(4, bars=500, speed=60 * 20)
    config["runtime"]["log_level"] = "info"
    steps = steps_of(config)
    platform = await start(config)
    platform.start_all()
    await asyncio.sleep(6)
    platform.start(service, 1)
    platform.start(service, 2)
    await asyncio.sleep(8)
    assert platform.stop(f"{service}-1") == 0
    await asyncio.sleep(2)
    assert platform.stop(f"{service}-0") == 0
    await platform.finished(steps[-1][0].time_ns, timeout_s=200)
    if service != "risk":  # one account is one task: further copies of risk stand by
        assert all(platform.worked(f"{service}-{copy}") for copy in range(3))
    decided = await platform.decided()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))


async def test_a_stopped_upstream_stops_new_risk_until_it_is_back(start: Start) -> None:
    """Nobody waits for a silent ingest for ever: risk refuses in time, and goes on afterwards."""
    config = settings(3, bars=100_000, speed=1)
    config["runtime"] |= {"clock": "wall", "stall_after": "1s"}
    config["risk"]["max_data_age"] = "2s"
    config["ingest"]["simulated"] |= {
        "interval": "1s",
        "start": format_time(time.time_ns() // NS_PER_SECOND * NS_PER_SECOND),
        "gap_probability": 0,
    }
    platform = await start(config)
    platform.start_all()
    await platform.seen(lambda e: isinstance(e, OrderApproved) and not e.reduce_only, 60)

    platform.processes["ingest-0"].send_signal(signal.SIGSTOP)
    stopped_ns = time.time_ns()
    await asyncio.sleep(3.5)  # the configured time: max_data_age + stall_after, and a little
    await platform.send_signal_for("simulated:BTC/USDT", target=1.0)
    refused = await platform.seen(
        lambda e: isinstance(e, OrderRefused) and e.code is RefusalCode.STALE_DATA, 20
    )
    assert refused.numbers["age_ns"] > 2 * NS_PER_SECOND
    assert not [
        e
        for e in await platform.decided()
        if isinstance(e, OrderApproved)
        and not e.reduce_only
        and e.time_ns > stopped_ns + 3 * NS_PER_SECOND
    ]

    platform.processes["ingest-0"].send_signal(signal.SIGCONT)
    back_ns = time.time_ns()
    await platform.seen(
        lambda e: isinstance(e, OrderApproved) and not e.reduce_only and e.time_ns > back_ns, 60
    )
