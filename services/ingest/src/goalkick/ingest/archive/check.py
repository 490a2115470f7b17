"""Looks through files and series, and says what is wrong with them. Changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import format_time
from goalkick.ingest.archive.agreement import compare
from goalkick.ingest.archive.candle_checks import ALL
from goalkick.ingest.archive.findings import Finding, Report, ordered, stretch
from goalkick.ingest.archive.layout import MANIFEST, Series, series_below, series_of
from goalkick.ingest.archive.manifest import Manifest
from goalkick.ingest.archive.raw import RawCandles, read_raw
from goalkick.ingest.archive.tables import sha256
from goalkick.ingest.exact import Integers

Tell = Callable[[int], None]


def places(paths: Sequence[Path]) -> list[Path]:
    """What there is to check: files as they are, folders as the series or files in them.

    Raises:
        InvalidDataError: a path does not exist, or a folder holds nothing.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise InvalidDataError(f"{path}: expected a file or folder, found nothing")
            found.append(path)
            continue
        below = series_below(path) or _candle_files(path)
        if not below:
            raise InvalidDataError(
                f"{path}: expected candle files or series of the archive, found none"
            )
        found += below
    return found


def check_paths(paths: Sequence[Path], tell: Tell = lambda _: None) -> list[Report]:
    """Checks each of `places`, then each two candle files of one instrument against each other."""
    reports: list[Report] = []
    candles: dict[int, RawCandles] = {}
    for number, path in enumerate(paths):
        series = series_of(path.absolute())
        if series is not None and series.kind != "candles":
            reports.append(_other_report(path, series))
        else:
            report, raw = _candle_report(path)
            if raw is not None:
                candles[number] = raw
            reports.append(report)
        tell(number + 1)
    numbers = {id(raw): number for number, raw in candles.items()}
    for second, finding in compare(list(candles.values())):
        number = numbers[id(second)]
        report = reports[number]
        reports[number] = _with(report, [*report.findings, finding])
    return reports


def _candle_report(path: Path) -> tuple[Report, RawCandles | None]:
    try:
        raw = read_raw(path)
    except InvalidDataError as error:
        unread = Finding(check="file", severity="error", count=1, text=str(error))
        disk = _disk(path) if path.is_dir() else ()
        return Report(path=str(path), findings=ordered([unread, *disk])), None
    findings = [finding for check in ALL for finding in check(raw)]
    findings += _disk(path) if path.is_dir() else ()
    times = raw.open_ns[~raw.no_time]
    report = Report(
        path=str(path),
        kind="candles",
        instrument=raw.instrument,
        interval_ns=raw.interval_ns,
        rows=len(raw.open_ns),
        start=format_time(int(times.min())) if len(times) else "",
        end=format_time(int(times.max()) + raw.interval_ns) if len(times) else "",
    )
    return _with(report, findings), raw


def _other_report(path: Path, series: Series) -> Report:
    """Trades and funding: month by month, a year of trades is more than memory holds."""
    files = sorted((path if path.is_dir() else path.parent).rglob("*.parquet"))
    findings = list(_disk(path)) if path.is_dir() else []
    rows, first_us, last_us = 0, None, None
    ids: list[tuple[int, int]] = []
    for file in files:
        table = pyarrow.parquet.read_table(file, partitioning=None)
        if not len(table):
            continue
        time_us = table["time"].cast(pa.int64()).to_numpy()
        rows += len(table)
        first_us = min(int(time_us.min()), first_us or 2**62)
        last_us = max(int(time_us.max()), last_us or 0)
        if series.kind == "trades":
            findings += _trade_findings(file, table["id"].to_numpy(), time_us)
            ids.append((int(table["id"][0].as_py()), int(table["id"][-1].as_py())))
    findings += _between(ids)
    report = Report(
        path=str(path),
        kind=series.kind,
        instrument=series.instrument,
        rows=rows,
        start="" if first_us is None else format_time(first_us * 1000),
        end="" if last_us is None else format_time(last_us * 1000),
    )
    return _with(report, findings)


def _trade_findings(file: Path, ids: Integers, time_us: Integers) -> Iterator[Finding]:
    steps = np.diff(ids)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 2
        yield Finding(
            check="order", severity="error", count=int((steps <= 0).sum()),
            text=f"{file.name}: expected rising trade ids, found another in row {row}",
        )  # fmt: skip
    holes = np.flatnonzero(steps > 1)
    if len(holes):
        missing = int((steps[holes] - 1).sum())
        yield Finding(
            check="gaps", severity="warning", count=missing,
            text=f"{file.name}: {missing:,} trades missing between their ids",
            stretches=tuple(
                stretch(int(time_us[row]) * 1000, int(time_us[row + 1]) * 1000,
                        int(steps[row]) - 1)
                for row in holes
            ),
        )  # fmt: skip


def _between(ids: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """Ids that are missing from one file to the next."""
    spans = sorted(ids)
    missing = sum(max(0, later[0] - earlier[1] - 1) for earlier, later in pairwise(spans))
    if missing:
        yield Finding(
            check="gaps", severity="warning", count=missing,
            text=f"{missing:,} trades missing between the ids of two files",
        )  # fmt: skip


def _disk(folder: Path) -> Iterator[Finding]:
    """Whether the files are those that the manifest tells of."""
    series = series_of(folder.absolute())
    if series is None or not (folder / MANIFEST).is_file():
        yield Finding(check="manifest", severity="note", count=1, text="no manifest")
        return
    try:
        manifest = Manifest.load(folder, series)
    except InvalidDataError as error:
        yield Finding(check="manifest", severity="error", count=1, text=str(error))
        return
    known = {part.file for part in manifest.parts}
    for part in manifest.parts:
        file = folder / part.file
        if not file.is_file():
            text = f"expected {part.file}, found no such file; download again"
            yield Finding(check="manifest", severity="error", count=1, text=text)
        elif sha256(file) != part.sha256:
            text = f"{part.file}: expected the hash in the manifest, found another: it was changed"
            yield Finding(check="manifest", severity="error", count=1, text=text)
    for file in sorted(folder.rglob("*.parquet")):
        if str(file.relative_to(folder)) not in known:
            text = f"{file.relative_to(folder)} is not in the manifest"
            yield Finding(check="manifest", severity="warning", count=1, text=text)


def _candle_files(folder: Path) -> list[Path]:
    endings = (".csv", ".parquet", ".feather", ".csv.gz", ".zip")
    return sorted(path for path in folder.iterdir() if path.name.endswith(endings))


def _with(report: Report, findings: Sequence[Finding]) -> Report:
    return msgspec.structs.replace(report, findings=ordered(list(findings)))
