"""Candle files into exact tables of bars: refused where wrong, never mended in silence."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.market import BarClosed
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import format_duration, format_time, parse_duration
from goalkick.ingest.archive.layout import only_series, series_of
from goalkick.ingest.checks import PRICES, Candles, OnBadData, check
from goalkick.ingest.exact import DecimalColumn, Floats, Integers
from goalkick.ingest.layouts import open_layout
from goalkick.ingest.naming import instrument_of, rules_of

if TYPE_CHECKING:
    import pandas as pd

_CHUNK: Final = 2048
"""Bars whose decimals are made at a time: few enough to stay in the processor's cache."""


class Gap(msgspec.Struct, frozen=True):
    """Bars that a file does not have.

    Attributes:
        from_ns: open time of the first missing bar, UTC.
        to_ns: open time of the first bar after it, UTC.
        missing: how many bars.
    """

    from_ns: int
    to_ns: int
    missing: int


class CandleTable(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one instrument, exact.

    Attributes:
        instrument: whose bars they are.
        interval_ns: length of every bar.
        time_ns: (n,) closes (open + interval), strictly rising, UTC.
        open: (n,) prices in quote currency, positive; low <= open, close <= high.
        high: (n,) like `open`.
        low: (n,) like `open`.
        close: (n,) like `open`.
        volume: (n,) quantities in base currency, zero or more.
        rules: what is known of the instrument: the tick is the last decimal place there is.
        reading: how the source was understood, for people.
        gaps: bars that are missing, in order of time.
        dropped: reason -> rows left out; empty unless that was asked for.
    """

    instrument: InstrumentId
    interval_ns: int
    time_ns: Integers
    open: DecimalColumn
    high: DecimalColumn
    low: DecimalColumn
    close: DecimalColumn
    volume: DecimalColumn
    rules: Instrument
    reading: str
    gaps: tuple[Gap, ...]
    dropped: dict[str, int]

    def __len__(self) -> int:
        """The number of bars."""
        return len(self.time_ns)

    @classmethod
    def from_frame(
        cls, frame: "pd.DataFrame", instrument: InstrumentId, interval_ns: int
    ) -> "CandleTable":
        """Takes over a frame with columns ts (open time), open, high, low, close, volume.

        Raises:
            InvalidDataError: a row is wrong.
        """
        columns = {name: pa.array(frame[name]) for name in (*PRICES, "volume")}
        columns["time"] = pa.array(frame["ts"])
        return _table(instrument, "ts", check("the frame", [columns], interval_ns=interval_ns))

    def floats(self, column: Literal["open", "high", "low", "close", "volume"]) -> Floats:
        """(n,) a column as float64, each what `float` makes of the exact value."""
        values: DecimalColumn = getattr(self, column)
        return values.floats()

    def bars(self) -> Iterator[BarClosed]:
        """The bars as events, in order of time."""
        instrument, interval_ns = self.instrument, self.interval_ns
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            for time_ns, open_, high, low, close, volume in zip(
                self.time_ns[part].tolist(),
                self.open[part].decimals(),
                self.high[part].decimals(),
                self.low[part].decimals(),
                self.close[part].decimals(),
                self.volume[part].decimals(),
                strict=True,
            ):
                yield BarClosed(
                    time_ns=time_ns,
                    instrument=instrument,
                    interval_ns=interval_ns,
                    open=open_,
                    high=high,
                    low=low,
                    close=close,
                    volume=volume,
                )

    def between(self, from_ns: int | None, to_ns: int | None) -> "CandleTable":
        """The bars that open at or after `from_ns` and close at or before `to_ns`.

        Raises:
            InvalidDataError: there are none.
        """
        first = 0 if from_ns is None else np.searchsorted(self.time_ns - self.interval_ns, from_ns)
        last = len(self) if to_ns is None else np.searchsorted(self.time_ns, to_ns, side="right")
        if first >= last:
            raise InvalidDataError(
                f"{self.instrument}: expected bars between "
                f"{format_time(from_ns) if from_ns is not None else 'the start'} and "
                f"{format_time(to_ns) if to_ns is not None else 'the end'}, found none; they reach "
                f"from {format_time(int(self.time_ns[0]) - self.interval_ns)} to "
                f"{format_time(int(self.time_ns[-1]))}"
            )
        part = slice(first, last)
        start_ns, end_ns = int(self.time_ns[first]), int(self.time_ns[last - 1])
        return msgspec.structs.replace(
            self,
            time_ns=self.time_ns[part],
            volume=self.volume[part],
            gaps=tuple(g for g in self.gaps if start_ns <= g.from_ns and g.to_ns < end_ns),
            **{name: getattr(self, name)[part] for name in PRICES},
        )


def read_candles(
    path: Path,
    *,
    instrument: InstrumentId | None = None,
    interval_ns: int | None = None,
    on_bad_data: OnBadData = "refuse",
) -> CandleTable:
    """Reads a candle file (layouts and spellings: `layouts.py`).

    Args:
        path: the file, or a folder of candles in the archive.
        instrument: whose candles they are; None: by the file's name.
        interval_ns: length of the bars; None: what the archive says, elsewhere the most common
            distance of two rows.
        on_bad_data: `refuse` the file at its first bad row, or `drop` and count bad rows.

    Raises:
        InvalidDataError: it is no candle file, or a row is bad; says file, row and reason.
    """
    if path.is_dir():
        path = only_series(path, "candles")
    series = series_of(path.absolute())
    if series is not None and series.kind == "candles":
        interval_ns = interval_ns or parse_duration(series.grain)
    layout = open_layout(path)
    candles = check(
        str(path),
        layout.batches,
        first_line=layout.first_line,
        interval_ns=interval_ns,
        on_bad_data=on_bad_data,
        broken=layout.broken,
    )
    pa.default_memory_pool().release_unused()
    return _table(instrument or instrument_of(path), layout.time_name, candles)


def _table(instrument: InstrumentId, time_name: str, candles: Candles) -> CandleTable:
    open_ns, interval_ns = candles.open_ns, candles.interval_ns
    steps = np.diff(open_ns)
    gaps = tuple(
        Gap(int(open_ns[i]) + interval_ns, int(open_ns[i + 1]), int(steps[i]) // interval_ns - 1)
        for i in np.flatnonzero(steps > interval_ns)
    )
    places = max(column.places for column in candles.prices.values())
    return CandleTable(
        instrument=instrument,
        interval_ns=interval_ns,
        time_ns=open_ns + interval_ns,
        volume=candles.volume,
        rules=rules_of(instrument, places),
        reading=_reading(time_name, candles, gaps),
        gaps=gaps,
        dropped=candles.dropped,
        **candles.prices,
    )


def _reading(time_name: str, candles: Candles, gaps: tuple[Gap, ...]) -> str:
    open_ns, interval_ns = candles.open_ns, candles.interval_ns
    parts = [
        f"time column {time_name!r} read as {candles.time_reading}",
        f"{len(open_ns):,} bars of {format_duration(interval_ns)} from "
        f"{format_time(int(open_ns[0]))} to {format_time(int(open_ns[-1]) + interval_ns)}",
    ]
    if gaps:
        missing = sum(gap.missing for gap in gaps)
        parts.append(f"{missing:,} bars missing in {len(gaps)} gap{'s' if len(gaps) > 1 else ''}")
    if candles.dropped:
        parts.append(f"{sum(candles.dropped.values()):,} bad rows dropped")
    return ", ".join(parts)
