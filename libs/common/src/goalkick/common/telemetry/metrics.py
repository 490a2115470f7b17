"""Builds the declared metrics on a registry and hands out children with their labels bound.

Ask for a child once, when a service or a partition is set up, and keep it: `inc`, `set` and
`observe` on it cost a microsecond or two, a look-up by labels several times that. The hot path adds
up a batch first and reports it in one call.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from goalkick.common.core.errors import InvariantError
from goalkick.common.telemetry.names import (
    METRICS,
    SERVICE,
    CounterMetric,
    GaugeMetric,
    HistogramMetric,
    Metric,
)

_Family = Counter | Gauge | Histogram


def new_registry() -> CollectorRegistry:
    """A registry that already tells of the process: CPU, memory, files, collections of garbage.

    A registry of our own instead of the library's global one, so that two pipelines in a process
    (tests, sweeps) do not meet.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class Metrics:
    """The metrics of one service."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        """Registers every declared metric.

        Args:
            registry: where they are read from; each metric may be in it once. Further services of
                the process come from `for_service`.
            service: value of the label `service`.

        Raises:
            ValueError: the registry has these metrics already.
        """
        self._service = service
        self._families: dict[str, _Family] = {
            metric.name: _register(metric, registry) for metric in METRICS
        }

    def for_service(self, service: str) -> "Metrics":
        """The same metrics for another service in this process."""
        other = object.__new__(Metrics)
        other._service = service
        other._families = self._families
        return other

    def counter(self, metric: CounterMetric, **labels: str) -> Counter:
        """The counter with its labels bound; the same labels give the same counter.

        Raises:
            InvariantError: the labels are not those that were declared.
        """
        child = self._child(metric, labels)
        assert isinstance(child, Counter)  # noqa: S101 -- for the type checker
        return child

    def gauge(self, metric: GaugeMetric, **labels: str) -> Gauge:
        """The gauge with its labels bound; see `counter`."""
        child = self._child(metric, labels)
        assert isinstance(child, Gauge)  # noqa: S101 -- for the type checker
        return child

    def histogram(self, metric: HistogramMetric, **labels: str) -> Histogram:
        """The histogram with its labels bound; see `counter`."""
        child = self._child(metric, labels)
        assert isinstance(child, Histogram)  # noqa: S101 -- for the type checker
        return child

    def _child(self, metric: Metric, labels: dict[str, str]) -> _Family:
        if set(labels) != set(metric.labels):
            raise InvariantError(
                f"{metric.name}: expected labels {sorted(metric.labels)}, found {sorted(labels)}"
            )
        return self._families[metric.name].labels(**{SERVICE: self._service}, **labels)


def _register(metric: Metric, registry: CollectorRegistry) -> _Family:
    labels = (SERVICE, *metric.labels)
    if isinstance(metric, HistogramMetric):
        return Histogram(
            metric.name, metric.help, labels, buckets=metric.buckets, registry=registry
        )
    kind = Counter if isinstance(metric, CounterMetric) else Gauge
    return kind(metric.name, metric.help, labels, registry=registry)
