"""Services whose state follows from the log begin anew when their settings change; others stop."""

import asyncio
from collections.abc import Callable

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.core.machine import Core
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.signal import Signal
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.wiring import Service
from goalkick.common.topics import TOPIC_OF
from goalkick.feature.core import FeatureCore
from goalkick.feature.settings import FeatureSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.service import awaits_reports
from goalkick.risk.settings import RiskSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategyRun, StrategySettings
from tests.embedded.recordings import Recorded
from tests.replay.cluster import FEATURES, Member, new_broker, services, settled
from tests.replay.test_cluster_decides_like_one_process import market

STEPS = market("AB", 160)
CHANGED_AT = 100
"""Steps after which a service starts with other settings."""


def strategy(slow: int) -> Service:
    run = StrategyRun(strategy="ema_cross", params={"fast": 3, "slow": slow})
    settings, catalogue = StrategySettings(strategies={"cross": run}), discover()
    return Service("strategy", lambda: StrategyCore(settings, catalogue), renews=True)


def feature(*more: str) -> Service:
    settings = FeatureSettings(features=(*FEATURES.features, *more))
    return Service("feature", lambda: FeatureCore(settings), renews=True)


async def said(kind: type[Event], first: Service, second: Service) -> dict[int, list[Event]]:
    """What a service says of each moment when it is another from `CHANGED_AT` on; each once."""
    broker = new_broker(1)
    others = [service for service in services() if service.name != first.name]
    members = [Member(broker, service, service.name) for service in others]
    for service, upto in ((first, CHANGED_AT), (second, len(STEPS))):
        changing = Member(broker, service, "the one that changes")
        feed = Member(broker, Recorded(STEPS[:upto]), "ingest")
        await settled(broker, STEPS[upto - 1][0].time_ns)
        await feed.end()
        await changing.end()
    for member in members:
        await member.end()
    found: dict[str, Event] = {}
    for partition, records in broker.records.items():
        if partition.topic == TOPIC_OF[kind].name:
            for event in map(read_event, records):
                if isinstance(event, kind):
                    found.setdefault(event.id, event)
    by_moment: dict[int, list[Event]] = {}
    for event in found.values():
        by_moment.setdefault(event.time_ns, []).append(event)
    return by_moment


def after_the_change(events: dict[int, list[Event]]) -> list[Event]:
    late = [e for group in events.values() for e in group if e.time_ns > _moment(CHANGED_AT)]
    return sorted(late, key=lambda event: event.id)


def _moment(steps: int) -> int:
    return STEPS[steps - 1][0].time_ns


async def test_a_strategy_with_other_parameters_goes_on_as_if_it_had_always_had_them() -> None:
    changed = await said(Signal, strategy(8), strategy(5))
    always = await said(Signal, strategy(5), strategy(5))
    assert after_the_change(changed)
    assert after_the_change(changed) == after_the_change(always)


async def test_more_features_are_served_warm_from_the_first_moment_on() -> None:
    changed = await said(FeatureVector, feature(), feature("sma_50"))
    always = await said(FeatureVector, feature("sma_50"), feature("sma_50"))
    assert after_the_change(changed)
    assert after_the_change(changed) == after_the_change(always)


async def test_the_state_of_an_account_is_never_begun_anew() -> None:
    broker = new_broker(1)
    members = [Member(broker, service, service.name) for service in services()]
    members.append(Member(broker, Recorded(STEPS[:CHANGED_AT]), "ingest"))
    await settled(broker, _moment(CHANGED_AT))
    for member in members:
        await member.end()
    make: Callable[[], Core] = lambda: RiskCore(RiskSettings(currency="EUR"))  # noqa: E731
    again = Member(broker, Service("risk", make, awaits_reports, "main"), "risk again")
    with pytest.raises(InvalidDataError, match="main"):
        async with asyncio.timeout(30):
            await again.task
