"""The figures of many trials, as a table and as JSON."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import reproduction
from tests.faults.scenario import FAULTS, HALT, POINTS, TOUCH
from tests.faults.trial import BOUND_S, Outcome


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trials.

    Attributes:
        on: what was killed: a `desk`, or the service on `kafka`.
        venue, seed, scenarios: what was played; one seed each, from `seed` on.
        seconds: all of it took.
        orders: ours that the venue had; each was approved once.
        fills: of those orders.
        duplicates: orders that were executed twice, and trades that were booked and never were.
        lost: orders and fills that the desk did not know of at the end.
        differences: other deviations from the ledger.
        stuck: orders without an end in time, and cancels without effect.
        crashes: desks that ended by themselves.
        kills: how often, by point.
        faults: how often each struck, by name.
        not_struck: faults of the catalogue that concern a desk and did not strike.
        unknown_s: longest time that an order was UNKNOWN, seconds.
        settled_p50_s, settled_p99_s: from a kill until no order was in doubt, seconds; None
            without a kill. Faults that last meanwhile count in.
        wrong: how to repeat each trial that went wrong.
    """

    on: str
    venue: str
    seed: int
    scenarios: int
    seconds: float
    orders: int
    fills: int
    duplicates: int
    lost: int
    differences: int
    stuck: int
    crashes: int
    kills: dict[str, int]
    faults: dict[str, int]
    not_struck: list[str]
    unknown_s: float
    settled_p50_s: float | None
    settled_p99_s: float | None
    wrong: list[str]


def report_of(
    outcomes: Sequence[Outcome], venue: str, seed: int, seconds: float, on: str = "desk"
) -> Report:
    """The figures of trials that were played one after the other from a seed."""
    found = Counter(finding.fault for each in outcomes for finding in each.findings)
    kills: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for each in outcomes:
        kills += each.record.kills
        faults += each.record.faults
    settled = sorted(second for each in outcomes for second in each.record.settled_s)
    return Report(
        on=on,
        venue=venue,
        seed=seed,
        scenarios=len(outcomes),
        seconds=round(seconds, 1),
        orders=sum(each.orders for each in outcomes),
        fills=sum(each.fills for each in outcomes),
        duplicates=found["duplicate"],
        lost=found["lost"],
        differences=found["difference"] + found["venue"],
        stuck=found["stuck"] + found["forgotten"],
        crashes=found["crash"],
        kills={point: kills[point] for point in POINTS},
        faults={name: faults[name] for name in (*FAULTS, TOUCH, HALT) if faults[name]},
        not_struck=[name for name in FAULTS if not faults[name]],
        unknown_s=round(max((each.record.unknown_s for each in outcomes), default=0.0), 2),
        settled_p50_s=_quantile(settled, 0.5),
        settled_p99_s=_quantile(settled, 0.99),
        wrong=[reproduction(each) for each in outcomes if each.findings],
    )


def show(report: Report) -> None:
    """Prints the table."""
    table = Table("", "figure", title=f"{report.on}, {report.venue}, from seed {report.seed}")
    table.columns[1].justify = "right"
    rows: list[tuple[str, object]] = [
        ("scenarios", report.scenarios),
        ("orders at the venue", report.orders),
        ("fills", report.fills),
        ("orders or fills twice", report.duplicates),
        ("orders or fills lost", report.lost),
        ("unexplained differences", report.differences),
        (f"without an end within {BOUND_S:g} s", report.stuck),
        ("desks that crashed", report.crashes),
        ("longest time UNKNOWN, s", report.unknown_s),
        ("from kill to settled, p50, s", report.settled_p50_s),
        ("from kill to settled, p99, s", report.settled_p99_s),
        *((f"killed {point}", count) for point, count in report.kills.items()),
        ("faults that struck", sum(report.faults.values())),
        ("took, s", report.seconds),
    ]
    for name, figure in rows:
        table.add_row(name, f"{figure}")
    console = Console()
    console.print(table)
    console.print("struck: " + ", ".join(f"{k} {v}" for k, v in report.faults.items()))
    if report.not_struck:
        console.print("did not strike: " + ", ".join(report.not_struck))


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else None
