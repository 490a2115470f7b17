"""Feature, prediction and strategy as one service say what they say one by one, record by record.

The decisions of the fused form are compared with those of one process beside those of the others.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from goalkick.common.adapters.log.memory import Broker
from goalkick.common.codec.protobuf import encode
from goalkick.common.core.machine import Core
from goalkick.common.events.base import Event
from goalkick.common.events.control import ControlEvent, DeactivateStrategy, Progress
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderApproved
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.ports.feed import Step
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.envelope import envelope, header_of, last_group, read_event
from goalkick.common.runtime.place import HEADER, Place, read_place
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.wiring import Service
from goalkick.common.strategy import Params, Strategy
from goalkick.common.topics import DEAD_LETTERS, TOPIC_OF, TOPICS, Topic, inner_of, signals_of
from goalkick.common.values.ids import ModelId
from goalkick.feature.core import FeatureCore
from goalkick.prediction.core import PredictionCore
from goalkick.prediction.settings import PredictionSettings
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover
from goalkick.strategy.settings import StrategyRun, StrategySettings
from tests.embedded.recordings import Recorded
from tests.replay.cluster import (
    FEATURES,
    RUNTIME,
    STRATEGIES,
    Form,
    Member,
    decided,
    fused,
    new_broker,
    services,
    settled,
)
from tests.replay.test_cluster_decides_like_one_process import MINUTE, market
from tests.replay.test_deployments import deployed, with_topics

FORECASTING = RUNTIME.model_copy(update={"forecasts": True})
SAID = tuple(t for t in TOPICS if t.producer not in ("operator", "ingest"))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known of a model."""

    id: ModelId = ModelId("strength-1")
    features: tuple[str, ...] = ("rsi_5",)
    served_features: tuple[str, ...] = FEATURES.features
    definition_hash: str = FeatureCore(FEATURES).definition_hash
    interval_ns: int = MINUTE
    horizon_ns: int = 5 * MINUTE
    mean_up: float = 0.01
    mean_down: float = -0.01
    better_than_base_rate: bool = True


class Strength:
    """A model to which strength promises a rise."""

    manifest = Facts()

    def predict(self, values: Sequence[float]) -> float:
        return values[0] / 100


class Wild(Strategy[Params]):
    """Wants more than everything where the market is strong: what it says then is no use."""

    params_type = Params

    def needs(self) -> tuple[str, ...]:
        return ("rsi_5",)

    def on_features(self, features: FeatureVector) -> Iterable[Signal]:
        yield self.target(features, 2.0 if features["rsi_5"] > 80 else 0.1)


STRATEGIES_THREE = StrategySettings(
    strategies=STRATEGIES.strategies
    | {
        "foretold": StrategyRun(strategy="forecast_threshold", params={"enter_above": 0.6}),
        "wild": StrategyRun(strategy="wild"),
    }
)
CORES: dict[str, Callable[[], Core]] = {
    "feature": lambda: FeatureCore(FEATURES),
    "prediction": lambda: PredictionCore(PredictionSettings(), [Strength()]),
    "strategy": lambda: StrategyCore(STRATEGIES_THREE, {**discover(), "wild": Wild}),
}


ACCOUNT = services()[-2:]
"""Risk and execution, which no form changes."""


def flow_in(form: Form) -> list[Service]:
    """What stands before the account."""
    return services(form=form)[:-2]


def of_two_lengths(steps: Sequence[Step]) -> list[Step]:
    """The same with a bar of five minutes beside that of one, where one closes."""
    return [
        [
            bar
            for event in step
            for bar in (
                (event, msgspec.structs.replace(event, interval_ns=5 * MINUTE))
                if isinstance(event, BarClosed) and event.time_ns % (5 * MINUTE) == 0
                else (event,)
            )
        ]
        for step in steps
    ]


def records(broker: Broker, topic: Topic) -> dict[tuple[int, Place], Event]:
    """Partition and place -> what was said there; it may be said again, and then is the same."""
    found: dict[tuple[int, Place], Event] = {}
    for number in range(broker.topics[topic.name]):
        for record in broker.records[Partition(topic.name, number)]:
            event = read_event(record)
            if not isinstance(event, Progress):
                place = read_place(header_of(record, HEADER))
                assert found.setdefault((number, place), event) == event
    return found


async def run(
    flow: Sequence[Service],
    steps: Sequence[Step],
    settings: RuntimeSettings = FORECASTING,
    command: ControlEvent | None = None,
) -> Broker:
    """What stands on the topics when a flow and the account have done with all steps.

    A command is there before the first bar.
    """
    broker = new_broker()
    if command is not None:
        place = Partition(TOPIC_OF[type(command)].name, 0)
        headers = envelope(command, "test", None, b"")
        broker.append(Message(place, command.key, encode(command), headers))
    members = [Member(broker, s, s.name, settings=settings) for s in (*flow, *ACCOUNT)]
    members.append(Member(broker, Recorded(steps), "ingest"))
    await settled(broker, steps[-1][0].time_ns)
    for member in members:
        await member.end()
    return broker


