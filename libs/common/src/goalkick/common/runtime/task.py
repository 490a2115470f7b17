"""A core at work on one partition: merges its inputs into moments, and says what came of them.

The merge is what makes a cluster decide like one process. A moment is begun when every input that
is handled first is complete for it; then its events are handled rank by rank, each rank when it is
complete, sorted by key within it: the order that `topics.py` states and the in-memory bus follows.

Pure: no I/O and no clock. What depends on when a record happened to arrive (commands, records that
came too late, silence) is marked by `unordered`: the shell must then save a snapshot that holds the
outputs before it sends them, so that a restart cannot decide otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter

from goalkick.common.codec import protobuf
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.core.fused import hearers_of
from goalkick.common.core.machine import Core, Handler
from goalkick.common.events.base import Event
from goalkick.common.events.control import (
    AddDeployment,
    Progress,
    RemoveDeployment,
    TimeAdvanced,
)
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.channel import Channel, Entry
from goalkick.common.runtime.envelope import envelope
from goalkick.common.runtime.inside import Inside
from goalkick.common.runtime.place import BEFORE_ALL, Group, Place
from goalkick.common.runtime.stage import Stage, stages_of
from goalkick.common.topics import TOPIC_OF, Topic

_key = attrgetter("group.moment", "event.key")
"""All events are of one moment unless some come too late: those come first, oldest first."""

Spans = Callable[[Event, bytes], AbstractContextManager[bytes]]
"""Opens a span around the handling of an event, given its traceparent; yields the span's own."""

Opener = Callable[[str], Sequence[Channel]]
"""The channels of a deployment that is added, by its name."""

Awaits = Callable[[Core], bool]
"""Whether a core's state is such that reports about its decisions may still come."""


class Output:
    """One output partition: collects a group until it is closed.

    Attributes:
        topic: the row of the table of topics.
        partition: where its records go.
        closed: last group about which everything is said.
        told: last group whose end the readers were told.
        pending: events of the open group, each with its trace.
    """

    __slots__ = ("closed", "partition", "pending", "source", "told", "topic")

    def __init__(self, topic: Topic, partition: Partition, source: str) -> None:
        """Nothing said yet."""
        self.topic = topic
        self.partition = partition
        self.source = source
        self.closed = self.told = BEFORE_ALL
        self.pending: list[tuple[Event, bytes]] = []

    def close(self, group: Group) -> list[Message]:
        """The messages of `group`, which is complete now; the last one says so."""
        self.closed = group
        if not self.pending:
            return []
        last = len(self.pending) - 1
        messages = [
            self._message(event, Place(group, index, index == last), trace)
            for index, (event, trace) in enumerate(self.pending)
        ]
        self.pending = []
        self.told = group
        return messages

    def tell(self) -> list[Message]:
        """Tells readers the end of the last closed group, if they do not know it."""
        if self.told >= self.closed:
            return []
        self.told = self.closed
        group = self.closed
        progress = Progress(time_ns=group.moment, issuer=self.source, phase=group.phase)
        return [self._message(progress, Place(group, 0, True), b"")]

    def _message(self, event: Event, place: Place, trace: bytes) -> Message:
        headers = envelope(event, self.source, place, trace)
        return Message(self.partition, event.key, protobuf.encode(event), headers)


