"""Several strategy services: waited for alike, added and removed while everything runs."""

import asyncio
from collections.abc import Callable, Iterable

from goalkick.common.adapters.log.memory import Broker
from goalkick.common.codec.protobuf import encode
from goalkick.common.events.base import Event
from goalkick.common.events.control import AddDeployment, ControlEvent, RemoveDeployment
from goalkick.common.events.order import OrderApproved, OrderRefused
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.envelope import envelope
from goalkick.common.runtime.task import Task
from goalkick.common.runtime.wiring import Service
from goalkick.common.topics import TOPIC_OF, signals_of, state_of
from goalkick.risk.core import RiskCore
from goalkick.risk.service import awaits_reports
from goalkick.risk.settings import RiskSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategyRun, StrategySettings
from tests.embedded.recordings import Recorded
from tests.replay.cluster import (
    RUNTIME,
    STRATEGIES,
    Member,
    decided,
    embedded,
    new_broker,
    services,
    settled,
)
from tests.replay.test_cluster_decides_like_one_process import market

RISK = RiskSettings(sizing="fixed_quantity", quantity="0.01", stop_loss=None)


def deployed(name: str, runs: dict[str, StrategyRun]) -> Service:
    settings = StrategySettings(deployment=name, strategies=runs)
    catalogue = discover()
    return Service("strategy", lambda: StrategyCore(settings, catalogue), deployment=name)


def with_topics(broker: Broker, deployments: Iterable[str]) -> Broker:
    count = broker.topics[TOPIC_OF[Signal].name]
    for name in deployments:
        for topic in (signals_of(name).name, state_of("strategy", name).name):
            broker.topics[topic] = count
            for number in range(count):
                broker.records[Partition(topic, number)] = []
    return broker


def without_strategies(risk: RiskSettings | None = None) -> list[Service]:
    kept = [service for service in services() if service.name != "strategy"]
    if risk is None:
        return kept
    own = Service("risk", lambda: RiskCore(risk), awaits_reports, "main")
    return [own if service.name == "risk" else service for service in kept]


def of(events: Iterable[Event], instrument: str) -> list[Event]:
    found = [e for e in events if getattr(e, "instrument", None) == instrument]
    return sorted(found, key=lambda event: event.id)


async def ended(members: Iterable[Member]) -> None:
    for member in members:
        await member.end()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


A, B = "test:A/USDT", "test:B/USDT"
OWN = {"cross": StrategyRun(strategy="ema_cross", params={"fast": 3, "slow": 8}, instruments=(A,))}
GUEST = {
    "swift": StrategyRun(strategy="ema_cross", params={"fast": 2, "slow": 5}, instruments=(B,))
}
STEPS = market("AB", 240)


class Platform:
    """A running platform whose own strategy trades A, and topics for a guest that trades B.

    Without a strategy of its own it waits for none at first.
    """

    def __init__(self, *, own: bool = True) -> None:
        self.broker = with_topics(new_broker(), ["guest"])
        self._runtime = RUNTIME if own else RUNTIME.model_copy(update={"deployments": ()})
        self.members = {
            s.title: Member(self.broker, s, s.title, settings=self._runtime)
            for s in without_strategies(RISK)
        }
        if own:
            self.members["own"] = Member(self.broker, deployed("", OWN), "own")

    async def go_on(self, upto: int) -> None:
        """Feeds the bars up to a step, and waits until all is said about them."""
        feed = Member(self.broker, Recorded(STEPS[:upto]), "ingest")
        await settled(self.broker, STEPS[upto - 1][0].time_ns)
        await feed.end()

    def tell(self, kind: type[ControlEvent]) -> None:
        place = Partition(TOPIC_OF[kind].name, 0)
        event = kind(time_ns=STEPS[0][0].time_ns, scope="guest", issuer="ann")
        headers = envelope(event, "ann", None, b"")
        self.broker.append(Message(place, event.key, encode(event), headers))

    @property
    def risk(self) -> Task:
        task: Task
        (task,) = self.members["risk"].worker.tasks.values()
        return task

    @property
    def listens(self) -> bool:
        """Whether risk waits for all of the guest's partitions."""
        guests = self.risk.guests
        return bool(guests) and guests <= set(self.risk.channels)

    async def restart(self, name: str) -> None:
        await self.members[name].end()
        (service,) = [s for s in without_strategies(RISK) if s.name == name]
        again = Member(self.broker, service, f"{name} again", settings=self._runtime)
        self.members[name] = again
        await until(lambda: self.members[name].worker.ready)

    async def with_guest(self) -> None:
        """Adds the guest after 80 steps; at 120 risk listens to it."""
        await self.go_on(80)
        self.members["guest"] = Member(self.broker, deployed("guest", GUEST), "guest")
        self.tell(AddDeployment)
        await self.go_on(120)
        await until(lambda: self.listens)

    async def lose_guest(self, upto: int = len(STEPS)) -> Member:
        """Ends the guest without a word; returns the feed that goes on until risk waits for it."""
        await self.members.pop("guest").end()
        feed = Member(self.broker, Recorded(STEPS[:upto]), "ingest")
        await until(lambda: any(c.topic == signals_of("guest") for c in self.risk.blocked))
        return feed

    async def end(self) -> None:
        await ended(self.members.values())


