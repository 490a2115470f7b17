"""`goalkick data check|import`: looks through data, and takes over files that others wrote."""

# ruff: noqa: PLC0415 (see the package's text)

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from goalkick.embedded.commands.grammar import EPILOG, FAILED, Command, UsageError
from goalkick.embedded.commands.options import Json, OnBadData
from goalkick.embedded.console import print_json, print_table, print_text, progress

if TYPE_CHECKING:
    from goalkick.ingest.archive.findings import Report

_SHOWN = 3
"""Stretches of a finding that people see; --json has all."""

app = typer.Typer(name="data", help="Check recorded data, or take over files that others wrote.")


@app.command(cls=Command, epilog=EPILOG)
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="candle files, or folders of them or of an archive"),
    ],
    json: Json = False,
) -> None:
    """Report what is wrong with data: gaps, duplicates, outliers, swapped columns and more.

    Files of one instrument are compared with each other. Exit code 1: something is an error;
    warnings may be the market's own doing.
    """
    from goalkick.ingest.archive.check import check_paths, places

    found = places(paths)
    with progress("Checking", len(found), "files") as tell:
        reports = check_paths(found, tell)
    wrong = any(report.wrong for report in reports)
    if json:
        print_json({"ok": not wrong, "files": [_document(report) for report in reports]})
    else:
        _print_reports(reports)
    if wrong:
        raise typer.Exit(FAILED)


@app.command("import", cls=Command, epilog=EPILOG)
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="candles: freqtrade's Feather, Binance's archives, CryptoDataDownload, any CSV or "
            "Parquet; trades: Binance's trades and aggTrades",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the archive's folder")],
    instrument: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="whose data all files hold, binance:BTC/USDT [default: by their names]",
        ),
    ] = None,
    on_bad_data: OnBadData = "refuse",
    json: Json = False,
) -> None:
    """Take files over into an archive of Parquet files, merged with what is there.

    What two files tell differently is refused.
    """
    from goalkick.common.values.ids import InstrumentId
    from goalkick.ingest.archive.importing import import_file

    if instrument is not None and not all(instrument.partition(":")):
        raise UsageError(
            f"--instrument: expected an id such as binance:BTC/USDT, found {instrument!r}"
        )
    whose = InstrumentId(instrument) if instrument else None
    imported = []
    with progress("Importing", len(files), "files") as tell:
        for file in files:
            imported.append(import_file(file, out, instrument=whose, on_bad_data=on_bad_data))
            tell(len(imported))
    if json:
        print_json(
            [
                {**msgspec.structs.asdict(one), "file": str(one.file), "folder": str(one.folder)}
                for one in imported
            ]
        )
        return
    print_table(
        "",
        ("File", "Instrument", "Kind", ">Rows", ">New", ">Missing", ">Dropped", "Folder"),
        (
            (
                one.file.name,
                one.instrument,
                one.kind,
                f"{one.rows:,}",
                f"{one.new:,}",
                f"{one.missing:,}",
                f"{sum(one.dropped.values()):,}",
                one.folder,
            )
            for one in imported
        ),
    )


def _document(report: "Report") -> dict[str, Any]:
    return {
        "path": report.path,
        "kind": report.kind,
        "instrument": report.instrument,
        "interval_ns": report.interval_ns,
        "rows": report.rows,
        "from": report.start,
        "to": report.end,
        "ok": not report.wrong,
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
    }


def _print_reports(reports: "list[Report]") -> None:
    print_table(
        "",
        ("File", "Instrument", ">Rows", "From", "To", ">Errors", ">Warnings"),
        (
            (
                _short(report.path),
                report.instrument,
                f"{report.rows:,}",
                report.start,
                report.end,
                *(
                    sum(finding.severity == severity for finding in report.findings)
                    for severity in ("error", "warning")
                ),
            )
            for report in reports
        ),
    )
    rows = [
        (_short(report.path), finding.severity, finding.check, _text(finding))
        for report in reports
        for finding in report.findings
    ]
    if rows:
        print_table("Findings", ("File", "Severity", "Check", "What"), rows)
    else:
        print_text("Nothing was found.")


def _text(finding: Any) -> str:
    shown = [f"{one.start} to {one.end}: {one.count:,}" for one in finding.stretches[:_SHOWN]]
    more = len(finding.stretches) - _SHOWN
    if more > 0:
        shown.append(f"and {more:,} more (--json has all)")
    return "\n".join((finding.text, *shown))


def _short(path: str) -> str:
    """The name of a file, or of a series as the archive's folders say it."""
    parts = Path(path).parts
    keys = [part.partition("=")[2] for part in parts if "=" in part]
    return " ".join(keys) or parts[-1]
