"""The in-memory bus: all cores in one process, run to completion, moment by moment.

Follows the order that `topics.py` states: within a moment the lowest rank first; within a rank by
key, and first in first out within a key. It never drops, delays or reorders anything else.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from goalkick.common.core.errors import InvariantError
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


class MemoryBus:
    """Carries events between cores; single-threaded, deterministic."""

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
        self._cores = dict(cores)
        self._queues: tuple[deque[Event], ...] = tuple(
            deque() for _ in range(1 + max(topic.rank for topic in TOPICS))
        )
        self._ranks = tuple((queue, rank in _IN_TURN) for rank, queue in enumerate(self._queues))
        self._moment_ns = -(2**63)
        seen_by: dict[type[Event], tuple[Sink, ...]] = {}
        for kind, sink in sinks:
            seen_by[kind] = (*seen_by.get(kind, ()), sink)
        emitters: dict[str, _Emitters] = {name: {} for name in self._cores}
        self._routes: dict[
            type[Event], tuple[tuple[Sink, ...], tuple[tuple[Handler, str, _Emitters], ...]]
        ] = {}
        for kind in TOPIC_OF:
            handling = tuple(
                (self._cores[name].handlers[kind], name, emitters[name])
                for name in HANDLING_ORDER
                if name in self._cores and kind in self._cores[name].handlers
            )
            if handling or kind in seen_by:
                self._routes[kind] = (seen_by.get(kind, ()), handling)
        self._check_consumers()

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
        routes = self._routes
        handle = self._handle
        for event in step:
            if event.time_ns != moment_ns:
                raise self._wrong_moment("the feed", event)
            route = routes.get(type(event))
            if route is not None:
                handle(event, route)
        self._finish_moment()

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

    def _finish_moment(self) -> None:
        """Handles what the moment's events caused, until nothing is left."""
        routes, handle = self._routes, self._handle
        while True:
            for queue, in_turn in self._ranks:
                if not queue:
                    continue
                if in_turn or len(queue) == 1:
                    event = queue.popleft()
                    handle(event, routes[type(event)])
                    if in_turn:
                        # What it led to may stand at a lower rank: once more from the lowest.
                        break
                else:
                    # Nothing handled at such a rank adds to it or to a lower one: it is whole.
                    together = sorted(queue, key=_key)
                    queue.clear()
                    for event in together:
                        handle(event, routes[type(event)])
            else:
                return

    def _handle(
        self,
        event: Event,
        route: tuple[tuple[Sink, ...], tuple[tuple[Handler, str, _Emitters], ...]],
    ) -> None:
        sinks, handling = route
        for sink in sinks:
            sink(event)
        for handler, name, emitters in handling:
            outputs = handler(event)
            if outputs:
                moment_ns = self._moment_ns
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
