"""THE table of topics: what flows, who says it, who listens, and in which order within a moment.

The only place where a topic is named. Topics are created from this table and never automatically.

Order. All events of one moment (`time_ns`) are handled in the order of their topic's `rank`, and
within a rank in the order in which they were sent, producers' partitions sorted by key. The
in-memory bus and the Kafka runtime both follow it, which is why they decide alike:

    0 market and control -> 1 reports -> 2 features -> 3 forecasts -> 4 signals -> 5 decisions

Decisions lead to further reports of the same moment (phase 1): those only bring risk's books up to
date. Risk emits nothing in answer to a report, so a moment always ends.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from zlib import crc32

import msgspec

from goalkick.common.events import control, feature, market, order, prediction, signal
from goalkick.common.events.base import Event
from goalkick.common.values.time import NS_PER_DAY

Reading = Literal["shared", "broadcast"]
"""How copies of a consumer share a topic: `shared` divides its partitions among them,
`broadcast` lets each copy read all of them."""

Key = Literal["instrument", "account", "scope"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        name: `goalkick.<family>.<event>.v<major>`.
        events: the types that travel on it; each type is on exactly one topic.
        key: what the partition is chosen by.
        partitions: how many, unless the settings say otherwise.
        retention_ns: how long the broker keeps records; 0 = for ever.
        producer: the service that writes it; `operator` is a person's command.
        consumers: service -> how its copies share the topic.
        rank: place within a moment, see the module's text.
        feedback: whether it leads back up the chain (only one may).
        synchronised: whether its producer says when a moment is complete (`control.Progress`);
            a person's commands are not: they are taken at the next moment there is. Nor are
            trades and books, which come by the thousand and hold up nobody.
        about: one line for people.
    """

    name: str
    events: tuple[type[Event], ...]
    key: Key
    partitions: int
    retention_ns: int
    producer: str
    consumers: Mapping[str, Reading]
    rank: int
    feedback: bool = False
    synchronised: bool = True
    about: str


TOPICS: tuple[Topic, ...] = (
    Topic(
        name="goalkick.control.command.v1",
        events=(
            control.Halt,
            control.Resume,
            control.ActivateStrategy,
            control.DeactivateStrategy,
            control.AddDeployment,
            control.RemoveDeployment,
        ),
        key="scope",
        partitions=1,
        retention_ns=0,
        producer="operator",
        consumers={"strategy": "broadcast", "risk": "broadcast"},
        rank=0,
        synchronised=False,
        about="What people tell the platform: halt, resume, activate, deactivate, add, remove.",
    ),
    Topic(
        name="goalkick.market.bar.v1",
        events=(
            market.InstrumentListed,
            market.BarClosed,
            market.GapDetected,
            market.FeedStale,
            market.FeedRecovered,
            market.VenueStatusChanged,
            market.FundingSettled,
            control.TimeAdvanced,
        ),
        key="instrument",
        partitions=6,
        retention_ns=30 * NS_PER_DAY,
        producer="ingest",
        consumers={"feature": "shared", "risk": "broadcast", "execution": "broadcast"},
        rank=0,
        about="Bars, and what must be known about them: rules, gaps, staleness, venue status.",
    ),
    Topic(
        name="goalkick.market.trade.v1",
        events=(market.TradePrinted,),
        key="instrument",
        partitions=6,
        retention_ns=7 * NS_PER_DAY,
        producer="ingest",
        consumers={},
        rank=0,
        synchronised=False,
        about="Every trade of the venue.",
    ),
    Topic(
        name="goalkick.market.quote.v1",
        events=(market.QuoteChanged,),
        key="instrument",
        partitions=6,
        retention_ns=7 * NS_PER_DAY,
        producer="ingest",
        consumers={"execution": "broadcast"},
        rank=0,
        about="Best bid and ask.",
    ),
    Topic(
        name="goalkick.market.book.v1",
        events=(market.BookSnapshotTaken, market.BookChanged),
        key="instrument",
        partitions=6,
        retention_ns=NS_PER_DAY,
        producer="ingest",
        consumers={},
        rank=0,
        synchronised=False,
        about="Order book snapshots and changes.",
    ),
    Topic(
        name="goalkick.feature.vector.v1",
        events=(feature.FeatureVector,),
        key="instrument",
        partitions=6,
        retention_ns=30 * NS_PER_DAY,
        producer="feature",
        consumers={"prediction": "shared", "strategy": "shared"},
        rank=2,
        about="Features of an instrument at the close of a bar.",
    ),
    Topic(
        name="goalkick.prediction.forecast.v1",
        events=(prediction.ForecastMade,),
        key="instrument",
        partitions=6,
        retention_ns=30 * NS_PER_DAY,
        producer="prediction",
        consumers={"strategy": "shared"},
        rank=3,
        about="What a model expects.",
    ),
    Topic(
        name="goalkick.signal.target.v1",
        events=(signal.Signal,),
        key="instrument",
        partitions=6,
        retention_ns=30 * NS_PER_DAY,
        producer="strategy",
        consumers={"risk": "broadcast"},
        rank=4,
        about="The position that a strategy wants.",
    ),
    Topic(
        name="goalkick.order.decision.v1",
        events=(
            order.OrderApproved,
            order.OrderRefused,
            order.CancelRequested,
            control.TradingHalted,
            control.TradingResumed,
        ),
        key="account",
        partitions=3,
        retention_ns=0,
        producer="risk",
        consumers={"execution": "shared"},
        rank=5,
        about="What risk approved, refused, wants cancelled, halted and resumed.",
    ),
    Topic(
        name="goalkick.order.report.v1",
        events=(
            order.OrderIntended,
            order.OrderAccepted,
            order.OrderRejected,
            order.OrderPartiallyFilled,
            order.OrderFilled,
            order.OrderCancelled,
            order.OrderExpired,
            order.OrderUnknown,
            order.OrderWorked,
            order.PositionChanged,
            order.BalanceChanged,
            order.ExternalOrderSeen,
            order.ExternalFillSeen,
            order.BalanceDiffers,
            order.KeyRotated,
            order.KeyRefused,
        ),
        key="account",
        partitions=3,
        retention_ns=0,
        producer="execution",
        consumers={"risk": "shared"},
        rank=1,
        feedback=True,
        about="What became of each order; positions, balances, and the account's keys.",
    ),
)

