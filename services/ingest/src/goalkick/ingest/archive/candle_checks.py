"""What can be wrong with candles, each in a function of its own: (candles) -> findings."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from goalkick.common.values.time import format_duration, format_time
from goalkick.ingest.archive.findings import Finding, Stretch, stretch
from goalkick.ingest.archive.raw import RawCandles
from goalkick.ingest.checks import PRICES
from goalkick.ingest.exact import Floats, Integers, Mask

_UNIT_NAMES: Final = {10**9: "seconds", 10**6: "milliseconds", 10**3: "microseconds"}
_WILD: Final = 12.0
"""Robust standard deviations beyond which a move that the next bar takes back is an outlier."""
_BACK: Final = 0.35
"""Share of such a move that may be left after the next bar: more, and the market really moved."""
_AT_LEAST: Final = 0.03
"""Smallest move, as a logarithm, that is worth a person's eye, however quiet the market is."""
_DECADE: Final = 0.08
"""Distance of log10 of a ratio from a whole number at which a price is off by a power of ten."""
_NEIGHBOURS: Final = 5
_BLOCK: Final = 48
"""Bars whose moves count as one time, quiet or wild."""

Check = Callable[[RawCandles], Iterator[Finding]]


def cells(raw: RawCandles) -> Iterator[Finding]:
    """Cells that are no time or no number, lines that are no rows, prices that are not positive."""
    if raw.broken:
        yield Finding(check="cells", severity="error", count=len(raw.broken), text=raw.broken[0])
    if raw.no_time.any():
        row = int(np.argmax(raw.no_time)) + 1
        yield _error("cells", raw.no_time, f"expected a time, found something else in row {row}")
    for name, values in raw.columns.items():
        bad = np.isnan(values)
        if bad.any():
            row = int(np.argmax(bad)) + 1
            text = f"expected a number as {name}, found something else in row {row}"
            yield _error("cells", bad, text)
    wrong = np.logical_or.reduce([raw.columns[name] <= 0 for name in PRICES])
    if wrong.any():
        yield _found(raw, "prices", wrong, "expected positive prices, found zero or less")
    negative = raw.columns["volume"] < 0
    if negative.any():
        yield _found(raw, "volume", negative, "expected a volume of zero or more, found less")


def units(raw: RawCandles) -> Iterator[Finding]:
    """Times in more than one unit; prices off by a power of ten against their neighbours."""
    kinds, counts = np.unique(raw.units[~raw.no_time], return_counts=True)
    if len(kinds) > 1:
        usual = int(kinds[np.argmax(counts)])
        names = " and ".join(_UNIT_NAMES.get(int(kind), "nanoseconds") for kind in kinds[::-1])
        yield _found(
            raw, "units", (raw.units != usual) & ~raw.no_time,
            f"expected times in one unit, found {names}",
        )  # fmt: skip
    decades = np.rint(_off_by(raw.columns["close"]))
    off = decades != 0
    if off.any():
        powers = ", ".join(f"10^{int(power)}" for power in np.unique(decades[off]))
        yield _found(
            raw, "units", off, f"expected prices like their neighbours', found them times {powers}"
        )


