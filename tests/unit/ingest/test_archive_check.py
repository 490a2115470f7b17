"""A check of data names what is wrong, where, and nothing that is right."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goalkick.ingest.archive.check import check_paths, places
from goalkick.ingest.archive.findings import Finding, Report
from goalkick.ingest.archive.importing import import_file

START_MS = 1_704_067_200_000
Rows = list[list[float]]
TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)


def walk(count: int = 400) -> Rows:
    """A quiet random walk of one-minute bars."""
    random = np.random.default_rng(5)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.001, count)))
    rows: Rows = []
    before = 100.0
    for number, price in enumerate(np.round(close, 4).tolist()):
        high, low = max(before, price) + 0.01, min(before, price) - 0.01
        rows.append([START_MS + number * 60_000, before, high, low, price, 5_000.0 + number])
        before = price
    return rows


def write(folder: Path, rows: Rows, name: str = "binance_spot_BTCUSDT_1m.csv") -> Path:
    lines = [",".join([str(int(row[0])), *(repr(round(v, 6)) for v in row[1:])]) for row in rows]
    file = folder / name
    file.write_text("\n".join(["time,open,high,low,close,volume", *lines]) + "\n")
    return file


def spoil(change: Callable[[Rows], object]) -> Rows:
    rows = walk()
    change(rows)
    return rows


def found(report: Report, check: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.check == check]


def test_a_clean_file_has_no_finding(tmp_path: Path) -> None:
    (report,) = check_paths([write(tmp_path, walk())])
    assert (report.findings, report.rows, report.interval_ns) == ((), 400, 60 * 10**9)
    assert (report.start, report.end) == ("2024-01-01T00:00:00Z", "2024-01-01T06:40:00Z")


def times_in_seconds(rows: Rows) -> None:
    for row in rows[200:]:
        row[TIME] //= 1000


def swap(first: int, second: int) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows:
            row[first], row[second] = row[second], row[first]

    return change


def scale(factor: float) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows[100:103]:
            row[OPEN:VOLUME] = [value * factor for value in row[OPEN:VOLUME]]

    return change


def wild(rows: Rows) -> None:
    rows[50][CLOSE] *= 0.7
    rows[50][LOW] = rows[50][CLOSE]


def silent(rows: Rows) -> None:
    for row in rows[10:24]:
        row[VOLUME] = 0


CASES: list[tuple[Callable[[Rows], object], str, str, int, str]] = [
    (lambda rows: rows.__delitem__(slice(20, 36)), "gaps", "warning", 16, "16 bars missing in 1"),
    (lambda rows: rows.insert(9, rows[8]), "duplicates", "error", 1, "each time once"),
    (lambda rows: rows.insert(0, rows.pop()), "order", "error", 1, "an earlier one in row 2"),
    (lambda rows: rows.reverse(), "order", "note", 400, "newest first"),
    (lambda rows: rows[7].__setitem__(TIME, START_MS + 7 * 60_000 + 500), "grid", "error", 1, "1m"),
    (times_in_seconds, "units", "error", 200, "found seconds and milliseconds"),
    (scale(100), "units", "error", 3, r"times 10\^2"),
    (scale(0.001), "units", "error", 3, r"times 10\^-3"),
    (swap(HIGH, LOW), "columns", "error", 400, "high lies below low"),
    (swap(OPEN, CLOSE), "columns", "error", 400, "open and close look swapped"),
    (lambda rows: [row.__setitem__(VOLUME, row[CLOSE]) for row in rows], "columns", "error", 400,
     "looks like a price"),
    (lambda rows: rows[5].__setitem__(HIGH, 1.0), "columns", "error", 1, "found it below"),
    (lambda rows: rows[5].__setitem__(CLOSE, 101.5), "columns", "error", 1, "found them outside"),
    (lambda rows: rows[5].__setitem__(LOW, -1.0), "prices", "error", 1, "zero or less"),
    (lambda rows: rows[5].__setitem__(VOLUME, -1.0), "volume", "error", 1, "found less"),
    (lambda rows: rows[5].__setitem__(CLOSE, float("nan")), "cells", "error", 1, "row 6"),
    (silent, "zero volume", "warning", 14, "14 bars without volume in 1 runs"),
    (wild, "outliers", "warning", 1, "2024-01-01T00:50:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "check", "severity", "count", "text"), CASES)
def test_names_what_is_wrong(
    tmp_path: Path,
    change: Callable[[Rows], object],
    check: str,
    severity: str,
    count: int,
    text: str,
) -> None:
    import re

    (report,) = check_paths([write(tmp_path, spoil(change))])
    hits = [one for one in found(report, check) if re.search(text, one.text)]
    assert [(one.severity, one.count) for one in hits] == [(severity, count)]
    assert report.wrong == any(one.severity == "error" for one in report.findings)


def test_a_crash_that_stays_is_no_outlier(tmp_path: Path) -> None:
    rows = walk()
    for number, row in enumerate(rows[100:]):
        row[OPEN:VOLUME] = [value * 0.7 for value in row[OPEN:VOLUME]]
        if not number:
            row[OPEN], row[HIGH] = rows[99][CLOSE], rows[99][CLOSE]
    (report,) = check_paths([write(tmp_path, rows)])
    assert report.findings == ()


def test_longer_bars_are_compared_with_the_sum_of_shorter_ones(tmp_path: Path) -> None:
    rows = walk()
    five = [
        [part[0][TIME], part[0][OPEN], max(r[HIGH] for r in part), min(r[LOW] for r in part),
         part[-1][CLOSE], sum(r[VOLUME] for r in part)]
        for part in (rows[n : n + 5] for n in range(0, 400, 5))
    ]  # fmt: skip
    files = [write(tmp_path, rows), write(tmp_path, five, "binance_spot_BTCUSDT_5m.csv")]
    _, report = check_paths(files)
    assert found(report, "agreement")[0].text.startswith("agrees with")
    five[7][CLOSE] += 0.001
    write(tmp_path, five, "binance_spot_BTCUSDT_5m.csv")
    _, report = check_paths(files)
    (finding,) = found(report, "agreement")
    assert (finding.severity, finding.count) == ("error", 1)
    assert finding.stretches[0].start == "2024-01-01T00:35:00Z"


def test_another_venue_may_differ_a_little(tmp_path: Path) -> None:
    other = [[row[0], *(value * 1.002 for value in row[1:])] for row in walk()]
    files = [write(tmp_path, walk()), write(tmp_path, other, "coinbase_spot_BTC-USD_1m.csv")]
    _, report = check_paths(files)
    assert [one.severity for one in report.findings] == ["note"]


def test_a_file_of_the_archive_that_was_changed_is_seen(tmp_path: Path) -> None:
    done = import_file(write(tmp_path, walk()), tmp_path / "data")
    assert not check_paths(places([tmp_path / "data"]))[0].findings
    (file,) = done.folder.rglob("*.parquet")
    other = import_file(write(tmp_path, walk()[:-1]), tmp_path / "other")
    file.write_bytes(next(other.folder.rglob("*.parquet")).read_bytes())
    (report,) = check_paths(places([tmp_path / "data"]))
    assert "another: it was changed" in found(report, "manifest")[0].text
    file.unlink()
    assert "found no such file" in str(check_paths([done.folder])[0].findings)


@pytest.mark.data
def test_the_recorded_candles_have_what_their_readme_says(recorded_data: Path) -> None:
    reports = {Path(r.path).name: r for r in check_paths(places([recorded_data / "candles"]))}
    assert not any(report.wrong for report in reports.values())
    for name in ("BTC", "ETH"):
        report = reports[f"binance_spot_{name}USDT_5m_2023.csv.gz"]
        (gaps,), (silence,) = found(report, "gaps"), found(report, "zero volume")
        halt = [(one.start, one.end, one.count) for one in gaps.stretches]
        assert halt == [("2023-03-24T12:40:00Z", "2023-03-24T14:00:00Z", 16)]
        assert [one.count for one in silence.stretches] == [14]
    hourly = reports["binance_spot_BTCUSDT_1h_2017-2024.csv.gz"]
    (gaps,) = found(hourly, "gaps")
    assert (gaps.count, len(gaps.stretches)) == (128, 28)
    coinbase = reports["coinbase_spot_BTC-USD_4h_2016-2025.csv.gz"]
    (outlier,) = found(coinbase, "outliers")
    assert "found 5200 between" in outlier.text
    assert outlier.stretches[0].start == "2018-04-03T20:00:00Z"
    agreement = found(reports["binance_spot_BTCUSDT_5m_2023.csv.gz"], "agreement")
    assert "8,734 common bars of 1h" in agreement[0].text
    assert agreement[0].severity == "note"
    for coin in ("BTC", "ETH", "SOL", "XRP"):
        assert reports[f"binance_usdm_{coin}USDT_1m_2025-05.csv.gz"].findings == ()
