"""A trial of execution's own service on a real Kafka: decisions and reports go over the log.

The trial is the risk service. Each has topics of its own, so that many run on one broker. Of every
four one has a name for its copies that does not outlive them: what is killed is then noticed by
its silence only.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from os import kill
from pathlib import Path
from typing import Any, Final

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from goalkick.common.adapters.log.access import full_name
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.kafka_topics import Wanted, wanted_topics
from goalkick.common.codec import protobuf
from goalkick.common.codec.json import to_line
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    BalanceChanged,
    Fill,
    OrderAccepted,
    OrderIntended,
    OrderReport,
    OrderUnknown,
    PositionChanged,
)
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.envelope import envelope, read_event
from goalkick.common.runtime.place import Group, Place
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import (
    DEAD_LETTERS,
    STATE_OF,
    TOPIC_OF,
    inputs_of,
    outputs_of,
    partition_of,
)
from goalkick.common.values.ids import EventId, InstrumentId, client_order_id
from goalkick.common.values.money import ZERO
from goalkick.execution.order_state import OrderStatus
from goalkick.venue.server import VenueServer
from tests.faults.campaign import Play
from tests.faults.desk import ACCOUNT, PAIR, QUICK, rules_of
from tests.faults.lives import Life, Nursery
from tests.faults.market import box_settings
from tests.faults.messages import Books, FromDesk, Opened
from tests.faults.record import ENDS
from tests.faults.scenario import Scenario
from tests.faults.trial import BOUND_S, Outcome, Trial

PARTITIONS: Final = 1
"""Of instrument-keyed topics: one instrument needs no more."""
_STATUS: Final[dict[type[Event], str]] = {
    OrderIntended: OrderStatus.INTENDED,
    OrderAccepted: OrderStatus.ACCEPTED,
    OrderUnknown: OrderStatus.UNKNOWN,
}
"""What a report says of where an order stands; a fill says that it is there."""


class Reports:
    """Everything that execution has said on the log, and what follows from it.

    Attributes:
        working: client order id -> status, of orders that have not ended.
    """

    def __init__(self) -> None:
        self.working: dict[str, str] = {}
        self._seen: set[EventId] = set()
        self._ended: set[str] = set()
        self._cash: Decimal | None = None
        self._held = ZERO
        self._owed: EventId | None = None

    @property
    def books(self) -> Books | None:
        """What execution believes to have; None while a part of it is on its way."""
        if self._owed is not None or self._cash is None:
            return None
        return Books(self._cash, self._held)

    def take(self, event: Event) -> None:
        """One event; one that is said again changes nothing."""
        if event.id in self._seen:
            return
        self._seen.add(event.id)
        match event:
            case BalanceChanged():
                self._cash = event.total
                self._owed = None if event.cause == self._owed else self._owed
            case PositionChanged():
                self._held = event.quantity
            case OrderReport():
                self._follow(event)

    def _follow(self, event: OrderReport) -> None:
        handle = client_order_id(event.order)
        if isinstance(event, Fill):
            self._owed = event.id
        if isinstance(event, ENDS):
            self._ended.add(handle)
        if handle in self._ended:
            self.working.pop(handle, None)
        else:
            self.working[handle] = _STATUS.get(type(event), OrderStatus.PARTIALLY_FILLED)


class Topics:
    """What one service needs of a broker, made and removed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        rows = (*inputs_of("execution"), *outputs_of("execution"))
        names = {topic.name for topic in rows} | {STATE_OF["execution"].name, DEAD_LETTERS.name}
        self._wanted = [each for each in wanted_topics(settings) if each.name in names]
        self.counts = {each.name: each.partitions for each in self._wanted}

    async def make(self) -> None:
        """Makes them; returns when they can be used."""
        async with self._admin() as admin:
            await admin.create_topics([self._new(each) for each in self._wanted])

    async def remove(self) -> None:
        """Removes them."""
        async with self._admin() as admin:
            await admin.delete_topics([self._name(each) for each in self._wanted])

    def _new(self, each: Wanted) -> Any:
        return NewTopic(self._name(each), each.partitions, 1, topic_configs=each.config)

    def _name(self, each: Wanted) -> str:
        return full_name(each.name, self.settings.installation)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


