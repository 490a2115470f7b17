"""Workers on the log in memory, with a clock that the test moves, and everything else by hand."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.codec import protobuf
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.ports.log import Message, Partition, Record
from goalkick.common.runtime.envelope import envelope, read_event
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.place import Group, Place
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.topics import DEAD_LETTERS, STATE_OF, TOPICS, Topic, partition_of

PATIENCE_S = 10.0
LOOK_S = 0.005
"""How often a condition is looked at, and how often an idle worker looks at the clock."""


class Bench:
    """A broker, a clock, and the workers that were started on them."""

    def __init__(self, partitions: int = 1, counts: Mapping[str, int] | None = None) -> None:
        """Everything is empty.

        Args:
            partitions: of each topic but the commands'.
            counts: other numbers of partitions, by name of the topic.
        """
        names = [*(t.name for t in TOPICS), *(t.name for t in STATE_OF.values())]
        topics = dict.fromkeys(names, partitions)
        topics |= {topic.name: 1 for topic in TOPICS if topic.key == "scope"}
        self.broker = Broker(topics | {DEAD_LETTERS.name: 1} | dict(counts or {}))
        self.clock = ManualClock(1_700_000_000_000_000_000)
        self._running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    def start(
        self, service: Service, settings: RuntimeSettings, log: MemoryLog | None = None
    ) -> Worker:
        """A worker in a task of its own."""
        name = f"{service.name}-{len(self._running)}"
        meter = Meter(Metrics(CollectorRegistry(), service.name))
        bus = log or MemoryLog(self.broker)
        worker = Worker(bus, service, settings, self.clock, meter, name)
        stop = asyncio.Event()
        self._running.append((stop, asyncio.create_task(worker.run(stop))))
        return worker

    async def stop(self) -> None:
        """Ends all workers."""
        while self._running:
            stop, task = self._running.pop()
            stop.set()
            await task

    def tell(self, topic: Topic, number: int, moment: int, *events: Event) -> None:
        """Says all about a moment, as the topic's producer would."""
        said = events or (Progress(time_ns=moment, issuer=topic.producer),)
        for ordinal, event in enumerate(said):
            place = Place(Group(moment, 1), ordinal, ordinal == len(said) - 1)
            self.put(topic, number, event, place)

    def command(self, topic: Topic, event: Event) -> None:
        """Says something without a place."""
        self.put(topic, partition_of(event.key, self.broker.topics[topic.name]), event, None)

    def put(self, topic: Topic, number: int, event: Event, place: Place | None) -> None:
        """Writes one record."""
        headers = envelope(event, topic.producer, place, b"")
        value = protobuf.encode(event)
        self.broker.append(Message(Partition(topic.name, number), event.key, value, headers))

    def records(self, topic: str, number: int = 0) -> Sequence[Record]:
        """What stands on a partition."""
        return self.broker.records[Partition(topic, number)]

    def said(self, topic: Topic, number: int = 0) -> list[Event]:
        """The events on a partition, each once."""
        events = [read_event(record) for record in self.records(topic.name, number)]
        found = {event.id: event for event in events if not isinstance(event, Progress)}
        return list(found.values())

    async def until(self, condition: Callable[[], object]) -> None:
        """Returns when the workers have come to a point; fails with the first that ends."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                for _, task in self._running:
                    if task.done():
                        task.result()
                        raise AssertionError("a worker ended by itself")
                await self.broker.arrival(LOOK_S)

    def ended(self) -> bool:
        """Whether the worker that was started last has ended by itself."""
        return self._running[-1][1].done()

    async def bury(self) -> None:
        """Ends the worker that was started last, however it comes to its end."""
        stop, task = self._running.pop()
        stop.set()
        await asyncio.wait((task,), timeout=PATIENCE_S)
        task.exception()

    async def failure(self) -> BaseException | None:
        """What the last worker failed with."""
        _, task = self._running.pop()
        await asyncio.wait((task,), timeout=PATIENCE_S)
        return task.exception()
