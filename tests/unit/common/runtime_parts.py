"""A small world for tests of the runtime: producers, a log of one topic each, and a core that
writes down what it hears.

Every input is a `Signal` whose `reason` is its name, on whatever topic: the runtime looks at place
and key alone. Every output is a `TradingHalted` whose `reason` tells what it answers.
"""

import msgspec

from goalkick.common.core.machine import Handler
from goalkick.common.events.base import Event
from goalkick.common.events.control import Halt, TimeAdvanced, TradingHalted
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderFilled
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Message, Partition, Record
from goalkick.common.runtime.channel import Channel, Entry
from goalkick.common.runtime.envelope import read_event, read_place_of
from goalkick.common.runtime.place import Group, Place
from goalkick.common.runtime.task import Awaits, Output, Task
from goalkick.common.topics import TOPIC_OF, Topic
from goalkick.common.values.ids import EventId, InstrumentId, StrategyId

BARS = TOPIC_OF[BarClosed]
REPORTS = TOPIC_OF[OrderFilled]
FEATURES = TOPIC_OF[FeatureVector]
FORECASTS = TOPIC_OF[ForecastMade]
SIGNALS = TOPIC_OF[Signal]
DECISIONS = TOPIC_OF[TradingHalted]
COMMANDS = TOPIC_OF[Halt]

END = Group(2**62, 1)
"""After every moment of a test."""

Told = tuple[Place, Event | None]
"""A record as a reader sees it; None where only the end of a group is said."""


def said(name: str, moment: int, key: str = "k") -> Signal:
    """An input."""
    return Signal(
        time_ns=moment,
        instrument=InstrumentId(key),
        cause=EventId("0" * 32),
        strategy=StrategyId("s"),
        target=0.0,
        expires_at_ns=0,
        reason=name,
    )


def channel(topic: Topic = BARS, number: int = 0) -> Channel:
    """A channel that has read nothing."""
    return Channel(topic, Partition(topic.name, number))


def output(topic: Topic = DECISIONS) -> Output:
    """An output that has said nothing."""
    return Output(topic, Partition(topic.name, 0), "test")


def record(message: Message, offset: int) -> Record:
    """What a reader gets of a message."""
    return Record(message.partition, offset, message.key, message.value, message.headers)


def told(message: Message, topic: Topic) -> Told:
    """What a message says."""
    read = record(message, 0)
    place = read_place_of(read, topic)
    assert place is not None
    event = read_event(read)
    return place, None if type(event).__name__ == "Progress" else event


def names(entries: list[Entry]) -> list[str]:
    """What was handed out."""
    return [entry.event.reason for entry in entries if entry.event is not None]  # type: ignore[attr-defined]


def reasons(messages: list[Message]) -> list[str]:
    """What messages answer, markers left out."""
    events = [read_event(record(message, 0)) for message in messages]
    return [event.reason for event in events if isinstance(event, TradingHalted)]


def group(moment: int, *events: str, phase: int = 1) -> list[Told]:
    """All that a producer says about a moment; `key/name` or `name`."""
    if not events:
        return [(Place(Group(moment, phase), 0, True), None)]
    last = len(events) - 1
    return [
        (
            Place(Group(moment, phase), number, number == last),
            said(text.split("/")[-1], moment, text.split("/")[0]),
        )
        for number, text in enumerate(events)
    ]


def give(reader: Channel, records: list[Told], first: int | None = None) -> None:
    """Hands records over, from an offset on (the next one if none is named)."""
    start = reader.next_offset if first is None else first
    for offset, (place, event) in enumerate(records, start):
        reader.accept(offset, place, event, b"")


class Scribe:
    """Notes all that it hears and answers each event once; its state is what it noted.

    Like risk, it says nothing in answer to a report (an event whose name says that it is one).
    """

    def __init__(self, *, listens: bool = False, answers: bool = True) -> None:
        """A fresh one.

        Args:
            listens: whether it wants to be told the time.
            answers: whether it says anything.
        """
        self.heard: list[str] = []
        self.answers = answers
        self.handlers: dict[type[Event], Handler] = {Signal: self._on_signal}
        if listens:
            self.handlers[TimeAdvanced] = self._on_time

    def snapshot(self) -> bytes:
        return msgspec.json.encode(self.heard)

    def restore(self, data: bytes) -> None:
        self.heard = msgspec.json.decode(data, type=list[str])

    def _on_signal(self, event: Signal) -> tuple[Event, ...]:
        return self._note(event.reason, event)

    def _on_time(self, event: TimeAdvanced) -> tuple[Event, ...]:
        return self._note(f"time {event.time_ns}", event)

    def _note(self, name: str, event: Event) -> tuple[Event, ...]:
        self.heard.append(name)
        if not self.answers or name.startswith("report"):
            return ()
        # How much was heard before is part of the answer: other histories give other answers.
        reason = f"{len(self.heard)}:{name}"
        return (TradingHalted(time_ns=event.time_ns, scope=event.key, reason=reason),)


def task(
    *channels: Channel,
    core: Scribe | None = None,
    awaits: Awaits | None = None,
    outputs: tuple[Output, ...] | None = None,
) -> Task:
    """A task with one output for decisions."""
    return Task(core or Scribe(), channels, outputs or (output(),), awaits)


def heard(of: Task) -> list[str]:
    """What its core heard."""
    core = of.core
    assert isinstance(core, Scribe)
    return core.heard
