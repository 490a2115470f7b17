"""Metrics: named by Prometheus' conventions, declared once, bound once."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from goalkick.common.core.errors import InvariantError
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics, new_registry

UNITS = (
    "seconds",
    "bytes",
    "events",
    "info",
    "assigned",
    "stale",
    "unknown",
    "cash",
    "currencies",
    "well",
    "ready",
    "bps",
    "ratio",
    "positions",
    "halts",
)


@pytest.mark.parametrize("metric", names.METRICS, ids=lambda metric: metric.name)
def test_a_name_follows_the_conventions(metric: names.Metric) -> None:
    assert re.fullmatch(r"goalkick(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == isinstance(metric, names.CounterMetric)
    if not isinstance(metric, names.CounterMetric):
        assert metric.name.endswith(UNITS)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert names.SERVICE not in metric.labels


@pytest.mark.parametrize(
    "metric",
    [metric for metric in names.METRICS if isinstance(metric, names.HistogramMetric)],
    ids=lambda metric: metric.name,
)
def test_buckets_rise(metric: names.HistogramMetric) -> None:
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_declared_metric_is_registered_once_and_no_other() -> None:
    declared = [value for value in vars(names).values() if isinstance(value, names.Metric)]
    assert sorted(m.name for m in declared) == sorted(m.name for m in names.METRICS)
    registry = CollectorRegistry()
    Metrics(registry, "risk")
    found = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
    }
    assert found == {metric.name for metric in names.METRICS}
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry, "risk")


def test_what_is_counted_is_read_with_its_labels() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, "risk")
    metrics.counter(names.EVENTS_CONSUMED, topic="t").inc(3)
    metrics.gauge(names.TASKS_ASSIGNED).set(2)
    metrics.histogram(names.HANDLE_SECONDS).observe(0.002)
    text = generate_latest(registry).decode()
    assert 'goalkick_events_consumed_total{service="risk",topic="t"} 3.0' in text
    assert 'goalkick_tasks_assigned{service="risk"} 2.0' in text
    assert 'goalkick_handle_seconds_bucket{le="0.003",service="risk"} 1.0' in text
    assert 'goalkick_handle_seconds_bucket{le="0.001",service="risk"} 0.0' in text


def test_the_same_labels_give_the_same_child() -> None:
    metrics = Metrics(CollectorRegistry(), "risk")
    one = metrics.counter(names.REFUSALS, code="stale")
    assert one is metrics.counter(names.REFUSALS, code="stale")
    assert one is not metrics.counter(names.REFUSALS, code="expired")


def test_services_of_one_process_share_the_families() -> None:
    registry = CollectorRegistry()
    risk = Metrics(registry, "risk")
    risk.for_service("execution").counter(names.REBALANCES).inc()
    risk.counter(names.REBALANCES).inc(2)
    values = {
        sample.labels["service"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "goalkick_rebalances_total"
    }
    assert values == {"risk": 2.0, "execution": 1.0}


@pytest.mark.parametrize("labels", [{}, {"topic": "t"}, {"topic": "t", "reason": "r", "x": "y"}])
def test_labels_other_than_the_declared_ones_are_refused(labels: dict[str, str]) -> None:
    metrics = Metrics(CollectorRegistry(), "risk")
    with pytest.raises(InvariantError, match=r"expected labels \['reason', 'topic'\]"):
        metrics.counter(names.EVENTS_DEAD_LETTERED, **labels)


def test_a_new_registry_tells_of_the_process() -> None:
    text = generate_latest(new_registry()).decode()
    assert "python_info" in text
    assert "python_gc_objects_collected_total" in text
