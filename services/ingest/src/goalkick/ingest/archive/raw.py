"""Candles as they stand in a file, good or bad: what a check looks at.

The reader for everything else (`candles.py`) refuses bad rows; here they are what is wanted.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import parse_duration
from goalkick.ingest.archive.layout import only_series, series_of
from goalkick.ingest.checks import PRICES
from goalkick.ingest.exact import Floats, Integers, Mask, join_numbers, read_numbers
from goalkick.ingest.layouts import open_layout
from goalkick.ingest.naming import instrument_of
from goalkick.ingest.timestamps import unit_factors

_COLUMNS: Final = (*PRICES, "volume")


class RawCandles(NamedTuple):
    """Rows in the order of the file, times brought to one unit.

    Attributes:
        path: where they are from.
        instrument: whose, by the name of the file.
        interval_ns: length of the bars: the archive's word, else the most common distance.
        open_ns: (n,) UTC; 0 where `no_time`.
        columns: name -> (n,) float64; NaN where the cell is no number.
        no_time: (n,) whether the cell is no time.
        units: (n,) nanoseconds of one count of the cell's time; 1 where it is no count.
        broken: what is wrong with lines that are no rows.
    """

    path: Path
    instrument: InstrumentId
    interval_ns: int
    open_ns: Integers
    columns: dict[str, Floats]
    no_time: Mask
    units: Integers
    broken: list[str]


def read_raw(path: Path) -> RawCandles:
    """Reads a candle file or a folder of candles in the archive.

    Raises:
        InvalidDataError: it cannot be read as candles, or has no row.
    """
    if path.is_dir():
        path = only_series(path, "candles")
    layout = open_layout(path)
    batches = list(layout.batches)
    if not sum(len(batch["time"]) for batch in batches):
        raise InvalidDataError(f"{path}: expected candles, found no rows")
    time_column = pa.concat_arrays([batch["time"] for batch in batches])
    times, units = unit_factors(time_column)
    columns = {}
    for name in _COLUMNS:
        numbers = join_numbers([read_numbers(batch[name]) for batch in batches])
        values = numbers.column.floats()
        values[numbers.no_number] = np.nan
        columns[name] = values
    series = series_of(path.absolute())
    interval_ns = parse_duration(series.grain) if series and series.grain else 0
    return RawCandles(
        path=path,
        instrument=instrument_of(path),
        interval_ns=interval_ns or _usual_step(times.time_ns[~times.bad]),
        open_ns=times.time_ns,
        columns=columns,
        no_time=times.bad,
        units=units,
        broken=layout.broken,
    )


def _usual_step(time_ns: Integers) -> int:
    steps = np.diff(np.unique(time_ns))
    if not len(steps):
        return 0
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])
