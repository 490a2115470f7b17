"""Funding rates of a venue: a few rows a day, fetched in one go and kept by month."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS, format_time
from goalkick.ingest.archive.client import History
from goalkick.ingest.archive.layout import Series, months
from goalkick.ingest.archive.manifest import Missing, Part
from goalkick.ingest.archive.tables import SCHEMAS, money, times, write
from goalkick.ingest.exact import Integers, read_numbers

FILE: Final = "funding"

Rates = dict[int, str]
"""Time in ms -> rate as text."""


class FundingRates:
    """Fetches the funding of one series."""

    def __init__(self, history: History, series: Series, name: str) -> None:
        """For one series of a venue."""
        self._history = history
        self._series = series
        self._name = name

    async def fetch(self, folder: Path, from_ns: int, to_ns: int) -> tuple[Part, ...]:
        """Fetches the rates of times in [from_ns, to_ns), and writes a file for each month.

        Raises:
            TransientError: the venue does not answer.
            SettingsError: it has no funding.
            InvalidDataError: it sends something that is no rate.
        """
        rates = await self._pages(from_ns, to_ns)
        holes = missing_times(rates)
        for start_ns, end_ns, _ in holes:
            # Asked for once more: a page may have been cut short.
            rates |= await self._pages(start_ns, end_ns)
        holes = missing_times(rates) if holes else holes
        return tuple(
            self._write(folder, month.file(FILE), max(from_ns, month.start_ns),
                        min(to_ns, month.end_ns), rates, holes)
            for month in months(from_ns, to_ns)
        )  # fmt: skip

    async def _pages(self, from_ns: int, to_ns: int) -> Rates:
        rates: Rates = {}
        since_ns = from_ns
        while since_ns < to_ns:
            page = await self._history.funding(self._name, since_ns)
            fresh = {
                time_ms: rate
                for time_ms, rate in page
                if since_ns <= time_ms * NS_PER_MS < to_ns and time_ms not in rates
            }
            if not fresh:
                break
            rates |= fresh
            since_ns = (max(fresh) + 1) * NS_PER_MS
        return dict(sorted(rates.items()))

    def _write(
        self,
        folder: Path,
        file: str,
        from_ns: int,
        to_ns: int,
        rates: Rates,
        holes: Sequence[tuple[int, int, int]],
    ) -> Part:
        rows = {ms: rate for ms, rate in rates.items() if from_ns <= ms * NS_PER_MS < to_ns}
        table = funding_table(rows, str(self._series))
        digest = write(folder / file, table)
        return Part(
            file=file,
            start=format_time(from_ns),
            end=format_time(to_ns),
            rows=len(table),
            bytes=(folder / file).stat().st_size,
            sha256=digest,
            missing=tuple(
                Missing(format_time(start), format_time(end), count)
                for start, end, count in holes
                if from_ns <= start < to_ns
            ),
        )


def missing_times(rates: Rates) -> list[tuple[int, int, int]]:
    """Where funding is missing, by the most common distance of two times.

    Returns:
        (start_ns, end_ns, count): the first time that is missing, the next one that is there, and
        how many are missing. Venues are milliseconds late, so times count by the minute.
    """
    if len(rates) < 3:
        return []
    minutes: Integers = np.array(sorted(rates), dtype=np.int64) * NS_PER_MS // NS_PER_MINUTE
    steps = np.diff(minutes)
    values, counts = np.unique(steps, return_counts=True)
    usual = int(values[np.argmax(counts)])
    return [
        (
            int(minutes[row] + usual) * NS_PER_MINUTE,
            int(minutes[row + 1]) * NS_PER_MINUTE,
            int(steps[row]) // usual - 1,
        )
        for row in np.flatnonzero(steps >= 2 * usual)
    ]


def funding_table(rates: Rates, about: str) -> pa.Table:
    """Rates as the archive keeps them.

    Raises:
        InvalidDataError: a rate is no number, or has more decimal places than the archive keeps.
    """
    read = read_numbers(pa.array(list(rates.values()), type=pa.string()))
    if (read.no_number | read.too_long).any():
        row = int(np.argmax(read.no_number | read.too_long))
        raise InvalidDataError(
            f"{about}: expected a rate, found {list(rates.values())[row]!r} "
            f"at {format_time(list(rates)[row] * NS_PER_MS)}"
        )
    time_ns = np.array(list(rates), dtype=np.int64) * NS_PER_MS
    columns = [times(time_ns), money(read.column, f"rate of {about}")]
    return pa.table(columns, schema=SCHEMAS["funding"])
