"""The in-memory bus: all cores in one process, run to completion, moment by moment.

Follows the order that `topics.py` states: within a moment the lowest rank first; within a rank by
key, and first in first out within a key. It never drops, delays or reorders anything else.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.core.machine import Core, Handler
from goalkick.common.events.base import Event
from goalkick.common.events.order import OrderApproved, OrderFilled
from goalkick.common.topics import TOPIC_OF, TOPICS

HANDLING_ORDER = ("execution", "risk", "feature", "prediction", "strategy")
"""Who hears an event first: the book is brought up to date before anybody decides on it."""

_IN_TURN = frozenset({TOPIC_OF[OrderApproved].rank, TOPIC_OF[OrderFilled].rank})
"""Ranks of decisions and reports: each decision's reports come before the next decision."""

Sink = Callable[[Event], object]
"""Sees events go by; its result is ignored, its errors are not."""

_Hear = Callable[[Any], None]
"""Hands an event to everybody who hears its type, and queues what they answer."""

_Emitters = dict[type[Event], Callable[[Event], None]]
"""Type of an output -> what takes it."""

_Answering = tuple[Handler, _Emitters, str]
"""A core's handler, where its outputs go, and the name of its service."""


class MemoryBus:
    """Carries events between cores; single-threaded, deterministic.

    Attributes:
        refused: how many times a core could not use an event; it then said nothing to it.
        refusal: why, the last time; "" before the first.
    """

    def __init__(
        self,
        cores: Mapping[str, Core],
        sinks: Iterable[tuple[type[Event], Sink]] = (),
    ) -> None:
        """Builds the dispatch table.

        Args:
            cores: by name of the service.
            sinks: (event type, sink): each event of exactly that type goes to the sink, once,
                before any core handles it. A type without sink costs nothing.

        Raises:
            InvariantError: a core handles a type that its service does not consume.
        """
        self.refused = 0
        self.refusal = ""
        self._cores = dict(cores)
        self._check_consumers()
        self._moment_ns = -(2**63)
        self._waiting: list[Event] = []
        ranks = sorted({topic.rank for topic in TOPICS})
        queues: dict[int, deque[Event]] = {rank: deque() for rank in ranks}
        self._queues = tuple((queue, rank in _IN_TURN) for rank, queue in queues.items())
        self._queue_of = {kind: queues[topic.rank] for kind, topic in TOPIC_OF.items()}
        self._sinks = seen_by = dict[type[Event], tuple[Sink, ...]]()
        for kind, sink in sinks:
            seen_by[kind] = (*seen_by.get(kind, ()), sink)
        emitters: dict[str, _Emitters] = {name: {} for name in self._cores}
        self._hearing: dict[type[Event], _Hear] = {}
        for kind in TOPIC_OF:
            answering = tuple(
                (self._cores[name].handlers[kind], emitters[name], name)
                for name in HANDLING_ORDER
                if name in self._cores and kind in self._cores[name].handlers
            )
            if answering or kind in seen_by:
                self._hearing[kind] = self._hearer(seen_by.get(kind, ()), answering)

    @property
    def moment_ns(self) -> int:
        """Time of the last moment that was fed; the smallest int64 before the first."""
        return self._moment_ns

    def feed(self, step: Sequence[Event]) -> None:
        """Handles one moment and everything that it causes.

        Args:
            step: market and control events of one `time_ns`, in order of instrument.

        Raises:
            InvariantError: the step lies before the last one, or an event is not of this moment.
        """
        moment_ns = step[0].time_ns
        if moment_ns < self._moment_ns:
            raise InvariantError(
                f"bus: expected a moment at or after {self._moment_ns}, found {moment_ns}"
            )
        self._moment_ns = moment_ns
        hearing = self._hearing
        for event in step:
            if event.time_ns != moment_ns:
                raise self._wrong_moment("the feed", event)
            hear = hearing.get(type(event))
            if hear is not None:
                hear(event)
        # What the moment's events caused, until nothing is left. Mostly one thing leads to one
        # other: that needs no order.
        waiting = self._waiting
        while waiting:
            if len(waiting) == 1:
                event = waiting.pop()
                hearing[type(event)](event)
            else:
                self._handle_in_order()

    def tell(self, name: str, outputs: Iterable[Event]) -> None:
        """Handles what a core says of itself between two moments, and everything it causes.

        Args:
            name: whose core it is.
            outputs: of the last moment, for nothing later is known yet.

        Raises:
            InvariantError: an event is not of that moment, or not the service's to say.
        """
        for output in outputs:
            if output.time_ns != self._moment_ns:
                raise self._wrong_moment(name, output)
            self._emitter(name, type(output))(output)
        self._handle_in_order()

    def watch(self, tape: Iterable[Event]) -> None:
        """Shows sinks what has no moment: trades, quotes and books beside the steps."""
        sinks = self._sinks
        for event in tape:
            for sink in sinks.get(type(event), ()):
                sink(event)

    def snapshot(self) -> dict[str, bytes]:
        """The snapshots of all cores, by name of the service."""
        return {name: core.snapshot() for name, core in self._cores.items()}

    def restore(self, snapshots: Mapping[str, bytes], moment_ns: int) -> None:
        """Takes over the snapshots that were made after `moment_ns`.

        Raises:
            InvalidDataError: a core cannot use its snapshot.
            KeyError: a core has no snapshot.
        """
        for name, core in self._cores.items():
            core.restore(snapshots[name])
        self._moment_ns = moment_ns

    def _handle_in_order(self) -> None:
        """Handles what waits, and all that it leads to, in the order of `topics.py`."""
        hearing, waiting, queue_of = self._hearing, self._waiting, self._queue_of
        while True:
            for event in waiting:
                queue_of[type(event)].append(event)
            waiting.clear()
            for queue, in_turn in self._queues:
                if not queue:
                    continue
                # Nothing handled at a rank that is not in turn adds to it or to a lower one.
                if in_turn or len(queue) == 1:
                    while queue and not waiting:
                        event = queue.popleft()
                        hearing[type(event)](event)
                else:
                    together = sorted(queue, key=_key)
                    queue.clear()
                    for event in together:
                        hearing[type(event)](event)
                if waiting:
                    # What it led to may stand at a lower rank: once more from the lowest.
                    break
            else:
                return

    def _hearer(self, sinks: Sequence[Sink], answering: Sequence[_Answering]) -> _Hear:
        """What happens to an event of one type.

        A closure for each type, and all in one function, because this runs several times for each
        bar: what is known beforehand is not looked up again. Each has a copy of the code, for
        CPython adapts code to the types that it meets.
        """
        if len(answering) == 1 and not sinks:
            return self._sole_hearer(answering[0])

        def hear(event: Event) -> None:
            for sink in sinks:
                sink(event)
            for handler, emitters, name in answering:
                try:
                    outputs = handler(event)
                except InvalidDataError as error:
                    self._refuse(error)
                    continue
                if not outputs:
                    continue
                moment_ns = event.time_ns
                for output in outputs:
                    if output.time_ns != moment_ns:
                        raise self._wrong_moment(name, output)
                    try:
                        emit = emitters[type(output)]
                    except KeyError:
                        emit = emitters[type(output)] = self._emitter(name, type(output))
                    emit(output)

        return FunctionType(hear.__code__.replace(), globals(), closure=hear.__closure__)

    def _sole_hearer(self, answering: _Answering) -> _Hear:
        """The same where one core listens and nobody looks on: mostly so."""
        handler, emitters, name = answering

        def hear(event: Event) -> None:
            try:
                outputs = handler(event)
            except InvalidDataError as error:
                self._refuse(error)
                return
            if outputs:
                moment_ns = event.time_ns
                for output in outputs:
                    if output.time_ns != moment_ns:
                        raise self._wrong_moment(name, output)
                    try:
                        emit = emitters[type(output)]
                    except KeyError:
                        emit = emitters[type(output)] = self._emitter(name, type(output))
                    emit(output)

        return FunctionType(hear.__code__.replace(), globals(), closure=hear.__closure__)

    def _emitter(self, name: str, kind: type[Event]) -> Callable[[Event], None]:
        """Where a service's output of one type goes; checked against the table of topics."""
        topic = TOPIC_OF.get(kind)
        if topic is None or topic.producer != name:
            expected = "no topic at all" if topic is None else f"{topic.producer} to produce it"
            raise InvariantError(f"bus: {kind.__name__} from {name}: expected {expected}")
        if kind not in self._hearing:
            return _nowhere
        return self._waiting.append

    def _refuse(self, error: InvalidDataError) -> None:
        self.refused += 1
        self.refusal = str(error)

    def _check_consumers(self) -> None:
        for name, core in self._cores.items():
            for kind in core.handlers:
                topic = TOPIC_OF.get(kind)
                if topic is None or name not in topic.consumers:
                    raise InvariantError(
                        f"bus: {name} handles {kind.__name__}, but topics.py does not say so"
                    )

    def _wrong_moment(self, source: str, event: Event) -> InvariantError:
        return InvariantError(
            f"bus: {type(event).__name__} from {source}: expected time {self._moment_ns}, "
            f"found {event.time_ns}"
        )


def _key(event: Event) -> str:
    return event.key


def _nowhere(event: Event) -> None:
    """Nobody listens."""
