"""Candle files as commands take them: read with a progress bar, and told how they were read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goalkick.embedded.console import print_table, progress
from goalkick.ingest.candles import CandleTable, read_candles
from goalkick.ingest.checks import OnBadData


def read_files(files: Sequence[Path], on_bad_data: OnBadData = "refuse") -> list[CandleTable]:
    """All files, in the order given.

    Raises:
        InvalidDataError: a file is none, or a row is bad.
    """
    tables = []
    with progress("Reading candles", len(files), "files") as tell:
        for file in files:
            tables.append(read_candles(file, on_bad_data=on_bad_data))
            tell(len(tables))
    return tables


def described(files: Sequence[Path], tables: Sequence[CandleTable]) -> list[dict[str, Any]]:
    """How each file was read, for machines."""
    return [
        {
            "file": str(file),
            "instrument": table.instrument,
            "bars": len(table),
            "reading": table.reading,
            "gaps": len(table.gaps),
            "missing": sum(gap.missing for gap in table.gaps),
            "dropped": table.dropped,
        }
        for file, table in zip(files, tables, strict=True)
    ]


def print_readings(files: Sequence[Path], tables: Sequence[CandleTable]) -> None:
    """How each file was read, for people."""
    print_table(
        "",
        ("File", "Instrument", "Read as"),
        (
            (file.name, table.instrument, _reading(table))
            for file, table in zip(files, tables, strict=True)
        ),
    )


def _reading(table: CandleTable) -> str:
    reasons = (f"{count:,} dropped: {reason}" for reason, count in table.dropped.items())
    return "\n".join((table.reading, *reasons))