class Task:
    """A core, its inputs, and its outputs.

    Attributes:
        core: the core.
        moment: last moment that is done with; the smallest int64 before the first.
        repeats: last moment of which readers know what was said before a restart; see `repeat`.
        unordered: whether what was handled since it was last cleared depended on arrival.
        awaiting: whether reports could still come when the present moment began.
        handled: events handled so far.
        blocked: the channels that are waited for now; empty while nothing is waiting.
        caused: what the core said since it was last cleared.
        refused: events that the core could not use, with its reason.
        joining: channels that were added and have not caught up: nobody waits for them yet.
        guests: channels that a command added, and not the settings.
        rearranged: whether a command added or removed channels since it was last cleared.
    """

    def __init__(
        self,
        core: Core,
        channels: Sequence[Channel],
        outputs: Sequence[Output],
        awaits: Awaits | None = None,
        spans: Spans | None = None,
        reports: Awaits | None = None,
        opener: Opener | None = None,
        inner: Sequence[Topic] = (),
    ) -> None:
        """Puts the parts together.

        Args:
            core: a fresh core.
            channels: one for each input partition.
            outputs: one for each output topic.
            awaits: for a core with a feedback input: whether reports may still come.
            spans: for traces; None costs nothing.
            reports: for a core with a feedback output: whether it may have something to report.
            opener: for a core that listens to deployments, which may be added and removed.
            inner: topics that parts of the core hear each other by, in order of rank.
        """
        self._reports = reports
        self._opener = opener
        self._inside = Inside(inner)
        self._hearers = hearers_of(core)
        self.core = core
        self.spans = spans
        self.channels: dict[Partition, Channel] = {c.partition: c for c in channels}
        self.joining: dict[Partition, Channel] = {}
        self.guests: set[Partition] = set()
        self.rearranged = False
        self.outputs: Mapping[str, Output] = {o.topic.name: o for o in outputs}
        self.moment = self.repeats = BEFORE_ALL.moment
        self.unordered = False
        self.awaiting = False
        self.handled = 0
        self.blocked: tuple[Channel, ...] = ()
        self.caused: list[Event] = []
        self.refused: list[tuple[Event, str]] = []
        self.stages: tuple[Stage, ...] = ()
        self.stage = -1
        self.current = BEFORE_ALL.moment
        self._awaits = awaits
        self._out: list[Message] = []
        self._arrange()

    def listen(self, channel: Channel) -> None:
        """After a restart: listens again to a channel that a command once added."""
        self.channels[channel.partition] = channel
        self.guests.add(channel.partition)
        self._arrange()

    def postpone(self, partition: Partition) -> None:
        """After a restart: does without a channel until it has caught up."""
        self.joining[partition] = self.channels.pop(partition)
        self._arrange()

    def advance(self, *, lazily: bool = False) -> list[Message]:
        """Handles all that can be handled; returns what is to be sent, in order.

        Args:
            lazily: say nothing yet of moments without events where nobody can be waiting for that.
        """
        while self._step() or self._let_go():
            pass
        if not (lazily and self._is_idle()):
            for output in self.outputs.values():
                self._out += output.tell()
        out, self._out = self._out, []
        return out

    def _is_idle(self) -> bool:
        """Whether no order works, as both ends of the feedback know: then neither waits."""
        may_report = self._reports or self._awaits
        return may_report is not None and not may_report(self.core)

    def give_up(self) -> bool:
        """Stops waiting for the channels that block, until they have caught up.

        Returns:
            Whether there were any.
        """
        for channel in self.blocked:
            channel.stalled = True
        given_up = bool(self.blocked)
        self.blocked = ()
        return given_up

    def repeat(self, upto: int) -> bool:
        """After a restart: makes sure that up to this moment the same is said as before.

        All that depended on arrival is in the snapshot already, so what was said after it was said
        without the commands that have come since.

        Returns:
            Whether that is news, which must be saved before anything is said.
        """
        if upto <= max(self.moment, self.repeats):
            return False
        self.repeats = upto
        return True

    def tell_time(self, now_ns: int) -> None:
        """Makes `now_ns` a moment: tells the core the time, and says what came of late events.

        Does nothing while there is a moment to wait for, or if it would tell nobody anything.
        """
        if self.stage >= 0 or now_ns <= max(self.moment, self.repeats):
            return
        self._catch_up()
        commands = any(channel.head for channel in self._commands)
        owing = any(output.pending for output in self.outputs.values())
        listens = TimeAdvanced in self._hearers
        if any(c.head for c in self._synchronised) or not (commands or owing or listens):
            return
        self.unordered = True
        self._begin(now_ns)
        self._obey()
        self._say_the_time()
        self._close(1)
        self._finish()

    @property
    def stalled(self) -> bool:
        """Whether an input is missing that is not waited for any more."""
        return any(c.stalled for c in self._synchronised)

    @property
    def waiting(self) -> int:
        """How many records wait to be handled."""
        return sum(len(channel) for channel in self.channels.values())

    def _step(self) -> bool:
        """Does the next thing; False if it has to wait."""
        if self.stage < 0 and not self._begin_next():
            return False
        stage = self.stages[self.stage]
        upto = Group(self.current, stage.phase)
        if self._waits_for(stage):
            missing = tuple(c for c in stage.channels if c.seen < upto)
            self.blocked = tuple(c for c in missing if not c.stalled)
            if self.blocked:
                return False
            if missing:
                # Whether a silent input's events still come in time is a matter of arrival.
                self.unordered = True
        self.blocked = ()
        self._handle_all(self._gather(stage.channels, upto))
        if self.stage == 0 and any(c.stalled for c in stage.channels):
            self._say_the_time()
        self._end_stage(stage)
        return True

    def _waits_for(self, stage: Stage) -> bool:
        if not stage.feedback:
            return True
        if stage.phase == 0:
            # What this moment has decided so far cannot have been reported on yet.
            return self.awaiting
        return self._awaits is not None and self._awaits(self.core)

    def _gather(self, channels: Sequence[Channel], upto: Group) -> list[Entry]:
        if len(channels) == 1:
            entries = channels[0].take(upto)
        else:
            entries = [entry for channel in channels for entry in channel.take(upto)]
        if len(entries) > 1:
            entries.sort(key=_key)
        return entries

    def _arrange(self) -> None:
        """Sorts the channels by what is done with them; a moment goes on where it was."""
        channels = tuple(self.channels.values())
        place = self.stages[self.stage].place if self.stage >= 0 else None
        self.stages = stages_of(channels, [output.topic for output in self.outputs.values()])
        if place is not None:
            self.stage = next(n for n, stage in enumerate(self.stages) if stage.place >= place)
        self._synchronised = [c for c in channels if c.topic.synchronised]
        self._waited = [c for c in self._synchronised if not c.topic.feedback]
        self._commands = [c for c in channels if not c.topic.synchronised]

    def _admit(self) -> None:
        """Waits from now on for deployments that have caught up; what they said before is void."""
        for partition, channel in tuple(self.joining.items()):
            channel.take(Group(self.moment, 1))
            if channel.seen.moment >= self.moment >= self.repeats:
                self.channels[partition] = self.joining.pop(partition)
                self.unordered = True
                self._arrange()

    def _begin_next(self) -> bool:
        """Finds the next moment; passes over those in which nothing happened."""
        self.blocked = ()
        if self.joining:
            self._admit()
        first, late, stalled = self._look()
        if late:
            self._catch_up()
            first, _, stalled = self._look()
        if first is None or stalled or not self._is_complete(first):
            self._pass_quiet(first)
            if stalled:
                self._recover()
            if first is None:
                return False
            self.blocked = tuple(
                c for c in self.stages[0].channels if c.seen.moment < first and not c.stalled
            )
            if self.blocked:
                return False
        if not any(c.head and c.head.group.moment == first for c in self.stages[0].channels):
            # What is handled first led to nothing here, so nothing says that this comes in time.
            self.unordered = True
        self._begin(first)
        self._obey()
        return True

    def _look(self) -> tuple[int | None, bool, bool]:
        """The first moment with an event, whether there are late events, and silent inputs."""
        now, first, late, stalled = self.moment, None, False, False
        for channel in self._synchronised:
            stalled = stalled or channel.stalled
            head = channel.head
            if head is not None:
                moment = head.group.moment
                # A late group that is not complete yet has nothing behind it.
                if moment <= now:
                    late = True
                elif first is None or moment < first:
                    first = moment
        return first, late, stalled

    def _is_complete(self, moment: int) -> bool:
        """Whether what is handled first is there."""
        return all(channel.seen.moment >= moment for channel in self.stages[0].channels)

    def _pass_quiet(self, first: int | None) -> None:
        """Goes as far as nothing happens, at most to just before `first`."""
        complete = min((c.seen.moment for c in self._waited if not c.stalled), default=self.moment)
        quiet = complete if first is None else min(complete, first - 1)
        if quiet > self.moment:
            if any(c.stalled and c.seen.moment < quiet for c in self._waited):
                self.unordered = True
            self._begin(quiet)
            self._close(1)
            self._finish()

    def _recover(self) -> None:
        """Waits again for inputs that have caught up."""
        for channel in self._synchronised:
            if channel.stalled and channel.seen.moment >= self.moment:
                channel.stalled = False
                # Who starts again must wait for it from the same moment on.
                self.unordered = True

    def _obey(self) -> None:
        if self.current <= self.repeats:
            return
        for channel in self._commands:
            for entry in channel.take_all():
                self.unordered = True
                if isinstance(entry.event, AddDeployment | RemoveDeployment):
                    self._deploy(entry.event)
                else:
                    self._handle_entry(entry)

    def _let_go(self) -> bool:
        """While something is waited for: who is removed is not waited for any more."""
        if max(self.moment, self.current) <= self.repeats:
            return False
        removals = [e for channel in self._commands for e in channel.take_kind(RemoveDeployment)]
        for entry in removals:
            if isinstance(entry.event, RemoveDeployment):
                self.unordered = True
                self._deploy(entry.event)
        return bool(removals)

    def _deploy(self, command: AddDeployment | RemoveDeployment) -> None:
        for channel in self._opener(command.scope) if self._opener else ():
            self.rearranged = True
            partition = channel.partition
            if isinstance(command, AddDeployment):
                if partition not in self.channels and partition not in self.joining:
                    self.guests.add(partition)
                    self.joining[partition] = channel
                continue
            self.guests.discard(partition)
            self.joining.pop(partition, None)
            leaving = self.channels.pop(partition, None)
            if leaving is not None:
                self._arrange()
                self._handle_all(leaving.take(leaving.seen))

    def _catch_up(self) -> None:
        """Handles what came too late for its own moment; its outputs go with the next group."""
        upto = Group(self.moment, 1)
        for number, stage in enumerate(self.stages):
            entries = self._gather(stage.channels, upto)
            if entries:
                self.unordered = True
                self._handle_all(entries)
                if number == 0:
                    self._say_the_time()

    def _handle_all(self, entries: Sequence[Entry]) -> None:
        if entries and entries[0].group.moment < self.current:
            self.unordered = True
        for entry in entries:
            self._handle_entry(entry)
        # Before anything else, so that nothing is inside when a snapshot is taken.
        for event, trace in self._inside.take():
            self._handle(event, trace)

    def _say_the_time(self) -> None:
        """Where no input says it in time: else old events would pass for fresh ones."""
        if TimeAdvanced in self._hearers:
            self._handle(TimeAdvanced(time_ns=self.current, issuer="runtime"), b"")

    def _handle_entry(self, entry: Entry) -> None:
        if entry.event is not None:
            self._handle(entry.event, entry.trace)

    def _begin(self, moment: int) -> None:
        if any(output.pending for output in self.outputs.values()):
            # Of late events: which group they go with depended on when those arrived.
            self.unordered = True
        self.current = moment
        self.stage = 0
        self.awaiting = self._awaits is not None and self._awaits(self.core)

    def _end_stage(self, stage: Stage) -> None:
        if stage.closes is not None and (stage.closes or self._owes_early()):
            self._close(stage.closes)
        self.stage += 1
        if self.stage == len(self.stages):
            self._finish()

    def _owes_early(self) -> bool:
        """Whether anybody may wait for what the first phase led to, or that it led to nothing."""
        return (
            self._reports is None
            or self._reports(self.core)
            or any(output.pending for output in self.outputs.values())
        )

    def _finish(self) -> None:
        self.moment = self.current
        self.stage = -1

    def _close(self, phase: int) -> None:
        group = Group(self.current, phase)
        for output in self.outputs.values():
            self._out += output.close(group)

    def _handle(self, event: Event, trace: bytes) -> None:
        for hear in self._hearers.get(type(event), ()):
            self.handled += 1
            if self.spans is None:
                self._run(hear, event, trace)
            else:
                with self.spans(event, trace) as within:
                    self._run(hear, event, within)

    def _run(self, handler: Handler, event: Event, trace: bytes) -> None:
        try:
            outputs = handler(event)
        except InvalidDataError as error:
            self.refused.append((event, str(error)))
            return
        for caused in outputs:
            topic = TOPIC_OF.get(type(caused))
            output = self.outputs.get(topic.name) if topic is not None else None
            if output is not None:
                output.pending.append((caused, trace))
            if not self._inside.keep(caused, trace) and output is None:
                raise InvariantError(
                    f"{type(caused).__name__}: expected an event of "
                    f"{', '.join(self.outputs) or 'no topic'}"
                )
            self.caused.append(caused)