def order(raw: RawCandles) -> Iterator[Finding]:
    """Rows that are not in order of time, or twice there, or between two bars."""
    times = raw.open_ns[~raw.no_time]
    steps = np.diff(times)
    if len(steps) and (steps < 0).all():
        yield Finding(
            check="order", severity="note", count=len(times),
            text="newest first; readers turn it around",
        )  # fmt: skip
    elif (steps < 0).any():
        row = int(np.argmax(steps < 0)) + 2
        yield Finding(
            check="order", severity="error", count=int((steps < 0).sum()),
            text=f"expected rows in order of time, found an earlier one in row {row}",
        )  # fmt: skip
    values, counts = np.unique(times, return_counts=True)
    if (counts > 1).any():
        yield Finding(
            check="duplicates", severity="error", count=int((counts - 1).sum()),
            text="expected each time once, found some again",
            stretches=tuple(
                stretch(time_ns, time_ns + raw.interval_ns, number)
                for time_ns, number in zip(
                    values[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True
                )
            ),
        )  # fmt: skip
    if raw.interval_ns:
        phases = raw.open_ns % raw.interval_ns
        usual, counts = np.unique(phases[~raw.no_time], return_counts=True)
        off = (phases != usual[np.argmax(counts)]) & ~raw.no_time
        if off.any():
            length = format_duration(raw.interval_ns)
            yield _found(raw, "grid", off, f"expected times on a grid of {length}, found others")


def gaps(raw: RawCandles) -> Iterator[Finding]:
    """Bars that are missing between the first and the last."""
    times = np.unique(raw.open_ns[~raw.no_time])
    if not raw.interval_ns or len(times) < 2:
        return
    steps = np.diff(times)
    holes = np.flatnonzero(steps > raw.interval_ns)
    if not len(holes):
        return
    found = tuple(
        stretch(
            int(times[row]) + raw.interval_ns, int(times[row + 1]),
            max(1, int(steps[row]) // raw.interval_ns - 1),
        )
        for row in holes
    )  # fmt: skip
    missing = sum(one.count for one in found)
    longest = max(found, key=lambda one: one.count)
    text = (
        f"{missing:,} bars missing in {len(found)} gap{'s' if len(found) > 1 else ''}; the longest "
        f"from {longest.start} to {longest.end}"
    )
    yield Finding(check="gaps", severity="warning", count=missing, text=text, stretches=found)


def columns(raw: RawCandles) -> Iterator[Finding]:
    """Columns that were taken for each other, and rows in which the prices contradict."""
    open_, high, low, close = (raw.columns[name] for name in PRICES)
    inverted = high < low
    if inverted.mean() > 0.5:
        yield _error("columns", inverted, "high lies below low: the two columns look swapped")
    elif inverted.any():
        yield _found(raw, "columns", inverted, "expected high at or above low, found it below")
    outside = ~inverted & ((np.maximum(open_, close) > high) | (np.minimum(open_, close) < low))
    if outside.any():
        text = "expected open and close between low and high, found them outside"
        yield _found(raw, "columns", outside, text)
    volume = raw.columns["volume"]
    priced = (volume >= np.minimum(low, high)) & (volume <= np.maximum(low, high))
    if len(volume) > 2 and priced.mean() > 0.5:
        yield _error("columns", priced, "volume lies between low and high: it looks like a price")
    yield from _open_and_close(raw)


def silence(raw: RawCandles) -> Iterator[Finding]:
    """Runs of bars without volume."""
    zero = raw.columns["volume"] == 0
    if not zero.any():
        return
    runs = _runs(raw, zero)
    longest = max(runs, key=lambda one: one.count)
    yield Finding(
        check="zero volume", severity="warning", count=int(zero.sum()), stretches=runs,
        text=f"{int(zero.sum()):,} bars without volume in {len(runs)} runs; the longest of "
        f"{longest.count} from {longest.start}",
    )  # fmt: skip


def outliers(raw: RawCandles) -> Iterator[Finding]:
    """Closes that the next bar takes back, beyond all proportion to how the market moves.

    A crash stays where it fell; a bad print is gone one bar later. Moves are logarithms, measured
    in robust standard deviations (1.4826 median absolute deviations) of the wildest of the times
    around and of the whole.
    """
    close = raw.columns["close"]
    if len(close) < 10 or not (close > 0).all():
        return
    moves = np.diff(np.log(close))
    limits = np.maximum(_WILD * _usual_move(moves), _AT_LEAST)
    there, back = moves[:-1], moves[1:]
    wild = (np.abs(there) > limits[:-1]) & (np.abs(there + back) < _BACK * np.abs(there))
    mask = np.zeros(len(close), dtype=np.bool_)
    mask[1:-1] = wild
    mask &= np.rint(_off_by(close)) == 0
    if mask.any():
        row = int(np.argmax(mask))
        yield _found(
            raw, "outliers", mask,
            f"expected closes that the next bar does not take back, found {close[row]:g} between "
            f"{close[row - 1]:g} and {close[row + 1]:g} at {format_time(int(raw.open_ns[row]))}",
            "warning",
        )  # fmt: skip


ALL: Final[tuple[Check, ...]] = (cells, units, order, gaps, columns, silence, outliers)


def _open_and_close(raw: RawCandles) -> Iterator[Finding]:
    """A bar opens where the last one closed: if it is the other way round, so are the columns."""
    open_, close = raw.columns["open"], raw.columns["close"]
    times = raw.open_ns
    follows = np.diff(times) == raw.interval_ns
    if follows.sum() < 10:
        return
    straight = float(np.median(np.abs(open_[1:] - close[:-1])[follows]))
    crossed = float(np.median(np.abs(close[1:] - open_[:-1])[follows]))
    if straight > 2 * crossed:
        yield Finding(
            check="columns", severity="error", count=len(open_),
            text="bars close where the one before opened: open and close look swapped",
        )  # fmt: skip


def _usual_move(moves: Floats) -> Floats:
    """(n,) robust standard deviation of each move's times: blocks, and the blocks beside them."""
    whole = 1.4826 * float(np.median(np.abs(moves - np.median(moves))))
    count = -(-len(moves) // _BLOCK)
    padded = np.full(count * _BLOCK, np.nan)
    padded[: len(moves)] = np.abs(moves)
    local = 1.4826 * np.nanmedian(padded.reshape(count, _BLOCK), axis=1)
    wide = np.pad(local, 1, mode="edge")
    wildest = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])
    result: Floats = np.maximum(np.repeat(wildest, _BLOCK)[: len(moves)], whole)
    return result


def _off_by(close: Floats) -> Floats:
    """(n,) log10 of each price against the median around it; 0 where it is no power of ten."""
    if len(close) < 2 * _NEIGHBOURS or not (close > 0).all():
        return np.zeros(len(close))
    logs = np.log10(close)
    padded = np.pad(logs, _NEIGHBOURS, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    ratio = logs - np.median(windows, axis=1)
    whole = np.abs(ratio - np.rint(ratio)) < _DECADE
    result: Floats = np.where(whole & (np.abs(ratio) > 0.5), ratio, 0.0)
    return result


def _found(raw: RawCandles, check: str, mask: Mask, text: str, severity: str = "error") -> Finding:
    return Finding(
        check=check,
        severity="warning" if severity == "warning" else "error",
        count=int(mask.sum()),
        text=text,
        stretches=_runs(raw, mask),
    )


def _error(check: str, mask: Mask, text: str) -> Finding:
    return Finding(check=check, severity="error", count=int(mask.sum()), text=text)


def _runs(raw: RawCandles, mask: Mask) -> tuple[Stretch, ...]:
    """Where a mask holds, rows that follow each other as one."""
    rows: Integers = np.flatnonzero(mask)
    breaks = np.flatnonzero(np.diff(rows) > 1)
    firsts = rows[np.concatenate(([0], breaks + 1))]
    lasts = rows[np.concatenate((breaks, [len(rows) - 1]))]
    return tuple(
        stretch(
            int(min(raw.open_ns[first], raw.open_ns[last])),
            int(max(raw.open_ns[first], raw.open_ns[last])) + raw.interval_ns,
            int(last - first) + 1,
        )
        for first, last in zip(firsts, lasts, strict=True)
    )
