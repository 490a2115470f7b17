"""The pump of ingest: market events onto the log, moment by moment, each partition by one copy.

A copy that starts again looks at the last record of its partitions and goes on with that moment;
readers drop what they know. A recorded feed must therefore say the same again from any moment on.

A live feed cannot. So every copy listens to the whole of it all the time, says what is in its own
partitions, and keeps the last of the rest for a while: when a copy dies, whoever takes its
partitions over says what it did not live to say. A copy that hears nothing at all leaves its
partitions to the others while it is so.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

import structlog

from goalkick.common.codec import protobuf
from goalkick.common.events.base import Event
from goalkick.common.events.market import GapDetected, TradePrinted
from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import Quiet, Step, Tape
from goalkick.common.ports.log import Log, Message, Partition
from goalkick.common.runtime.attendance import Attendance
from goalkick.common.runtime.envelope import TAIL, envelope, header_of, last_group
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.place import BEFORE_ALL, Group
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Output
from goalkick.common.telemetry.traces import traceparent_for
from goalkick.common.topics import TOPIC_OF, Topic, dividing_topic, outputs_of, partition_of
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

BATCH = 500
"""Steps after which readers are told of the moments in which nothing happened; also how many steps
are made between two looks at the event loop. More is faster in a replay, and less even."""

_KEPT_AT_MOST = 20_000
"""Steps and tapes that are kept for a hand-over, however much is said in that time."""
_TAPE_TAIL = 1_000
"""Records of a partition's tape that are looked at to find what was said already."""

_GROUP = "goalkick.ingest"

log = structlog.get_logger()

Steps = Callable[[int], Iterator[Step]]
"""The steps from a moment (UTC ns, inclusive) on, in order of time."""
LiveSteps = Callable[[int | None], AsyncGenerator[Step | Tape, None]]
"""The steps later than a moment (UTC ns), as they happen; None: from now on, with a warm-up."""