class ServiceTrial(Trial):
    """A scenario that is being played on the service."""

    on = "kafka"

    def __init__(
        self, scenario: Scenario, nursery: Nursery, server: VenueServer, venue: str, bootstrap: str
    ) -> None:
        super().__init__(scenario, nursery, server, venue)
        self._topics = Topics(
            KafkaSettings(
                bootstrap_servers=bootstrap, installation=self._tag, partitions=PARTITIONS
            )
        )
        self._log = KafkaLog(self._topics.settings, f"trial-{self._tag}")
        self._reports = Reports()
        self._reading: asyncio.Task[None] | None = None
        self._decided = 0
        self._turn = asyncio.Lock()
        self._sending: list[asyncio.Task[None]] = []

    @property
    def _state_file(self) -> Path:
        return self._folder / f"{self._tag}.yaml"

    async def _prepare(self) -> None:
        kafka: dict[str, Any] = {
            "bootstrap_servers": self._topics.settings.bootstrap_servers,
            "installation": self._tag,
            "partitions": PARTITIONS,
            "session_timeout": "3s",
        }
        if self._scenario.seed % 4:
            kafka["instance"] = "execution-0"
        settings = {
            "trading": {"mode": "live", "account": ACCOUNT},
            "runtime": {"log_form": "json", "poll_for": "20ms", "kafka": kafka},
            "execution": {
                "venue": {
                    **QUICK,
                    "name": self._venue,
                    "endpoint": self._server.urls[self._venue],
                    "key": "env:VENUE_KEY",
                    "secret": "env:VENUE_SECRET",
                }
            },
        }
        self._state_file.write_text(yaml.safe_dump(settings))
        await self._topics.make()
        await self._log.start()
        await self._list()
        topic = TOPIC_OF[OrderIntended].name
        place = Partition(topic, partition_of(ACCOUNT, self._topics.counts[topic]))
        await self._log.read_from({place: 0})
        self._reading = asyncio.create_task(self._read())

    async def _clear_up(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._sending:
            await asyncio.wait(self._sending)
        await self._log.close()
        await self._topics.remove()

    async def _list(self) -> None:
        """Ingest says which instrument there is; nobody else needs it here."""
        instrument = InstrumentId(f"{self._venue}:{PAIR}")
        rules = rules_of(instrument)
        listed = InstrumentListed(time_ns=1, instrument=instrument, rules=rules)
        await self._say(listed, "ingest", Group(1, 1))

    async def _say(self, event: Event, source: str, group: Group) -> None:
        topic = TOPIC_OF[type(event)].name
        place = Partition(topic, partition_of(event.key, self._topics.counts[topic]))
        headers = envelope(event, source, Place(group, 0, True), b"")
        await self._log.send([Message(place, event.key, protobuf.encode(event), headers)])
        await self._log.flush()

    async def _read(self) -> None:
        while True:
            for record in await self._log.poll(0.05):
                event = read_event(record)
                if not isinstance(event, Progress):
                    self._reports.take(event)
                    self._record.told([to_line(event)], dict(self._reports.working))
            if self._open and self._sent == len(self._inputs):
                self._record.maybe_settled()
            if self._asking:
                self._books = self._reports.books
            self._changed.set()

    # --- where a service is otherwise than a desk

    def _heard(self, life: Life, word: FromDesk) -> None:
        if isinstance(word, Opened):
            self._record.note("the service works for the account")
            self._open = True
            self._changed.set()
            self._send()
        else:
            super()._heard(life, word)

    def _send(self) -> None:
        """Risk says its decisions whether anybody works for the account or not, once there was."""
        if self._open or self._sent:
            self._sending.append(asyncio.create_task(self._send_all()))

    async def _send_all(self) -> None:
        async with self._turn:
            while self._decided < len(self._inputs):
                self._decided += 1
                event = self._inputs[self._decided - 1]
                await self._say(event, "risk", Group(self._decided, 1))
                self._sent = self._decided
                self._changed.set()

    def _ask_books(self) -> None:
        """They are on the log."""

    async def _leave(self) -> None:
        """SIGTERM: it stops within its time, says so by its exit, and is started again."""
        life = self._life
        if life is None or not self._open:
            return
        working = self._reports.working
        self._halted |= {each.order for each in self._orders if each.client_order_id in working}
        stops = self._stops_said()
        life.killed = True
        self._open = False
        kill(life.pid, signal.SIGTERM)
        self._record.note("asked to stop")
        await self._until(lambda: self._open, BOUND_S)
        if self._stops_said() != stops + 1:
            self._crashes.append("it did not stop as it was asked to; see its log")

    def _stops_said(self) -> int:
        return self._log_file.read_text().count('"event":"stopped"')


def service_play(bootstrap: str) -> Play:
    """How a scenario is played on the service, on this broker; see `campaign.Play`."""

    async def run(scenario: Scenario, nursery: Nursery, venue: str) -> Outcome:
        settings = box_settings(seed=scenario.seed, lively=scenario.lively, venue=venue)
        async with VenueServer(settings) as server:
            return await ServiceTrial(scenario, nursery, server, venue, bootstrap).run()

    return run
