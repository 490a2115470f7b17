"""Whether two candle files of one instrument say the same."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from goalkick.common.values.ids import name_of
from goalkick.common.values.time import format_duration, format_time
from goalkick.ingest.archive.findings import Finding, stretch
from goalkick.ingest.archive.layout import series_of
from goalkick.ingest.archive.raw import RawCandles
from goalkick.ingest.exact import Floats, Integers

_EXACT: Final = 1e-9
"""Relative difference of two doubles that were summed in different order."""
_FAR: Final = 0.05
"""Relative difference of closes of one instrument at two venues that wants a person's eye."""
_DOLLARS: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD")


class Disagreement(NamedTuple):
    """What is found about the second of two files."""

    second: RawCandles
    finding: Finding


class _Bars(NamedTuple):
    open_ns: Integers
    columns: dict[str, Floats]


def compare(files: Sequence[RawCandles]) -> Iterator[Disagreement]:
    """Compares each two files of one instrument; shorter bars are added up to the longer ones."""
    for first, second in combinations(files, 2):
        same = first.instrument == second.instrument
        if not same and _plain(first.instrument) != _plain(second.instrument):
            continue
        interval_ns = max(first.interval_ns, second.interval_ns)
        shorter_ns = min(first.interval_ns, second.interval_ns)
        if not shorter_ns or interval_ns % shorter_ns:
            continue
        left, right = summed(first, interval_ns), summed(second, interval_ns)
        yield Disagreement(second, _compared(first, second, left, right, same=same))


def summed(raw: RawCandles, interval_ns: int) -> _Bars:
    """The bars, or longer ones made of them where all of the shorter ones are there."""
    good = ~raw.no_time
    times, first = np.unique(raw.open_ns[good], return_index=True)
    columns = {name: values[good][first] for name, values in raw.columns.items()}
    many = interval_ns // raw.interval_ns
    if many == 1:
        return _Bars(times, columns)
    slots, starts, counts = np.unique(
        times - times % interval_ns, return_index=True, return_counts=True
    )
    whole = counts == many
    summed_up = {
        "open": columns["open"][starts],
        "high": np.maximum.reduceat(columns["high"], starts),
        "low": np.minimum.reduceat(columns["low"], starts),
        "close": columns["close"][starts + counts - 1],
        "volume": np.add.reduceat(columns["volume"], starts),
    }
    return _Bars(slots[whole], {name: values[whole] for name, values in summed_up.items()})


def _compared(
    first: RawCandles, second: RawCandles, left: _Bars, right: _Bars, *, same: bool
) -> Finding:
    times, at_left, at_right = np.intersect1d(left.open_ns, right.open_ns, return_indices=True)
    interval_ns = max(first.interval_ns, second.interval_ns)
    about = f"{_called(first)} in {len(times):,} common bars of {format_duration(interval_ns)}"
    if not len(times):
        return Finding(
            check="agreement",
            severity="note",
            count=0,
            text=f"no bar in common with {_called(first)}",
        )
    names = tuple(left.columns) if same else ("close",)
    limit = _EXACT if same else _FAR
    far = np.zeros(len(times))
    for name in names:
        ours, theirs = left.columns[name][at_left], right.columns[name][at_right]
        larger = np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), 1e-300)
        far = np.maximum(far, np.abs(ours - theirs) / larger)
    differ = np.flatnonzero(~(far <= limit))
    if not len(differ):
        words = "agrees with" if same else f"closes lie within {_FAR:.0%} of"
        return Finding(check="agreement", severity="note", count=0, text=f"{words} {about}")
    worst = int(differ[np.argmax(far[differ])])
    return Finding(
        check="agreement",
        severity="error" if same else "warning",
        count=len(differ),
        text=f"differs from {about} in {len(differ):,}, most at {format_time(int(times[worst]))} "
        f"by {far[worst]:.2%}",
        stretches=tuple(stretch(int(times[row]), int(times[row]) + interval_ns) for row in differ),
    )


def _called(raw: RawCandles) -> str:
    series = series_of(raw.path.absolute())
    return f"the archive's {series}" if series else raw.path.name


def _plain(instrument: str) -> str:
    """What is traded, whatever the venue: all dollars are one."""
    base, _, quote = name_of(instrument).partition("/")  # type: ignore[arg-type]
    quote, settle, _ = quote.partition(":")
    return f"{base}/{'USD' if quote in _DOLLARS else quote}{settle}"
