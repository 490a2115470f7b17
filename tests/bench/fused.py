"""Feature, prediction and strategy as one service beside the same three, over the same Kafka.

Latency is the time from a bar's record until the signal that it led to stands in the log, and until
the intent of the order does. The ratio of the forms within a run says what the form is worth.
"""

from collections.abc import Iterable
from typing import Any

import uvloop

from tests.bench.figures import Figure
from tests.bench.on_kafka import BUSY, Run, _drive, _quantile, _services
from tests.kafka.broker import Broker, BrokerMissingError, start_broker

RATE = 50
"""Bars a second. At the rate of the other benches three services, prediction among them, with risk,
execution and the broker fill two cores: what is measured then is the queue and not the way."""

FORMS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "three services": (("feature", "prediction", "strategy"), {}),
    "fused": (("fused",), {}),
    "fused, silent": (("fused",), {"publish": False}),
}
"""What runs before risk and execution, and the section `fused`; the first is what the others are
held against. Silent: features and forecasts are not said on their topics."""


def fused(short: bool) -> Iterable[Figure]:
    """From a bar to its signal and its order, in each form."""
    try:
        broker = start_broker()
    except BrokerMissingError as error:
        yield Figure("Kafka", "not measured", str(error))
        return
    try:
        runs = {form: _run(broker, form, (10 if short else 40) * RATE) for form in FORMS}
    finally:
        broker.stop()
    first, *others = FORMS
    for form in others:
        yield from _compared(form, runs[form], first, runs[first])


BENCHES = (fused,)


def _run(broker: Broker, form: str, rows: int) -> Run:
    flow, section = FORMS[form]
    services = (*flow, "risk", "execution")
    with _services(broker, BUSY, services, runtime={"forecasts": True}, fused=section) as platform:
        return uvloop.run(_drive(platform, rows, RATE, signals=True))


def _compared(form: str, run: Run, beside: str, other: Run) -> Iterable[Figure]:
    found, known = len(run.orders), len(other.orders)
    wrong = "" if found == known else f"expected {known} orders, found {found}"
    for what, own, theirs in (
        ("signal", run.signals, other.signals),
        ("order", run.orders, other.orders),
    ):
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            ours, held = _quantile(own, share), _quantile(theirs, share)
            yield Figure(
                f"bar to {what}, {form}, {RATE} bars/s, {label}",
                f"{ours * 1000:.2f} ms",
                f"{ours / held:.2f} x {beside} ({held * 1000:.2f} ms), {len(own):,} of them",
                wrong,
            )