class Source:
    """One copy of ingest.

    Attributes:
        moment: time of the last step that was sent.
        ready: whether partitions are assigned.
    """

    def __init__(
        self,
        bus: Log,
        settings: RuntimeSettings,
        clock: Clock,
        meter: Meter,
        *,
        recorded: Steps | None = None,
        live: LiveSteps | None = None,
        speed: float = 0.0,
        standing: Callable[[], Sequence[str]] = tuple,
        begun: Callable[[], Awaitable[None]] | None = None,
        leave_after: int | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is sent before `run`.

        Args:
            bus: this copy's access to the log, not started yet.
            settings: how.
            clock: for pacing.
            meter: what is counted.
            recorded: a feed whose steps are known or computable; this or `live`.
            live: a feed that waits for the outside world.
            speed: how much faster than the steps' own time a recorded feed goes; 0: no waiting.
                With clock `wall` every step comes at its own time, and at once if that is past.
            standing: what else people should know of the feed, a line each.
            begun: returns when a live feed hears all that it listens to; None: it does at once.
            leave_after: time, ns, after which a copy that hears nothing leaves its partitions to
                others, where there are some, until it hears again; None: never.
            jitter: numbers in [0, 1) that keep copies from leaving all at once.
        """
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._recorded = recorded
        self._live = live
        self._speed = speed
        self._standing = standing
        self._attendance = Attendance(
            self._join,
            self._leave,
            begun=begun,
            expiry_ns=settings.kafka.session_timeout,
            wait_ns=settings.handover // 2,
            leave_after_ns=leave_after,
            jitter=jitter,
        )
        self._dividing = dividing_topic("ingest")
        self._counts: Mapping[str, int] = {}
        self._outputs: dict[Partition, Output] = {}
        self._tape: set[Partition] = set()
        self._said: set[str] = set()
        self._kept: deque[tuple[int, Step | Tape]] = deque()
        self._last: dict[Partition, Group] = {}
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._member = asyncio.Event()
        self.moment = BEFORE_ALL.moment
        self.ready = False
        self.finished = False

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then leaves.

        Raises:
            SettingsError: a topic is missing.
            TransientError: the log cannot be reached any more.
        """
        await self._bus.start()
        try:
            topics = outputs_of("ingest")
            self._counts = await self._bus.partitions([topic.name for topic in topics])
            stopping = asyncio.ensure_future(stop.wait())
            try:
                if self._live is not None:
                    await self._follow(self._live, stopping)
                elif not stopping.done():
                    await self._join()
                while not stopping.done():
                    await self._go_on(stopping)
            finally:
                stopping.cancel()
            async with self._lock:
                await self._bus.flush()
        finally:
            await self._bus.close()

    async def _join(self) -> None:
        await self._bus.join(_GROUP, self._dividing.name, self._lost, self._gained)

    async def _leave(self) -> None:
        await self._bus.leave()
        await self._lost(())

    @property
    def connected(self) -> bool:
        """Whether the log was reached."""
        return bool(self._counts)

    @property
    def stalled(self) -> bool:
        """Ingest reads no other service."""
        return False

    def tasks_running(self) -> Sequence[str]:
        """Each partition and how far it is, and how the feed stands."""
        places = [
            f"{output.partition.topic}[{output.partition.number}] at {output.closed.moment}"
            for output in self._outputs.values()
        ]
        away = ["nothing is heard: its partitions are left to other copies"]
        return [*places, *(away if self._attendance.away else ()), *self._standing()]

    def positions(self) -> dict[str, int]:
        """Nothing is read."""
        return {}

    async def _follow(self, live: LiveSteps, stopping: "asyncio.Future[Any]") -> None:
        """Listens to a live feed until it ends or we do.

        A copy listens first and becomes a member then: it keeps what it hears, and so says what
        nobody said while the partitions changed hands.
        """
        after_ns = await self._last_moment()
        listening = asyncio.ensure_future(self._listen(live, after_ns))
        attending = asyncio.ensure_future(self._attendance.run(first=after_ns is None))
        try:
            waited = (listening, attending, stopping)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
                self.finished = True
                # The feed has ended: stay, so that readers see a healthy and silent source.
                await asyncio.wait((attending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if attending.done():
                attending.result()
        finally:
            for task in (listening, attending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _last_moment(self) -> int | None:
        """The earliest moment that any partition stands at; None: nothing was ever said."""
        name = self._dividing.name
        places = [Partition(name, number) for number in range(self._counts[name])]
        tails = await self._bus.tails(places, TAIL)
        told = [group for group in map(last_group, tails.values()) if group != BEFORE_ALL]
        return min(group.moment for group in told) if told else None

    async def _listen(self, live: LiveSteps, after_ns: int | None) -> None:
        async with contextlib.aclosing(live(after_ns)) as steps:
            async for step in steps:
                async with self._lock:
                    self._remember(step)
                    await self._say(step)
                if len(self._kept) >= _KEPT_AT_MOST:
                    await self._member.wait()
        await self._member.wait()

    def _remember(self, step: Step | Tape) -> None:
        """Keeps what another copy may not live to say."""
        if not isinstance(step, Tape):
            self._attendance.hearing.take(step)
        now_ns, kept = self._clock.now_ns(), self._kept
        lasting = step
        if isinstance(step, Tape):
            # A later quote or book says more than an earlier one; each trade counts.
            lasting = Tape(event for event in step if type(event) is TradePrinted)
        if lasting:
            kept.append((now_ns, lasting))
        if len(kept) > _KEPT_AT_MOST // 2:
            self._attendance.crowded.set()
        if not self._member.is_set():
            # What nobody could say yet is not forgotten; the feed waits when that is too much.
            return
        while kept and (now_ns - kept[0][0] > self._settings.handover or len(kept) > _KEPT_AT_MOST):
            kept.popleft()

    async def _say(self, step: Step | Tape) -> None:
        if isinstance(step, Quiet):
            await self._send_quiet(step.until_ns)
        elif isinstance(step, Tape):
            await self._send_tape(step)
        elif self._outputs:
            await self._send_live(step)

    async def _say_again(self) -> None:
        """Says what a copy that had our partitions did not: readers drop what they know."""
        tails = await self._bus.tails(self._tape, _TAPE_TAIL)
        said = {header_of(record, "ce_id") for records in tails.values() for record in records}
        self._said = {identity.decode() for identity in said if identity is not None}
        for _, step in self._kept:
            if not isinstance(step, Tape):
                await self._say(step)
        # Of each instrument only what is later than its last trade that stands there.
        trades: dict[str, list[Event]] = {}
        for _, step in self._kept:
            for event in step if isinstance(step, Tape) else ():
                later = trades.setdefault(event.key, [])
                if event.id in self._said:
                    later.clear()
                else:
                    later.append(event)
        await self._send_tape(Tape(event for later in trades.values() for event in later))

    async def _go_on(self, stopping: "asyncio.Future[Any]") -> None:
        """Sends from where the partitions stand until they change hands, or the feed ends."""
        self._changed.clear()
        changed = asyncio.ensure_future(self._changed.wait())
        sending = asyncio.ensure_future(self._send_all())
        try:
            await asyncio.wait((sending, stopping, changed), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                # The feed has ended: stay, so that readers see a healthy and silent source.
                await asyncio.wait((stopping, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send_all(self) -> None:
        if not self.ready or not self._outputs:
            return
        if self._recorded is not None:
            start_ns = min(group.moment for group in self._last.values())
            await self._send_recorded(self._recorded(start_ns))
        self.finished = True

    async def _send_live(self, step: Step) -> None:
        # Nobody can say a live moment again, so it must stand there whole or not.
        messages = [*self._messages(step), *self._ends(step[0].time_ns)]
        self._meter.produced(messages)
        await self._bus.send(messages, whole=True)

    async def _send_quiet(self, until_ns: int) -> None:
        """Tells readers that nothing happened up to a time; who takes over says so itself."""
        if self._outputs:
            self.moment = max(self.moment, until_ns)
            messages = self._ends(until_ns)
            self._meter.produced(messages)
            await self._bus.send(messages)

    async def _send_tape(self, tape: Tape) -> None:
        """Sends what has no moment; whose partition is another copy's is that copy's to say."""
        messages = []
        for event in tape:
            topic = TOPIC_OF[type(event)].name
            place = Partition(topic, partition_of(event.key, self._counts[topic]))
            if place in self._tape and event.id not in self._said:
                self._meter.fed(event)
                trace = traceparent_for(event.id).encode()
                headers = envelope(event, "ingest", None, trace)
                messages.append(Message(place, event.key, protobuf.encode(event), headers))
        self._meter.produced(messages)
        await self._bus.send(messages)

    async def _send_recorded(self, steps: Iterator[Step]) -> None:
        pace = self._pace()
        batch: list[Message] = []
        for count, step in enumerate(steps, 1):
            now_ns = step[0].time_ns
            early_ns = pace(now_ns)
            if early_ns > NS_PER_MS:
                batch = await self._send(batch, self.moment)
                await asyncio.sleep(early_ns / NS_PER_SECOND)
            batch += self._messages(step)
            if early_ns > 0 or count % BATCH == 0:
                batch = await self._send(batch, now_ns)
        await self._send(batch, self.moment)

    def _pace(self) -> Callable[[int], int]:
        """Says how long, in ns, before its time a step is; 0 or less if it is due."""
        now_ns = self._clock.now_ns
        if self._settings.clock == "wall":
            return lambda step_ns: step_ns - now_ns()
        if not self._speed:
            return lambda _: 0
        speed, began_ns = self._speed, now_ns()
        first: list[int] = []

        def early(step_ns: int) -> int:
            first[:] = first or [step_ns]
            return began_ns + int((step_ns - first[0]) / speed) - now_ns()

        return early

    async def _send(self, batch: list[Message], now_ns: int) -> list[Message]:
        async with self._lock:
            batch += self._ends(now_ns)
            self._meter.produced(batch)
            await self._bus.send(batch)
        # Lets everything else have its turn; `send` need not wait.
        await asyncio.sleep(0)
        return []

    def _messages(self, step: Step) -> list[Message]:
        """The messages of a step for the partitions that are ours and have not seen it."""
        moment = step[0].time_ns
        self.moment = moment
        group = Group(moment, 1)
        touched: list[Output] = []
        for event in step:
            topic = TOPIC_OF[type(event)]
            number = partition_of(event.key, self._counts[topic.name])
            output = self._outputs.get(Partition(topic.name, number))
            if output is None:
                continue
            last = self._last.get(output.partition, BEFORE_ALL)
            if group < last or (type(event) is GapDetected and event.to_ns <= last.moment):
                # It was said, or what we lack was: by the copy that had the partition meanwhile.
                continue
            if not output.pending:
                touched.append(output)
            self._meter.fed(event)
            output.pending.append((event, traceparent_for(event.id).encode()))
        return [message for output in touched for message in output.close(group)]

    def _ends(self, moment: int) -> Sequence[Message]:
        """Tells the readers of all our partitions that a moment is complete."""
        messages: list[Message] = []
        for output in self._outputs.values():
            if moment > output.closed.moment:
                output.closed = Group(moment, 1)
            messages += output.tell()
        return messages

    async def _lost(self, numbers: Collection[int]) -> None:
        async with self._lock:
            self.ready = False
            await self._bus.flush()
            self._outputs = {}
            self._tape = set()
            self._changed.set()

    async def _gained(self, numbers: Collection[int]) -> None:
        async with self._lock:
            if self._attendance.away:
                return
            self._attendance.share = len(numbers) / self._counts[self._dividing.name]
            outputs = {
                Partition(topic.name, number): topic
                for topic in self._topics()
                for number in sorted(numbers)
                if number < self._counts[topic.name]
            }
            tails = await self._bus.tails(outputs, TAIL)
            self._last = {place: last_group(records) for place, records in tails.items()}
            self._outputs = {p: Output(topic, p, "ingest") for p, topic in outputs.items()}
            self._tape = {
                Partition(topic.name, number)
                for topic in outputs_of("ingest")
                if topic not in self._topics()
                for number in numbers
            }
            self.ready = True
            self._member.set()
            self._changed.set()
            if self._live is not None:
                await self._say_again()
            self._meter.assigned(len(numbers))
            log.info("partitions assigned", partitions=sorted(numbers))

    def _topics(self) -> list[Topic]:
        """The topics whose readers wait for the end of a moment."""
        topics = outputs_of("ingest")
        quotes = [t for t in topics if "quote" in t.name and self._settings.quotes]
        return [self._dividing, *quotes]
