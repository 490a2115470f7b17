"""The in-memory bus: all cores in one process, run to completion, moment by moment.

Follows the order that `topics.py` states: within a moment the lowest rank first; within a rank by
key, and first in first out within a key. It never drops, delays or reorders anything else.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

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

_Emitters = dict[type[Event], Callable[[Event], None]]
"""Type of an output -> what takes it."""

_Route = tuple[tuple[Sink, ...], tuple[tuple[Handler, _Emitters, str], ...]]
"""Who sees an event; who handles it, where their outputs go, and which service they are."""

_NOBODY: _Route = ((), ())


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
        self._queues: dict[int, deque[Event]] = {
            topic.rank: deque()
            for topic in sorted(TOPICS, key=lambda topic: topic.rank)
            if topic.producer in self._cores
        }
        self._ranks = tuple((queue, rank in _IN_TURN) for rank, queue in self._queues.items())
        seen_by: dict[type[Event], tuple[Sink, ...]] = {}
        for kind, sink in sinks:
            seen_by[kind] = (*seen_by.get(kind, ()), sink)
        emitters: dict[str, _Emitters] = {name: {} for name in self._cores}
        self._routes: dict[type[Event], _Route] = {}
        for kind in TOPIC_OF:
            answering = tuple(
                (self._cores[name].handlers[kind], emitters[name], name)
                for name in HANDLING_ORDER
                if name in self._cores and kind in self._cores[name].handlers
            )
            if answering or kind in seen_by:
                self._routes[kind] = (seen_by.get(kind, ()), answering)

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
        for event in step:
            if event.time_ns != moment_ns:
                raise self._wrong_moment("the feed", event)
        self._handle(step)
        ranks = self._ranks
        waiting = True
        while waiting:
            waiting = False
            for queue, in_turn in ranks:
                if not queue:
                    continue
                if in_turn:
                    self._handle((queue.popleft(),))
                    # What it led to may stand at a lower rank: once more from the lowest.
                    waiting = True
                    break
                # Nothing handled at such a rank adds to it or to a lower one: it is whole.
                together = sorted(queue, key=_key) if len(queue) > 1 else tuple(queue)
                queue.clear()
                self._handle(together)

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

    def _handle(self, events: Iterable[Event]) -> None:
        """Hands events to whom they concern, and queues what these answer.

        All of a bar's way goes through here, several times: nothing is called that need not be.
        """
        routes, moment_ns = self._routes, self._moment_ns
        for event in events:
            sinks, answering = routes.get(type(event), _NOBODY)
            for sink in sinks:
                sink(event)
            for handler, emitters, name in answering:
                try:
                    outputs = handler(event)
                except InvalidDataError as error:
                    self.refused += 1
                    self.refusal = str(error)
                    continue
                if not outputs:
                    continue
                for output in outputs:
                    if output.time_ns != moment_ns:
                        raise self._wrong_moment(name, output)
                    try:
                        emit = emitters[type(output)]
                    except KeyError:
                        emit = emitters[type(output)] = self._emitter(name, type(output))
                    emit(output)

    def _emitter(self, name: str, kind: type[Event]) -> Callable[[Event], None]:
        """Where a service's output of one type goes; checked against the table of topics."""
        topic = TOPIC_OF.get(kind)
        if topic is None or topic.producer != name:
            expected = "no topic at all" if topic is None else f"{topic.producer} to produce it"
            raise InvariantError(f"bus: {kind.__name__} from {name}: expected {expected}")
        if kind not in self._routes:
            return _nowhere
        return self._queues[topic.rank].append

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