async def test_every_record_stands_where_it_stands_without() -> None:
    """Forecasts, bars of two lengths at once, and a strategy whose answers are no use."""
    steps = of_two_lengths(market("ABCD", 150))
    one_by_one = await run([Service(name, make) for name, make in CORES.items()], steps)
    as_one = await run([fused(CORES)], steps)
    for topic in SAID:
        said = records(one_by_one, topic)
        assert len(said) > 100, topic.name
        assert records(as_one, topic) == said
    letters = Partition(DEAD_LETTERS.name, 0)
    refused = [record.value for record in one_by_one.records[letters]]
    assert len(refused) > 10
    assert sorted(record.value for record in as_one.records[letters]) == sorted(refused)


async def test_a_command_reaches_the_strategies_inside() -> None:
    steps = market("AB", 60)
    command = DeactivateStrategy(time_ns=steps[0][0].time_ns, scope="cross", issuer="test")
    one_by_one = await run(flow_in("each"), steps, RUNTIME, command)
    as_one = await run(flow_in("fused"), steps, RUNTIME, command)
    said = records(one_by_one, TOPIC_OF[Signal])
    assert {event.strategy for event in said.values() if isinstance(event, Signal)} == {"reversion"}
    assert records(as_one, TOPIC_OF[Signal]) == said


async def test_what_stays_inside_can_be_left_unsaid() -> None:
    steps = market("ABCD", 150)
    whole = fused(CORES)
    inner = frozenset(topic.name for topic in inner_of("fused"))
    silent = msgspec.structs.replace(whole, unsaid=inner)
    spoken, unspoken = await run([whole], steps), await run([silent], steps)
    assert decided(unspoken) == decided(spoken)
    for topic in SAID:
        number = sum(len(unspoken.records[Partition(topic.name, n)]) for n in range(3))
        assert (number == 0) is (topic.name in inner), topic.name


async def test_a_strategy_service_beside_the_fused_one_hears_its_features() -> None:
    guest = {"swift": StrategyRun(strategy="ema_cross", params={"fast": 2, "slow": 5})}
    steps = market("AB", 120)
    broker = with_topics(new_broker(), ["guest"])
    runtime = RUNTIME.model_copy(update={"deployments": ("", "guest")})
    flow = [*services(form="fused"), deployed("guest", guest)]
    members = [Member(broker, s, s.title, settings=runtime) for s in flow]
    members.append(Member(broker, Recorded(steps), "ingest"))
    await settled(broker, steps[-1][0].time_ns)
    for member in members:
        await member.end()
    assert len(records(broker, signals_of("guest"))) > 100


async def test_a_cluster_may_change_its_form_at_any_time_and_decides_the_same() -> None:
    """Who comes new finds the log, says again what was said, and goes on."""
    steps = market("ABCD", 180)
    expected = await run(flow_in("each"), steps, RUNTIME)
    broker = new_broker()
    kept = [Member(broker, s, s.name) for s in ACCOUNT]
    stretches: tuple[tuple[int, Form], ...]
    stretches = ((60, "each"), (120, "fused"), (len(steps), "each"))
    for upto, form in stretches:
        flow = flow_in(form)
        changing = [Member(broker, s, f"{s.name} {upto}") for s in flow]
        feed = Member(broker, Recorded(steps[:upto]), "ingest")
        await settled(broker, steps[upto - 1][0].time_ns)
        for member in (feed, *changing):
            await member.end()
    for member in kept:
        await member.end()
    assert decided(broker) == decided(expected)
    assert [event for event in decided(broker) if isinstance(event, OrderApproved)]


async def test_a_part_that_is_added_has_seen_all_that_the_log_holds() -> None:
    steps = market("A", 100)
    broker = new_broker(1)
    without = {name: make for name, make in CORES.items() if name != "prediction"}
    topic = TOPIC_OF[Signal]
    for cores, upto, settings in ((without, 60, RUNTIME), (CORES, len(steps), FORECASTING)):
        member = Member(broker, fused(cores), "fused", settings=settings)
        feed = Member(broker, Recorded(steps[:upto]), "ingest")
        async with asyncio.timeout(30):
            while last_moment(broker, topic) < steps[upto - 1][0].time_ns:
                await broker.arrival(0.05)
        await feed.end()
        await member.end()
        topic = TOPIC_OF[ForecastMade]
    forecasts = records(broker, topic).values()
    assert min(event.time_ns for event in forecasts) < steps[60][0].time_ns
    assert max(event.time_ns for event in forecasts) == steps[-1][0].time_ns


def last_moment(broker: Broker, topic: Topic) -> int:
    """Until when all is said on a topic's first partition."""
    return last_group(broker.records[Partition(topic.name, 0)][-1:]).moment
