"""Longer bars from shorter ones: pure, exact, by event time.

Bars lie on multiples of their length since 1970 UTC. Nothing is invented: a longer bar over a gap
is made of the bars that are there, and says only what all of them say. A span that had begun before
the first bar that was seen is left out, for nobody knows the rest of it.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import format_duration
from goalkick.ingest.bars import checked_lengths


class _OpenBar:
    """A bar that is being built of shorter ones, in order of time."""

    __slots__ = (
        "_close",
        "_high",
        "_instrument",
        "_interval_ns",
        "_low",
        "_open",
        "_quote_volume",
        "_taker_volume",
        "_trades",
        "_volume",
        "end_ns",
    )

    def __init__(self, instrument: InstrumentId, interval_ns: int, end_ns: int, first: Decimal):
        self._instrument = instrument
        self._interval_ns = interval_ns
        self.end_ns = end_ns
        self._open = self._high = self._low = self._close = first
        self._volume = ZERO
        self._trades: int | None = 0
        self._quote_volume: Decimal | None = ZERO
        self._taker_volume: Decimal | None = ZERO

    def add(self, bar: BarClosed) -> None:
        """What one part does not tell, nobody knows of the whole."""
        self._high = max(self._high, bar.high)
        self._low = min(self._low, bar.low)
        self._close = bar.close
        self._volume += bar.volume
        self._trades = _sum(self._trades, bar.trades)
        self._quote_volume = _sum(self._quote_volume, bar.quote_volume)
        self._taker_volume = _sum(self._taker_volume, bar.taker_volume)

    def closed(self) -> BarClosed:
        return BarClosed(
            time_ns=self.end_ns,
            instrument=self._instrument,
            interval_ns=self._interval_ns,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._trades,
            quote_volume=self._quote_volume,
            taker_volume=self._taker_volume,
        )


_Amount = TypeVar("_Amount", int, Decimal)


def _sum(total: _Amount | None, part: _Amount | None) -> _Amount | None:
    return None if total is None or part is None else total + part


class LongerBars:
    """Adds longer bars to the steps of a feed; the shortest bars of each instrument are the source.

    A step says that every instrument's bars up to its time are known, so a longer bar whose last
    part is missing ends all the same when time passes its end.
    """

    def __init__(self, intervals: Iterable[int]) -> None:
        """Builds bars of `intervals` (ns), each a multiple of the feed's bars.

        Raises:
            SettingsError: there is no interval, or one is not positive.
        """
        self._intervals = checked_lengths(intervals)
        self._begun_ns: dict[InstrumentId, int] = {}
        self._sources: dict[InstrumentId, int] = {}
        self._open: dict[tuple[InstrumentId, int], _OpenBar] = {}
        self._next_end_ns: int | None = None

    def add(self, step: Step) -> list[Step]:
        """Takes a step of the feed.

        Returns:
            Steps for longer bars that ended before it, then the step itself with the longer bars
            that end with it, each after the shorter ones of its instrument.

        Raises:
            InvalidDataError: a bar's length does not divide a longer one's.
        """
        time_ns = step[0].time_ns
        before = self._ended_before(time_ns)
        for event in step:
            if type(event) is BarClosed:
                self._take(event)
            elif type(event) is GapDetected and event.stream == "bar":
                # What is known to be missing was not before the beginning.
                self._begins(event.instrument, event.from_ns)
        if self._next_end_ns == time_ns:
            step = _merged(step, self._ended_at(time_ns))
        return [*before, step]

    def pass_quiet(self, until_ns: int) -> list[Step]:
        """Learns that no further step lies at or before a time: what has ended by then is told."""
        return self._ended_before(until_ns + 1)

    def _take(self, bar: BarClosed) -> None:
        instrument = bar.instrument
        begun_ns = self._begins(instrument, bar.open_time_ns)
        source_ns = self._sources.setdefault(instrument, bar.interval_ns)
        if bar.interval_ns != source_ns:
            return
        for interval_ns in self._intervals:
            open_bar = self._open.get((instrument, interval_ns))
            if open_bar is None:
                open_bar = self._begin(bar, interval_ns, begun_ns)
                if open_bar is None:
                    continue
            open_bar.add(bar)

    def _begins(self, instrument: InstrumentId, time_ns: int) -> int:
        """The earliest time that anything is known of."""
        begun_ns = min(time_ns, self._begun_ns.get(instrument, time_ns))
        self._begun_ns[instrument] = begun_ns
        return begun_ns

    def _begin(self, bar: BarClosed, interval_ns: int, begun_ns: int) -> _OpenBar | None:
        if interval_ns % bar.interval_ns or interval_ns == bar.interval_ns:
            raise InvalidDataError(
                f"{bar.instrument}: expected bars whose length divides "
                f"{format_duration(interval_ns)}, found {format_duration(bar.interval_ns)}"
            )
        start_ns = bar.open_time_ns - bar.open_time_ns % interval_ns
        if start_ns < begun_ns:
            return None
        end_ns = start_ns + interval_ns
        open_bar = _OpenBar(bar.instrument, interval_ns, end_ns, bar.open)
        self._open[bar.instrument, interval_ns] = open_bar
        if self._next_end_ns is None or end_ns < self._next_end_ns:
            self._next_end_ns = end_ns
        return open_bar

    def _ended_before(self, time_ns: int) -> list[Step]:
        steps: list[Step] = []
        while self._next_end_ns is not None and self._next_end_ns < time_ns:
            steps.append(self._ended_at(self._next_end_ns))
        return steps

    def _ended_at(self, time_ns: int) -> list[BarClosed]:
        """Takes out the bars that end then, by instrument, shorter ones first."""
        keys = sorted(key for key, bar in self._open.items() if bar.end_ns == time_ns)
        bars = [self._open.pop(key).closed() for key in keys]
        self._next_end_ns = min((bar.end_ns for bar in self._open.values()), default=None)
        return bars


def _merged(step: Step, longer: Sequence[BarClosed]) -> Step:
    """Both, by instrument; within an instrument the step's own events first."""
    events: list[Event] = [*step, *longer]
    events.sort(key=_by_key)
    return events


def _by_key(event: Event) -> str:
    return event.key
