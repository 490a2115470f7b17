"""Names that an expression of PromQL uses, by a real parser, held against what we tell."""

import os
import shutil
from functools import cache

import promql_parser as promql

from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import new_registry

TARGET_LABELS = frozenset({"job", "instance", "namespace", "pod", "goalkick_deployment"})
"""What Prometheus adds to everything that deploy/k8s/platform/prometheus has it scrape."""

MISSING = (
    "the tests of alerts need promtool, which comes with Prometheus: put it on the path, or name "
    "it in PROMTOOL"
)


def promtool() -> str | None:
    """The program that tests rules; None: there is none."""
    return os.environ.get("PROMTOOL") or shutil.which("promtool")


@cache
def series() -> dict[str, frozenset[str]]:
    """Name of each series that a process tells -> its labels, those of the target included."""
    found = {"up": TARGET_LABELS}
    for metric in names.METRICS:
        labels = TARGET_LABELS | {names.SERVICE, *metric.labels}
        if isinstance(metric, names.HistogramMetric):
            found[f"{metric.name}_bucket"] = labels | {"le"}
            found |= {f"{metric.name}_{part}": labels for part in ("sum", "count")}
        else:
            found[metric.name] = labels
    for family in new_registry().collect():
        for sample in family.samples:
            found[sample.name] = TARGET_LABELS | sample.labels.keys()
    return found


def unknown_names(expression: str) -> list[str]:
    """What an expression uses and nobody tells: metrics, and labels of them.

    Raises:
        ValueError: it is no PromQL.
    """
    found: list[str] = []
    promql.walk(promql.parse(expression), pre_visit=lambda part: found.extend(_unknown(part)))
    return found


def labels_of(expression: str) -> frozenset[str]:
    """The labels that an expression's result may have."""
    return _labels(promql.parse(expression))


def _unknown(expr: promql.Expr) -> list[str]:
    """The same of one node alone."""
    if isinstance(expr, promql.VectorSelector):
        if expr.name not in series():
            return [f"metric {expr.name}"]
        return [
            f"label {matcher.name} of {expr.name}"
            for matcher in expr.matchers.matchers
            if matcher.name not in series()[expr.name]
        ]
    if isinstance(expr, promql.AggregateExpr) and expr.modifier:
        there = _labels(expr.expr)
        return [f"label {label}" for label in expr.modifier.labels if label not in there]
    if isinstance(expr, promql.BinaryExpr) and expr.modifier and expr.modifier.matching:
        there = _labels(expr.lhs) & _labels(expr.rhs)
        return [f"label {label}" for label in expr.modifier.matching.labels if label not in there]
    return []


def _labels(expr: promql.Expr) -> frozenset[str]:
    if isinstance(expr, promql.VectorSelector):
        return series().get(expr.name or "", frozenset())
    if isinstance(expr, promql.MatrixSelector):
        return _labels(expr.vector_selector)
    if isinstance(expr, promql.AggregateExpr):
        kept = frozenset(expr.modifier.labels) if expr.modifier else frozenset[str]()
        return kept & _labels(expr.expr)
    if isinstance(expr, promql.BinaryExpr):
        many = promql.VectorMatchCardinality.ManyToMany  # and, or, unless
        left = _labels(expr.lhs)
        both = expr.modifier is None or expr.modifier.card != many
        return left | _labels(expr.rhs) if both else left
    if isinstance(expr, promql.Call):
        gone = {"le"} if expr.func.name == "histogram_quantile" else frozenset[str]()
        return frozenset[str]().union(*(_labels(one) for one in expr.args)) - gone
    inner = getattr(expr, "expr", None)
    return _labels(inner) if isinstance(inner, promql.Expr) else frozenset()