SERVICES: tuple[str, ...] = (
    "ingest",
    "feature",
    "prediction",
    "strategy",
    "risk",
    "execution",
)
"""In the order of the flow."""

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fused": ("feature", "prediction", "strategy")}
)
"""Program -> the services that it is, one after another in one process, in the order of the flow.
Its parts hear each other without topics."""

AROUND: tuple[str, ...] = ("venue", "limiter", *PARTS)
"""Programs beside those of the flow: two that have no topic, and those made of several services."""

TOPIC_OF: Mapping[type[Event], Topic] = MappingProxyType(
    {event: topic for topic in TOPICS for event in topic.events}
)
"""Event type -> its topic."""


class InternalTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of the runtime's own: bytes that are no events.

    Attributes:
        name: like an event topic's.
        partitions: how many, unless the settings say otherwise.
        compacted: whether the broker keeps only the last record of each key.
        retention_ns: how long the broker keeps records; 0 = for ever.
        about: one line for people.
    """

    name: str
    partitions: int
    compacted: bool
    retention_ns: int
    about: str


DEAD_LETTERS = InternalTopic(
    name="goalkick.runtime.deadletter.v1",
    partitions=1,
    compacted=False,
    retention_ns=90 * NS_PER_DAY,
    about="Records that could not be read, as they were, with the reason and where they stood.",
)


def parts_of(service: str) -> tuple[str, ...]:
    """The services that a program is: itself alone, or those that it is made of."""
    return PARTS.get(service, (service,))


def reading_of(service: str, topic: Topic) -> Reading | None:
    """How the copies of `service` share a topic; None where they do not read it."""
    parts = parts_of(service)
    if topic.producer in parts:
        return None
    return next((topic.consumers[part] for part in parts if part in topic.consumers), None)


def inputs_of(service: str) -> tuple[Topic, ...]:
    """The topics that `service` consumes, in order of rank."""
    return tuple(sorted((t for t in TOPICS if reading_of(service, t)), key=lambda t: t.rank))


def inner_of(service: str) -> tuple[Topic, ...]:
    """The topics whose events one part of `service` says and another hears, in order of rank."""
    parts = parts_of(service)
    inner = (t for t in TOPICS if t.producer in parts and not t.consumers.keys().isdisjoint(parts))
    return tuple(sorted(inner, key=lambda t: t.rank))


def outputs_of(service: str) -> tuple[Topic, ...]:
    """The topics that `service` produces, what its parts say to each other included."""
    return tuple(topic for topic in TOPICS if topic.producer in parts_of(service))


def dividing_topic(service: str) -> Topic:
    """The topic whose partitions the copies of `service` divide among them.

    The first that it shares; ingest, which consumes nothing, divides its own output.
    """
    shared = [topic for topic in inputs_of(service) if reading_of(service, topic) == "shared"]
    return shared[0] if shared else outputs_of(service)[0]


def _state_topic(service: str) -> InternalTopic:
    return InternalTopic(
        name=f"goalkick.runtime.{service}_state.v1",
        partitions=dividing_topic(service).partitions,
        compacted=True,
        retention_ns=0,
        about=f"Snapshots of {service}: each partition's state, and how far it had read.",
    )


STATE_OF: Mapping[str, InternalTopic] = MappingProxyType(
    {service: _state_topic(service) for service in (*SERVICES, *PARTS) if service != "ingest"}
)
"""Service -> where its snapshots are kept; ingest has none, its output says where it stands."""


def signals_of(deployment: str) -> Topic:
    """Where one of several strategy services says its signals; "" is the one without a name.

    Each has a topic of its own, so that it can be waited for, and kept from writing elsewhere.
    """
    row = TOPIC_OF[signal.Signal]
    return msgspec.structs.replace(row, name=_deployed(row.name, deployment)) if deployment else row


def state_of(service: str, deployment: str = "") -> InternalTopic:
    """Where a service keeps its snapshots, as one of several deployments or the only one."""
    row = STATE_OF[service]
    return msgspec.structs.replace(row, name=_deployed(row.name, deployment)) if deployment else row


def _deployed(name: str, deployment: str) -> str:
    stem, _, version = name.rpartition(".")
    return f"{stem}.{deployment}.{version}"


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same for every topic with as many partitions (CRC-32)."""
    return crc32(key.encode()) % partitions