def undisturbed() -> list[Event]:
    """What the platform decides about A without any guest."""
    return of(embedded(STEPS, RISK, StrategySettings(strategies=OWN)), A)


def approvals(events: Iterable[Event], instrument: str) -> list[Event]:
    return [event for event in of(events, instrument) if isinstance(event, OrderApproved)]


async def test_services_of_one_strategy_each_decide_like_one_service_of_all() -> None:
    steps = market("ABCD", 200)
    expected = embedded(steps)
    names = tuple(STRATEGIES.strategies)
    broker = with_topics(new_broker(), names)
    runtime = RUNTIME.model_copy(update={"deployments": names})
    members = [Member(broker, s, s.title, settings=runtime) for s in without_strategies()]
    for name, run in STRATEGIES.strategies.items():
        members.append(Member(broker, deployed(name, {name: run}), name, settings=runtime))
    members.append(Member(broker, Recorded(steps), "ingest"))
    await settled(broker, steps[-1][0].time_ns)
    await ended(members)
    found = decided(broker, names)
    assert sorted(found, key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)


async def test_a_deployment_is_added_while_others_trade_and_changes_nothing_of_theirs() -> None:
    platform = Platform()
    await platform.with_guest()
    await platform.go_on(len(STEPS))
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()
    found = of(decided(platform.broker), B)
    assert len([event for event in found if isinstance(event, OrderApproved)]) > 5
    assert not [event for event in found if isinstance(event, OrderRefused)], (
        "what it said before it was heard is void, and not late"
    )


async def test_a_restart_knows_who_was_added() -> None:
    platform = Platform()
    await platform.with_guest()
    await platform.restart("risk")
    assert platform.listens
    await platform.go_on(len(STEPS))
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()
    assert approvals(decided(platform.broker), B)


async def test_a_deployment_that_is_listened_to_is_waited_for() -> None:
    platform = Platform()
    await platform.with_guest()
    feed = await platform.lose_guest(160)
    platform.members["guest"] = Member(platform.broker, deployed("guest", GUEST), "guest again")
    await settled(platform.broker, STEPS[159][0].time_ns)
    await feed.end()
    await platform.end()


async def test_a_deployment_that_is_removed_is_not_waited_for() -> None:
    platform = Platform()
    await platform.with_guest()
    platform.tell(RemoveDeployment)
    await platform.go_on(160)
    assert not platform.risk.guests
    await platform.members.pop("guest").end()
    await platform.restart("risk")
    await platform.go_on(len(STEPS))
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()
    assert all(e.time_ns < STEPS[160][0].time_ns for e in approvals(decided(platform.broker), B))


async def test_one_that_is_gone_without_a_word_holds_up_the_rest_until_it_is_removed() -> None:
    platform = Platform()
    await platform.with_guest()
    feed = await platform.lose_guest()
    platform.tell(RemoveDeployment)
    await settled(platform.broker, STEPS[-1][0].time_ns)
    await feed.end()
    assert not platform.risk.guests
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()


async def test_a_restart_in_the_middle_of_a_moment_goes_on_with_the_step_it_was_at() -> None:
    platform = Platform(own=False)
    await platform.with_guest()
    feed = await platform.lose_guest()
    moment, step = platform.risk.current, platform.risk.stages[platform.risk.stage].place
    await platform.restart("risk")
    task = platform.risk
    assert (task.current, task.stages[task.stage].place) == (moment, step)
    platform.members["guest"] = Member(platform.broker, deployed("guest", GUEST), "guest again")
    await settled(platform.broker, STEPS[-1][0].time_ns)
    await feed.end()
    await platform.end()
    assert approvals(decided(platform.broker), B)


async def test_the_only_strategy_service_may_be_removed_in_the_middle_of_a_moment() -> None:
    platform = Platform(own=False)
    await platform.with_guest()
    feed = await platform.lose_guest()
    platform.tell(RemoveDeployment)
    await settled(platform.broker, STEPS[-1][0].time_ns)
    await feed.end()
    await platform.end()


async def test_a_deployment_without_topics_is_left_out() -> None:
    platform = Platform()
    for name in (signals_of("guest").name, state_of("strategy", "guest").name):
        del platform.broker.topics[name]
    platform.tell(AddDeployment)
    await platform.go_on(len(STEPS))
    assert not platform.risk.joining
    assert not platform.risk.guests
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()


async def test_nobody_waits_for_one_that_is_new_in_the_settings_before_it_has_caught_up() -> None:
    platform = Platform()
    await platform.go_on(80)
    await platform.members["risk"].end()
    (risk,) = [s for s in without_strategies(RISK) if s.name == "risk"]
    runtime = RUNTIME.model_copy(update={"deployments": ("", "guest")})
    platform.members["risk"] = Member(platform.broker, risk, "risk again", settings=runtime)
    await platform.go_on(120)
    platform.members["guest"] = Member(platform.broker, deployed("guest", GUEST), "guest")
    await until(lambda: not platform.risk.joining)
    await platform.go_on(len(STEPS))
    await platform.end()
    assert of(decided(platform.broker), A) == undisturbed()
    assert approvals(decided(platform.broker), B)
