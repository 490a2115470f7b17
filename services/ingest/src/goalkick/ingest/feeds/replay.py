"""Recorded candles as a feed: many instruments merged by time, gaps said aloud."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice, pairwise
from operator import itemgetter
from typing import Final

import numpy as np

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import GapDetected, InstrumentListed
from goalkick.common.ports.feed import FROM_THE_START, Step
from goalkick.common.values.time import format_duration, format_time
from goalkick.ingest.candles import CandleTable, Gap

_CHUNK: Final = 4096
"""Bars whose order is turned into Python's own integers at a time."""


class ReplayFeed:
    """The bars of several tables as a `RecordedFeed`.

    The first step lists the instruments and has the time at which the earliest bar opens.
    """

    def __init__(self, tables: Sequence[CandleTable]) -> None:
        """Takes over tables; two of one instrument must follow each other in time.

        Raises:
            InvalidDataError: there is no table, or two of one instrument overlap or have bars of
                different length.
        """
        if not tables:
            raise InvalidDataError("replay: expected at least one table of candles, found none")
        self._tables = sorted(tables, key=lambda table: (table.instrument, int(table.time_ns[0])))
        self._gaps = _gaps(self._tables)

    def __len__(self) -> int:
        """The number of bars."""
        return sum(map(len, self._tables))

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks."""
        listing = [self._listing()] if from_ns <= self._start_ns() else []
        tables = [table for table in self._tables if table.time_ns[-1] >= from_ns]
        tables = [table.between(from_ns - table.interval_ns, None) for table in tables]
        if len(tables) == 1:
            # No generator lies between a bar and who takes it: it would cost each bar anew.
            return chain(listing, chain.from_iterable(self._single(tables[0])))
        return chain(listing, self._merged(tables) if tables else ())

    def _start_ns(self) -> int:
        return min(int(table.time_ns[0]) - table.interval_ns for table in self._tables)

    def _listing(self) -> Step:
        rules = {table.instrument: table.rules for table in reversed(self._tables)}
        start_ns = self._start_ns()
        return tuple(
            InstrumentListed(time_ns=start_ns, instrument=instrument, rules=rules[instrument])
            for instrument in sorted(rules)
        )

    def _single(self, table: CandleTable) -> Iterator[Iterable[Step]]:
        """One instrument, in pieces: no bar is looked at."""
        bars = table.bars()
        done = 0
        for time_ns in sorted(time_ns for time_ns, name in self._gaps if name == table.instrument):
            if time_ns < table.time_ns[0]:
                continue
            place = int(np.searchsorted(table.time_ns, time_ns))
            yield zip(islice(bars, place - done), strict=False)
            yield ((self._gaps[time_ns, table.instrument], next(bars)),)
            done = place + 1
        yield zip(bars, strict=False)

    def _merged(self, tables: Sequence[CandleTable]) -> Iterator[Step]:
        times = np.concatenate([table.time_ns for table in tables])
        owners = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        # Stable: at one time in order of the tables, which is the order of the instruments.
        order = np.argsort(times, kind="stable")
        times, owners = times[order], owners[order]
        next_bar = [table.bars().__next__ for table in tables]
        names = [table.instrument for table in tables]
        gaps = self._gaps
        gap_times = {time_ns for time_ns, _ in gaps}
        moments = (
            moment
            for start in range(0, len(times), _CHUNK)
            for moment in zip(
                times[start : start + _CHUNK].tolist(),
                owners[start : start + _CHUNK].tolist(),
                strict=True,
            )
        )
        for time_ns, group in groupby(moments, key=itemgetter(0)):
            step: list[Event] = []
            for _, owner in group:
                if time_ns in gap_times and (time_ns, names[owner]) in gaps:
                    step.append(gaps[time_ns, names[owner]])
                step.append(next_bar[owner]())
            yield step


def _gaps(tables: Sequence[CandleTable]) -> dict[tuple[int, str], GapDetected]:
    """By the close of the first bar after it, and the instrument."""
    found = [(table, gap) for table in tables for gap in table.gaps]
    for earlier, later in pairwise(tables):
        if earlier.instrument == later.instrument:
            found += [(later, gap) for gap in _between(earlier, later)]
    return {
        (gap.to_ns + table.interval_ns, table.instrument): GapDetected(
            time_ns=gap.to_ns + table.interval_ns,
            instrument=table.instrument,
            from_ns=gap.from_ns,
            to_ns=gap.to_ns,
            missing=gap.missing,
            stream="bar",
        )
        for table, gap in found
    }


def _between(earlier: CandleTable, later: CandleTable) -> tuple[Gap, ...]:
    """What is missing from the end of one table to the beginning of the next."""
    from_ns, to_ns = int(earlier.time_ns[-1]), int(later.time_ns[0]) - later.interval_ns
    if earlier.interval_ns != later.interval_ns:
        raise InvalidDataError(
            f"replay: expected bars of one length for {later.instrument}, found files with "
            f"{format_duration(earlier.interval_ns)} and {format_duration(later.interval_ns)}"
        )
    if to_ns < from_ns:
        raise InvalidDataError(
            f"replay: expected the files of {later.instrument} to follow each other, found one "
            f"that ends at {format_time(from_ns)} and one that begins at {format_time(to_ns)}"
        )
    if to_ns == from_ns:
        return ()
    return (Gap(from_ns, to_ns, max(1, (to_ns - from_ns) // later.interval_ns)),)
