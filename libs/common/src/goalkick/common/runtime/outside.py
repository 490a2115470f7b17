"""The pump of a core that works with somebody outside, such as a venue with real money.

What comes from outside comes when it comes, so nothing is gained by merging moments: records are
handled as they arrive, and what is said of them belongs to the moment it is said in. The order in
which things are done makes it safe to stop anywhere:

1. handle, 2. send a snapshot, which holds every intent, how far the inputs were read and what is to
be said, and what is to be said, 3. wait until it is acknowledged, 4. only then do what was
intended.

Who restarts says again what it may not have said, and asks the outside about every intent.

Fencing. A copy that was paused must do nothing when it wakes up after another one has taken over.
It may act only while its lease lasts: the group's coordinator has confirmed its membership less
than `kafka.session_timeout` ago, less the time for which the outside honours what is signed now
(`grace_ns`). The coordinator gives its partition to nobody before the whole session timeout is
over, and by then everything that it can have signed is void. Each owner has an epoch, higher than
any before: a snapshot that an old owner may still write does not count.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import structlog

from goalkick.common.adapters.secrets.sealing import see_it_is_clear
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.core.machine import Core
from goalkick.common.events.base import Event
from goalkick.common.events.venue import VenueEvent
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.log import Log, Message, Partition, Record
from goalkick.common.ports.venue import Venue
from goalkick.common.runtime import decisions, wiring
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.standing import Standing
from goalkick.common.runtime.task import Output
from goalkick.common.telemetry import traces
from goalkick.common.telemetry.names import LEASE_SECONDS
from goalkick.common.topics import (
    DEAD_LETTERS,
    STATE_OF,
    TOPIC_OF,
    dividing_topic,
    inputs_of,
    outputs_of,
)
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

_VERSION = 1
_QUIET_NS = 50 * NS_PER_MS
"""How often others are told that nothing happened: they wait for that before they go on."""
_CONFIRMATIONS = 5
"""How often in a session timeout the lease is renewed."""
_STATE_TAIL = 100
"""Snapshots that are looked at for the highest epoch."""
_EPOCH_KEYS = 8
"""Keys that owners take turns in, so that compaction keeps the last snapshots of several."""

log = structlog.get_logger()


class OutsideCore(Core, Protocol):
    """A core whose effects are commands to somebody outside."""

    def commands(self) -> Sequence[VenueEvent]:
        """Takes what is to be done, oldest first."""
        ...

    def answer(self, events: Iterable[VenueEvent], moment_ns: int) -> Sequence[Event]:
        """What is to be said because of news from outside."""
        ...

    def doubts(self, moment_ns: int) -> Sequence[Event]:
        """After a restart: what is to be said and asked about everything under way."""
        ...

    def set_clock(self, now_ns: int) -> None:
        """What time it is by the clock: what arrives may have expired."""
        ...

    def open(self, holdings: Mapping[str, Decimal]) -> None:
        """Before anything else ever: what the account has, by currency."""
        ...

    def leave(self, moment_ns: int) -> Sequence[Event]:
        """Before a stop: what is to be said; what is to be undone comes as commands."""
        ...

    @property
    def left(self) -> bool:
        """Whether all that was to be undone before a stop is known to be."""
        ...


class _Saved(msgspec.Struct, frozen=True):
    """A snapshot of the whole.

    Attributes:
        epoch: of the owner that wrote it.
        read: (topic, partition, offset of the next record).
        moment: of what was said last.
        owed: (topic, partition, key, value, headers) of what is said with it.
    """

    version: int
    epoch: int
    writer: str
    read: list[tuple[str, int, int]]
    moment: int
    owed: list[tuple[str, int, str, bytes, list[tuple[str, bytes]]]]
    core: bytes


class OutsideWorker:
    """One copy of a service that works with somebody outside; one of them works, others stand by.

    Attributes:
        ready: whether the account is ours, its state restored, and the outside reached.
        connected: whether the log was reached.
        moment: of what was said last, UTC ns.
    """

    def __init__(
        self,
        bus: Log,
        service: wiring.Service,
        venue: Venue,
        settings: RuntimeSettings,
        clock: Clock,
        meter: Meter,
        instance: str,
        grace_ns: int,
        leave_ns: int = 0,
    ) -> None:
        """Nothing is read before `run`.

        Args:
            bus: this copy's access to the log, not started yet.
            service: what is run; its cores are `OutsideCore`s of one account.
            venue: the outside, not started yet.
            settings: how.
            clock: says when things are said.
            meter: what is counted.
            instance: a name of this process, unique among all copies.
            grace_ns: for how long the outside honours what is signed now; less than
                `kafka.session_timeout`.
            leave_ns: for how long a stop waits until all is undone that is not to go on without us.
        """
        if service.account is None:
            raise InvariantError(f"{service.name}: expected a service of one account")
        self._bus = bus
        self._service = service
        self._venue = venue
        self._clock = clock
        self._meter = meter
        self._instance = instance
        self._poll_s = settings.poll_for / NS_PER_SECOND
        self._lease_s = (settings.kafka.session_timeout - grace_ns) / NS_PER_SECOND
        self._renew_s = settings.kafka.session_timeout / NS_PER_SECOND / _CONFIRMATIONS
        self._leave_s = leave_ns / NS_PER_SECOND
        self._dividing = dividing_topic(service.name)
        self._state: Partition
        self._outputs: dict[str, Output] = {}
        self._offsets: dict[Partition, int] = {}
        self._core: OutsideCore
        self._owns = self._fresh = self._grouped = False
        self._lease_until_s = 0.0
        self._epoch = 0
        self._changed = asyncio.Event()
        self._told_ns = 0
        self.connected = False
        self.ready = False
        self.moment = 0
        self._standing = Standing(
            service.looks, lambda: [self._core] if self.ready else [], clock, meter
        )
        meter.metrics.gauge(LEASE_SECONDS).set_function(lambda: self._lease_s_left)

    @property
    def stalled(self) -> bool:
        """Nothing is waited for."""
        return False

    @property
    def stands_by(self) -> bool:
        """Whether another copy has the account: this one is as it should be, and has no work."""
        return self._grouped and not self._owns

    def tasks_running(self) -> Sequence[str]:
        """The account, and what it works with."""
        if not self._owns:
            return [f"{self._service.account}: standing by"]
        account = (
            f"{self._service.account} on {self._venue.name}, lease of {self._lease_s_left:.1f} s"
        )
        return [account, *self._standing.lines()]

    def positions(self) -> dict[str, int]:
        """Partition -> offset up to which it was handled."""
        return {f"{p.topic}/{p.number}": offset for p, offset in self._offsets.items()}

    def may_act(self) -> bool:
        """Whether the lease lasts: to be asked in the moment in which something is signed."""
        return self._lease_s_left > 0

    @property
    def _lease_s_left(self) -> float:
        return max(0.0, self._lease_until_s - time.monotonic()) if self._owns else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then leaves.

        Raises:
            SettingsError: a topic is missing, or the outside refuses the keys.
            TransientError: the log or the outside cannot be reached.
            InvariantError: the state or the log is wrong; start again to recover.
        """
        await self._bus.start()
        try:
            await self._join()
            stopping = asyncio.ensure_future(stop.wait())
            renewing = asyncio.ensure_future(self._renew())
            try:
                while not stopping.done():
                    self._changed.clear()
                    if self._owns:
                        await self._work(stopping)
                    else:
                        await _first(stopping, asyncio.ensure_future(self._changed.wait()))
            finally:
                stopping.cancel()
                renewing.cancel()
                await self._venue.close()
        finally:
            self.ready = False
            await self._bus.close()

    async def _join(self) -> None:
        name = self._service.name
        topics = (*inputs_of(name), *outputs_of(name))
        state = STATE_OF[name].name
        counts = await self._bus.partitions([*(t.name for t in topics), state, DEAD_LETTERS.name])
        (number,) = wiring.task_numbers(self._service, counts)
        self._state = Partition(state, number)
        self._number = number
        self._outputs = {
            topic.name: Output(topic, Partition(topic.name, number), name)
            for topic in outputs_of(name)
        }
        self._reads = {
            Partition(topic.name, each)
            for topic in inputs_of(name)
            for each in (
                range(counts[topic.name]) if topic.consumers[name] == "broadcast" else (number,)
            )
        }
        self.connected = True
        await self._bus.join(f"goalkick.{name}", self._dividing.name, self._lost, self._gained)

    async def _lost(self, numbers: Collection[int]) -> None:
        self._owns = self.ready = False
        self._meter.assigned(0)
        self._changed.set()

    async def _gained(self, numbers: Collection[int]) -> None:
        self._grouped = True
        self._owns = self._fresh = self._number in numbers
        self._lease_until_s = 0.0
        self._meter.assigned(int(self._owns))
        self._changed.set()

    async def _renew(self) -> None:
        """Has the membership confirmed, again and again: each time is the beginning of a lease."""
        place = Partition(self._dividing.name, self._number)
        while True:
            if self._owns and place in self._offsets:
                began_s = time.monotonic()
                if await self._bus.commit({place: self._offsets[place]}):
                    self._lease_until_s = began_s + self._lease_s
            await asyncio.sleep(self._renew_s)

    async def _work(self, stopping: "asyncio.Future[Any]") -> None:
        """Works for the account until it changes hands."""
        changed = asyncio.ensure_future(self._changed.wait())
        hearing: asyncio.Task[Sequence[VenueEvent]] | None = None
        polling: asyncio.Task[Sequence[Record]] | None = None
        try:
            await self._take_up()
            while not (stopping.done() or changed.done()):
                hearing = hearing or asyncio.create_task(self._heard())
                polling = polling or asyncio.create_task(self._bus.poll(self._poll_s))
                await _first(stopping, changed, hearing, polling, timeout_s=_QUIET_NS / 1e9)
                moment_ns = self._next_moment()
                reports: list[Event] = []
                if polling.done():
                    for record in polling.result():
                        reports += await self._take(record, moment_ns)
                    self._meter.consumed(polling.result())
                    polling = None
                if hearing.done():
                    reports += self._core.answer(hearing.result(), moment_ns)
                    hearing = None
                await self._say(reports, moment_ns)
            if self.ready and not changed.done():
                await self._leave(changed, hearing or asyncio.create_task(self._heard()))
        finally:
            for task in (changed, hearing, polling):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
            await self._venue.close()

    async def _leave(
        self, changed: "asyncio.Future[Any]", hearing: "asyncio.Task[Sequence[VenueEvent]]"
    ) -> None:
        """Undoes what is not to go on without us, and says so; inputs wait for who comes next."""
        until_s = time.monotonic() + self._leave_s
        moment_ns = self._next_moment()
        reports = self._core.leave(moment_ns)
        try:
            while True:
                await self._say(reports, moment_ns)
                left_s = until_s - time.monotonic()
                if self._core.left or changed.done() or left_s <= 0:
                    break
                await _first(changed, hearing, timeout_s=left_s)
                moment_ns, reports = self._next_moment(), ()
                if hearing.done():
                    reports = self._core.answer(hearing.result(), moment_ns)
                    hearing = asyncio.create_task(self._heard())
        finally:
            hearing.cancel()
        if not self._core.left:
            log.warning("stopped before all was undone", account=self._service.account)

    def _next_moment(self) -> int:
        return max(self._clock.now_ns(), self.moment + 1)

    async def _heard(self) -> Sequence[VenueEvent]:
        return await self._venue.answers()

    async def _take_up(self) -> None:
        """Goes on where whoever had the account before stopped."""
        self._core = self._service.make_core()  # type: ignore[assignment]
        tails = await self._bus.tails([self._state], _STATE_TAIL)
        ends = await self._bus.ends(self._reads)
        snapshots = [_read(record) for record in tails[self._state]]
        saved = max(reversed(snapshots), key=lambda each: each.epoch, default=None)
        self._epoch = saved.epoch + 1 if saved else 1
        # Old decisions are nobody's any more; old rules are still the rules.
        self._offsets = {
            place: end if place.topic == self._dividing.name else first
            for place, (first, end) in ends.items()
        }
        if saved is not None:
            self._core.restore(saved.core)
            self.moment = saved.moment
            self._offsets |= {Partition(t, n): offset for t, n, offset in saved.read}
        await self._venue.start()
        moment_ns = self._next_moment()
        if saved is None:
            self._core.open(await self._venue.holdings())
            reports: Sequence[Event] = ()
        else:
            await self._bus.send(
                [Message(Partition(t, n), k, v, tuple(h)) for t, n, k, v, h in saved.owed]
            )
            reports = self._core.doubts(moment_ns)
        await self._bus.read_from(self._offsets)
        await self._until_leased()
        # From here on no older snapshot counts, and who comes next knows where our work begins.
        await self._bus.send([self._snapshot(())])
        await self._bus.flush()
        await self._say(reports, moment_ns)
        self.ready = True
        log.info("works for the account", account=self._service.account, venue=self._venue.name)

    async def _until_leased(self) -> None:
        while self._owns and not self.may_act():
            place = Partition(self._dividing.name, self._number)
            began_s = time.monotonic()
            if await self._bus.commit({place: self._offsets[place]}):
                self._lease_until_s = began_s + self._lease_s
            else:
                await asyncio.sleep(self._renew_s / 10)

    async def _take(self, record: Record, moment_ns: int) -> Sequence[Event]:
        self._offsets[record.partition] = record.offset + 1
        try:
            event = read_event(record)
        except InvalidDataError as error:
            await self._bury(record, str(error))
            return ()
        handler = self._core.handlers.get(type(event))
        if handler is None:
            return ()
        self._core.set_clock(moment_ns)
        try:
            return handler(event)
        except InvalidDataError as error:
            await self._bury(record, str(error))
            return ()

    async def _say(self, reports: Sequence[Event], moment_ns: int) -> None:
        """Saves and says what was decided, then does it."""
        if not self.may_act():
            # Whether somebody else has the account now, or the broker was only slow: what was not
            # saved has not been, and what was intended is asked about by whoever takes up.
            log.warning("lease has run out", account=self._service.account)
            self._changed.set()
            return
        commands = self._core.commands()
        if not reports and not commands:
            if moment_ns - self._told_ns >= _QUIET_NS:
                self._told_ns = self.moment = moment_ns
                await self._bus.send(self._progress(moment_ns))
            return
        self._told_ns = self.moment = moment_ns
        for report in reports:
            output = self._outputs[TOPIC_OF[type(report)].name]
            output.pending.append((report, traces.traceparent_for(report.id).encode()))
        group = Group(moment_ns, 1)
        said = [message for output in self._outputs.values() for message in output.close(group)]
        await self._bus.send([self._snapshot(said), *said])
        await self._bus.flush()
        self._meter.produced(said)
        self._meter.caused(reports)
        decisions.tell(reports)
        if commands and not self.may_act():
            log.warning("lease has run out before an intent was carried out", intents=len(commands))
            self._changed.set()
            return
        for command in commands:
            self._venue.carry_out(command)

    def _progress(self, moment_ns: int) -> list[Message]:
        messages: list[Message] = []
        for output in self._outputs.values():
            output.closed = Group(moment_ns, 1)
            messages += output.tell()
        return messages

    def _snapshot(self, owed: Sequence[Message]) -> Message:
        saved = _Saved(
            version=_VERSION,
            epoch=self._epoch,
            writer=self._instance,
            read=[(p.topic, p.number, offset) for p, offset in self._offsets.items()],
            moment=self.moment,
            owed=[(*m.partition, m.key, m.value, list(m.headers)) for m in owed],
            core=self._core.snapshot(),
        )
        key = f"{self._service.name}-{self._number}-{self._epoch % _EPOCH_KEYS}"
        return Message(self._state, key, msgspec.msgpack.encode(saved))

    async def _bury(self, record: Record, reason: str) -> None:
        """Puts a record that cannot be used aside, with the reason."""
        topic, number = record.partition
        log.error(
            "record put aside", topic=topic, partition=number, offset=record.offset, reason=reason
        )
        self._meter.dead_lettered(topic, "content")
        headers = (*record.headers, ("gk-reason", reason.encode()[:1000]))
        key = f"{topic}[{number}]@{record.offset}"
        await self._bus.send([Message(Partition(DEAD_LETTERS.name, 0), key, record.value, headers)])


def _read(record: Record) -> _Saved:
    see_it_is_clear(record.value, f"state of {record.key}")
    try:
        saved = msgspec.msgpack.decode(record.value, type=_Saved)
    except msgspec.MsgspecError as error:
        raise InvalidDataError(
            f"state of {record.key}: expected that of a live account, found {error}; a paper "
            "account cannot become a live one: use another account id"
        ) from None
    if saved.version != _VERSION:
        raise InvalidDataError(
            f"state of {record.key}: expected version {_VERSION}, found {saved.version}"
        )
    return saved


async def _first(*futures: "asyncio.Future[Any]", timeout_s: float | None = None) -> None:
    """Waits until one of them is done, and leaves the others as they are."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
