"""What a check of data finds, in one form for people and machines."""

from typing import Literal

import msgspec

from goalkick.common.values.time import format_time

Severity = Literal["error", "warning", "note"]
"""An error makes results wrong or a reader refuse the file; a warning may be the market's own doing
and wants a person's eye; a note is good to know."""


class Stretch(msgspec.Struct, frozen=True):
    """Where something was found: [start, end) in ISO time, UTC, and how many rows it is."""

    start: str
    end: str
    count: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing that was found in one file or series.

    Attributes:
        check: its short name (`gaps`, `outliers`).
        severity: how bad it is.
        count: rows, bars or files that it is about.
        text: what was expected and what was found, in words.
        stretches: where, in order; all of them.
    """

    check: str
    severity: Severity
    count: int
    text: str
    stretches: tuple[Stretch, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one file or series.

    Attributes:
        path: as it was given, or the folder of the series.
        kind: candles, trades or funding; "" where it could not be read.
        instrument: whose.
        interval_ns: length of the bars; 0 where there are none.
        rows: how many there are.
        start: time of the first row, ISO in UTC; "" where there is none.
        end: end of the last bar, or time of the last row.
        findings: what was found, the worst first.
    """

    path: str
    kind: str = ""
    instrument: str = ""
    interval_ns: int = 0
    rows: int = 0
    start: str = ""
    end: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.severity == "error" for finding in self.findings)


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """The worst first, else as they were found."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda finding: rank[finding.severity]))


def stretch(start_ns: int, end_ns: int, count: int = 1) -> Stretch:
    """A stretch between two moments."""
    return Stretch(format_time(start_ns), format_time(end_ns), count)
