"""What a service counts about itself, bound to its labels once."""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from prometheus_client import Counter

from goalkick.common.events.base import Event
from goalkick.common.events.market import FeedRecovered, FeedStale
from goalkick.common.events.order import (
    ExternalFillSeen,
    ExternalOrderSeen,
    Fill,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRefused,
    OrderRejected,
    OrderReport,
    OrderUnknown,
    OrderWorked,
)
from goalkick.common.ports.log import Message, Record
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.ids import EventId
from goalkick.common.values.time import NS_PER_SECOND

_OUTCOMES: dict[type[Event], str] = {
    OrderFilled: "filled",
    OrderCancelled: "cancelled",
    OrderExpired: "expired",
    OrderRejected: "rejected",
    OrderUnknown: "unknown",
}

_EXTERNAL: dict[type[Event], str] = {ExternalOrderSeen: "order", ExternalFillSeen: "fill"}


class Meter:
    """Counts batches, not events: the hot path pays once for each."""

    def __init__(self, metrics: Metrics) -> None:
        """Binds what has no further labels."""
        self._metrics = metrics
        self._counters: dict[tuple[str, ...], Counter] = {}
        metrics.gauge(names.BUILD_INFO, version=version("goalkick-common")).set(1)
        self._handle_seconds = metrics.histogram(names.HANDLE_SECONDS)
        self._batch_events = metrics.histogram(names.BATCH_EVENTS)
        self._snapshot_seconds = metrics.histogram(names.SNAPSHOT_SECONDS)
        self._snapshot_bytes = metrics.gauge(names.SNAPSHOT_BYTES)
        self._tasks = metrics.gauge(names.TASKS_ASSIGNED)
        self._rebalances = metrics.counter(names.REBALANCES)
        self._stale: set[tuple[str, str]] = set()
        self._feed_stale = metrics.gauge(names.FEED_STALE)
        self._stalls = metrics.counter(names.STALLS)
        self._intended: dict[EventId, int] = {}

    @property
    def metrics(self) -> Metrics:
        """For what a service counts besides."""
        return self._metrics

    def consumed(self, records: Sequence[Record]) -> None:
        """A batch was read."""
        if records:
            self._batch_events.observe(len(records))
            for topic, count in Tally(record.partition.topic for record in records).items():
                self._counter(names.EVENTS_CONSUMED, topic=topic).inc(count)

    def handled(self, seconds: float) -> None:
        """A batch was handled, in so many seconds."""
        self._handle_seconds.observe(seconds)

    def produced(self, messages: Sequence[Message]) -> None:
        """A batch was written."""
        for topic, count in Tally(message.partition.topic for message in messages).items():
            self._counter(names.EVENTS_PRODUCED, topic=topic).inc(count)

    def caused(self, events: Iterable[Event]) -> None:
        """What the core said; refusals and ends of orders are counted by kind."""
        for event in events:
            if isinstance(event, OrderReport):
                self._reported(event)
            outcome = _OUTCOMES.get(type(event))
            if outcome is not None:
                self._counter(names.ORDERS, outcome=outcome).inc()
            elif (kind := _EXTERNAL.get(type(event))) is not None:
                self._counter(names.EXTERNAL, kind=kind).inc()
            elif isinstance(event, OrderRefused):
                self._counter(names.REFUSALS, code=event.code.value).inc()

    def _reported(self, report: OrderReport) -> None:
        """Times what the venue takes to answer, and counts what was traded at which cost."""
        if isinstance(report, OrderIntended):
            self._intended[report.order] = report.time_ns
            return
        since_ns = self._intended.pop(report.order, None)
        if since_ns is not None:
            seconds = (report.time_ns - since_ns) / NS_PER_SECOND
            self._metrics.histogram(names.ANSWER_SECONDS).observe(seconds)
        if isinstance(report, Fill):
            self._counter(names.FILLS).inc()
        elif isinstance(report, OrderWorked):
            histogram = self._metrics.histogram(names.SHORTFALL_BPS, algo=report.algo)
            histogram.observe(float(report.shortfall_bps))

    def fed(self, event: Event) -> None:
        """Ingest said something; counts the instruments whose feed is silent."""
        if isinstance(event, FeedStale):
            self._stale.add((event.instrument, event.stream))
        elif isinstance(event, FeedRecovered):
            self._stale.discard((event.instrument, event.stream))
        else:
            return
        self._feed_stale.set(len({instrument for instrument, _ in self._stale}))

    def repeated(self, topic: str, count: int) -> None:
        """So many records of a topic came again."""
        self._counter(names.EVENTS_DUPLICATE, topic=topic).inc(count)

    def dead_lettered(self, topic: str, reason: str) -> None:
        """A record was put aside; `reason` is one of a few words."""
        self._counter(names.EVENTS_DEAD_LETTERED, topic=topic, reason=reason).inc()

    def denied(self, resource: str, name: str) -> None:
        """Kafka denied us a thing; its name is in the log, its kind (topic, group) is counted."""
        self._counter(names.KAFKA_DENIED, resource=resource).inc()

    def lag(self, topic: str, behind_ns: int) -> None:
        """How far the last event of a topic lies behind the clock."""
        self._metrics.gauge(names.INPUT_LAG_SECONDS, topic=topic).set(behind_ns / NS_PER_SECOND)

    def saved(self, seconds: float, size: int) -> None:
        """Snapshots were saved: how long it took, how many bytes they have."""
        self._snapshot_seconds.observe(seconds)
        self._snapshot_bytes.set(size)

    def assigned(self, count: int) -> None:
        """Partitions were handed out; who has an order now hears what becomes of it."""
        self._intended.clear()
        self._tasks.set(count)
        self._rebalances.inc()

    def stalled(self, count: int) -> None:
        """So many inputs are not waited for any more."""
        self._stalls.inc(count)

    def _counter(self, metric: names.CounterMetric, **labels: str) -> Counter:
        """The child with these labels, looked up once: a look-up costs several times a count."""
        key = (metric.name, *labels.values())
        if key not in self._counters:
            self._counters[key] = self._metrics.counter(metric, **labels)
        return self._counters[key]
