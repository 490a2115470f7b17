"""The pump of a service: records in, tasks advanced, messages out, snapshots saved.

Who runs the copies of a service may kill any of them at any moment; see `checkpoint.py` for why
that is safe.
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import structlog

from goalkick.common.codec import protobuf
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.log import Log, Message, Partition, Record
from goalkick.common.runtime import checkpoint, decisions, wiring
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.envelope import (
    TAIL,
    header_of,
    last_group,
    read_event,
    read_place_of,
)
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.standing import Standing
from goalkick.common.runtime.task import Spans, Task
from goalkick.common.telemetry import traces
from goalkick.common.topics import DEAD_LETTERS, TOPIC_OF, dividing_topic, reading_of, state_of
from goalkick.common.values.time import NS_PER_SECOND

_QUIET_S = 0.05
"""How often risk and execution tell each other that nothing happened, while no order works."""

_MAX_REASON = 1000
"""Bytes of a reason in a header."""

log = structlog.get_logger()


class Worker:
    """One copy of a service.

    Attributes:
        tasks: by number of the partition.
        ready: whether partitions are assigned and their state is restored.
    """

    def __init__(
        self,
        bus: Log,
        service: wiring.Service,
        settings: RuntimeSettings,
        clock: Clock,
        meter: Meter,
        instance: str,
        spans: Spans | None = None,
    ) -> None:
        """Nothing is read before `run`.

        Args:
            bus: this copy's access to the log, not started yet.
            service: what is run.
            settings: how.
            clock: looked at only with clock `wall`, and for snapshots.
            meter: what is counted.
            instance: a name of this process, unique among all copies.
            spans: for traces; None costs nothing.
        """
        self._bus = bus
        self._service = service
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._instance = instance
        self._spans = spans
        self._dividing = dividing_topic(service.name)
        self._state_topic = state_of(service.name, service.deployment).name
        self._counts: Mapping[str, int] = {}
        self._numbers: frozenset[int] = frozenset()
        self._readers: dict[Partition, list[Channel]] = {}
        self._paused: set[Partition] = set()
        self._lock = asyncio.Lock()
        self._saved_ns = 0
        self._told_ns = 0
        self._told_quiet_s = 0.0
        self._saved_moment: dict[int, tuple[int, int]] = {}
        self._blocked_since: dict[int, tuple[tuple[int, int], int]] = {}
        self._backlog: dict[Partition, int] = {}
        self._generation = 0
        self.tasks: dict[int, Task] = {}
        self.ready = False
        self._standing = Standing(
            service.looks, lambda: [task.core for task in self.tasks.values()], clock, meter
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then saves everything and leaves.

        Raises:
            SettingsError: a topic is missing or does not fit.
            TransientError: the log cannot be reached any more.
            InvariantError: the state or the log is wrong; start again to recover.
        """
        await self._bus.start()
        try:
            await self._join()
            stopping = asyncio.ensure_future(stop.wait())
            try:
                await self._pump(stopping)
            finally:
                stopping.cancel()
            async with self._lock:
                if self.ready:
                    await self._save(self.tasks)
        finally:
            await self._bus.close()

    @property
    def stalled(self) -> bool:
        """Whether an input is missing that is not waited for any more."""
        return any(task.stalled for task in self.tasks.values())

    @property
    def connected(self) -> bool:
        """Whether the log was reached and the group joined."""
        return bool(self._counts)

    def tasks_running(self) -> Sequence[str]:
        """Each task, how far it is and what it waits for."""
        shown = []
        for number, task in self.tasks.items():
            waits = ", ".join(f"{c.partition.topic}[{c.partition.number}]" for c in task.blocked)
            waiting = f", waits for {waits}" if waits else ""
            shown.append(f"{self._service.title}-{number} at {task.moment}{waiting}")
        return [*shown, *self._standing.lines()]

    def positions(self) -> dict[str, int]:
        """Partition -> offset up to which it was handled, the least of all tasks."""
        return {
            f"{partition.topic}/{partition.number}": min(c.position for c in channels)
            for partition, channels in self._readers.items()
        }

    async def _join(self) -> None:
        name = self._service.name
        own = wiring.outputs(self._service).values()
        read = (topic.name for topic in wiring.inputs(name, self._settings))
        names = [*read, *own, self._state_topic, DEAD_LETTERS.name]
        self._counts = await self._bus.partitions(names)
        self._numbers = frozenset(wiring.task_numbers(self._service, self._counts))
        states, tasks = self._counts[self._state_topic], self._counts[self._dividing.name]
        if states < tasks:
            raise SettingsError(
                f"topic {self._state_topic}: expected {tasks} partitions like "
                f"{self._dividing.name}, found {states}"
            )
        group = f"goalkick.{self._service.title}"
        await self._bus.join(group, self._dividing.name, self._lost, self._gained)

    async def _pump(self, stopping: "asyncio.Future[Any]") -> None:
        timeout_s = self._settings.poll_for / NS_PER_SECOND
        while not stopping.done():
            generation = self._generation
            polling = asyncio.ensure_future(self._bus.poll(timeout_s))
            await asyncio.wait((polling, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not polling.done():
                polling.cancel()
                return
            records = polling.result()
            async with self._lock:
                if generation == self._generation:
                    await self._deliver(records)
                elif self.ready:
                    # Partitions changed hands meanwhile: these may lie beyond what is to be read.
                    await self._read_on()
                if self.ready:
                    await self._work()

    async def _work(self) -> None:
        now_ns = self._clock.now_ns()
        lazily = time.monotonic() - self._told_quiet_s < _QUIET_S
        if not lazily:
            self._told_quiet_s = time.monotonic()
        for number, task in self.tasks.items():
            await self._work_on(number, task, now_ns, lazily)
        self._mind_the_flow()
        self._tell_lag(now_ns)
        if now_ns - self._saved_ns >= self._settings.snapshot_every:
            await self._save(self.tasks)

    def _tell_lag(self, now_ns: int) -> None:
        """Once a second: how far behind the clock we are, and how much came again."""
        if now_ns - self._told_ns < NS_PER_SECOND:
            return
        self._told_ns = now_ns
        for channels in self._readers.values():
            topic = channels[0].topic.name
            for channel in channels:
                if channel.repetitions:
                    self._meter.repeated(topic, channel.repetitions)
                    channel.repetitions = 0
        moments = [task.moment for task in self.tasks.values() if task.moment > 0]
        if moments:
            self._meter.lag(self._dividing.name, max(0, now_ns - min(moments)))

    async def _work_on(self, number: int, task: Task, now_ns: int, lazily: bool) -> None:
        began, handled = time.perf_counter(), task.handled
        messages = task.advance(lazily=lazily)
        if task.handled != handled:
            self._meter.handled(time.perf_counter() - began)
        if self._settings.clock == "wall":
            messages += self._mind_the_time(number, task, now_ns)
        if task.refused:
            await self._refuse(task)
        if task.unordered:
            await self._save({number: task}, messages)
            task.unordered = False
        if messages:
            self._meter.produced(messages)
            await self._bus.send(messages)
        if task.caused:
            self._meter.caused(task.caused)
            decisions.tell(task.caused)
            task.caused.clear()
        if task.rearranged:
            task.rearranged = False
            await self._read_others(task)

    async def _read_others(self, task: Task) -> None:
        """Reads deployments that were added, without those that have no topics, and no removed."""
        for topic in {partition.topic for partition in task.joining}:
            try:
                await self._bus.partitions([topic])
            except SettingsError as error:
                log.warning("a deployment cannot be added", topic=topic, reason=str(error))
                for partition in [p for p in task.joining if p.topic == topic]:
                    del task.joining[partition]
                    task.guests.discard(partition)
        await self._see_the_ends()
        await self._read_on()

    def _mind_the_time(self, number: int, task: Task, now_ns: int) -> list[Message]:
        """Goes on without an input that is silent for too long; tells the core the time."""
        patience_ns = self._settings.stall_after
        messages: list[Message] = []
        if self._catching_up():
            return messages
        place = task.moment, task.stage
        since = self._blocked_since.get(number)
        if not task.blocked:
            self._blocked_since.pop(number, None)
        elif since is None or since[0] != place:
            self._blocked_since[number] = place, now_ns
        elif now_ns - since[1] >= patience_ns:
            silent = [f"{c.partition.topic}[{c.partition.number}]" for c in task.blocked]
            log.warning("goes on without a silent input", task=number, inputs=silent)
            self._meter.stalled(len(silent))
            self._blocked_since.pop(number, None)
            task.give_up()
            task.unordered = True
            messages += task.advance()
        if now_ns - patience_ns - task.moment >= NS_PER_SECOND:
            task.tell_time(now_ns - patience_ns)
            messages += task.advance()
        return messages

    def _catching_up(self) -> bool:
        """Whether records that were there when we began to read are still to come."""
        self._backlog = {
            partition: end
            for partition, end in self._backlog.items()
            if partition not in self._paused
            and any(channel.next_offset < end for channel in self._readers.get(partition, ()))
        }
        return bool(self._backlog)

    async def _deliver(self, records: Sequence[Record]) -> None:
        for record in records:
            channels = self._readers.get(record.partition)
            if channels:
                await self._deliver_one(record, channels)
        self._meter.consumed(records)

    async def _deliver_one(self, record: Record, channels: Sequence[Channel]) -> None:
        try:
            place = read_place_of(record, channels[0].topic)
        except InvalidDataError as error:
            await self._bury(record, str(error), "place")
            for channel in channels:
                channel.skip(record.offset)
            return
        event: Event | None
        try:
            event = read_event(record)
        except InvalidDataError as error:
            await self._bury(record, str(error), "content")
            event = None
        if type(event) is Progress:
            event = None
        trace = header_of(record, traces.HEADER) or b""
        for channel in channels:
            if place is not None:
                channel.accept(record.offset, place, event, trace)
            else:
                channel.accept_unordered(record.offset, event)

    async def _bury(self, record: Record, reason: str, kind: str) -> None:
        """Puts a record that cannot be used aside, with the reason, and counts it by kind."""
        topic, number = record.partition
        log.error(
            "record put aside", topic=topic, partition=number, offset=record.offset, reason=reason
        )
        self._meter.dead_lettered(topic, kind)
        place = (
            ("gk-reason", reason.encode()[:_MAX_REASON]),
            ("gk-service", self._service.title.encode()),
            ("gk-topic", topic.encode()),
            ("gk-partition", b"%d" % number),
            ("gk-offset", b"%d" % record.offset),
        )
        key = f"{topic}[{number}]@{record.offset}"
        target = Partition(DEAD_LETTERS.name, 0)
        headers = (*record.headers, *place)
        await self._bus.send([Message(target, key, record.value, headers)])

    async def _refuse(self, task: Task) -> None:
        """Puts events aside that could be read and not be used."""
        for event, reason in task.refused:
            topic = TOPIC_OF[type(event)].name
            record = Record(Partition(topic, -1), -1, event.key, protobuf.encode(event), ())
            await self._bury(record, reason, "refused")
        task.refused.clear()

    def _mind_the_flow(self) -> None:
        """Reads no further where too much is waiting."""
        most = self._settings.max_waiting
        # What waits for the rest of its own moment must be read on, however much it is.
        full = {
            partition
            for partition, channels in self._readers.items()
            if any(len(c) > most and c.head and c.head.group <= c.seen for c in channels)
        }
        if full - self._paused:
            self._bus.pause(full - self._paused)
            self._paused |= full
        slack = {p for p in self._paused if all(len(c) <= most // 2 for c in self._readers[p])}
        if slack:
            self._bus.resume(slack)
            self._paused -= slack

    async def _save(self, tasks: Mapping[int, Task], owed: Sequence[Message] = ()) -> None:
        """Steps 2 to 5 of `checkpoint.py`, for the tasks that have anything new."""
        self._saved_ns = self._clock.now_ns()
        fresh = {
            number: task
            for number, task in tasks.items()
            if owed or task.unordered or self._saved_moment.get(number) != _mark(task)
        }
        if not fresh:
            return
        began = time.perf_counter()
        await self._bus.flush()
        snapshots = [
            Message(
                Partition(self._state_topic, number),
                f"{self._service.title}-{number}",
                checkpoint.take(task, self._instance, owed),
            )
            for number, task in fresh.items()
        ]
        await self._bus.send(snapshots)
        await self._bus.flush()
        size = sum(len(message.value) for message in snapshots)
        self._meter.saved(time.perf_counter() - began, size)
        for number, task in fresh.items():
            self._saved_moment[number] = _mark(task)
        await self._bus.commit(
            {
                partition: channel.position
                for task in fresh.values()
                for partition, channel in task.channels.items()
                if partition.topic == self._dividing.name
                and reading_of(self._service.name, self._dividing) == "shared"
            }
        )

    async def _lost(self, numbers: Collection[int]) -> None:
        """Before partitions change hands: everything that is ours is saved."""
        async with self._lock:
            if self.ready:
                await self._save(self.tasks)
            self.ready = False

    async def _gained(self, numbers: Collection[int]) -> None:
        """After partitions changed hands: what is kept goes on, what is new is restored."""
        async with self._lock:
            wanted = self._numbers & set(numbers)
            places = {number: Partition(self._state_topic, number) for number in wanted}
            tails = await self._bus.tails(places.values(), 1)
            saved = {
                number: checkpoint.read(tails[place][-1].value)
                for number, place in places.items()
                if tails[place]
            }
            kept = {n for n in wanted if n in self.tasks and self._is_ours(n, saved.get(n))}
            self._saved_moment = {n: m for n, m in self._saved_moment.items() if n in kept}
            self._blocked_since.clear()
            owed: dict[int, Sequence[Message]] = {}
            tasks = {number: self.tasks[number] for number in kept}
            for number in wanted - kept:
                tasks[number], owed[number] = self._restored(number, saved)
            self.tasks = dict(sorted(tasks.items()))
            await self._see_the_ends()
            await self._say_again(owed)
            await self._read_on()
            self._generation += 1
            self.ready = True
            self._meter.assigned(len(self.tasks))
            log.info("partitions assigned", tasks=sorted(wanted), kept=sorted(kept))

    def _is_ours(self, number: int, saved: checkpoint.Checkpoint | None) -> bool:
        """Whether nobody else has worked on a task since our last snapshot of it."""
        if saved is None:
            return number not in self._saved_moment
        return number in self._saved_moment and saved.writer == self._instance

    def _restored(
        self, number: int, saved: Mapping[int, checkpoint.Checkpoint]
    ) -> tuple[Task, Sequence[Message]]:
        """A task as it was last saved, and what it still has to say.

        Raises:
            InvalidDataError: the settings are others than those that the state depends on.
        """
        task = self._fresh(number)
        if number not in saved:
            return task, ()
        try:
            return task, checkpoint.resume(task, saved[number])
        except InvalidDataError as error:
            if not self._service.renews:
                raise
            log.warning("begins anew with all that the log holds", task=number, reason=str(error))
            return self._fresh(number), checkpoint.owed_by(saved[number])

    def _fresh(self, number: int) -> Task:
        return wiring.make_task(self._service, number, self._counts, self._settings, self._spans)

    async def _see_the_ends(self) -> None:
        """Finds out what there is to read: where it begins, and how much of it is old."""
        channels = [c for task in self.tasks.values() for c in _read_by(task)]
        ends = await self._bus.ends({channel.partition for channel in channels})
        waited = {p for task in self.tasks.values() for p in task.channels}
        self._backlog = {p: end for p, (_, end) in ends.items() if p in waited}
        for channel in channels:
            if not channel.next_offset:
                channel.next_offset = ends[channel.partition][0]

    async def _say_again(self, owed: Mapping[int, Sequence[Message]]) -> None:
        """Sends what restored tasks owe; first it is saved how much was said before."""
        outputs = [o.partition for n in owed for o in self.tasks[n].outputs.values()]
        said = await self._bus.tails(outputs, TAIL)
        for number, messages in owed.items():
            task = self.tasks[number]
            tails = (said[output.partition] for output in task.outputs.values())
            if task.repeat(max(last_group(tail).moment for tail in tails)):
                await self._save({number: task}, messages)
            await self._bus.send(messages)

    async def _read_on(self) -> None:
        """Reads everything that a task needs, from where the one that is furthest behind stands."""
        self._readers = {}
        for task in self.tasks.values():
            for channel in _read_by(task):
                self._readers.setdefault(channel.partition, []).append(channel)
        self._paused.clear()
        await self._bus.read_from(
            {
                partition: min(channel.next_offset for channel in channels)
                for partition, channels in self._readers.items()
            }
        )


def _read_by(task: Task) -> Iterator[Channel]:
    return chain(task.channels.values(), task.joining.values())


def _mark(task: Task) -> tuple[int, int]:
    return task.moment, task.handled
