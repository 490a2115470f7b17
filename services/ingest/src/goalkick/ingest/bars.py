"""Bars from trades, and longer bars from shorter ones: pure, exact, by event time.

Bars lie on multiples of their length since 1970 UTC. Nothing is invented: a span without trades
has no bar, and a longer bar over a gap is made of the bars that are there. A span that had begun
before the first thing that was seen is left out, for nobody knows the rest of it.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import format_duration, format_time


class _OpenBar:
    """A bar that is being built: the one place where prices become open, high, low and close."""

    __slots__ = (
        "_close",
        "_high",
        "_instrument",
        "_interval_ns",
        "_low",
        "_open",
        "_volume",
        "end_ns",
    )

    def __init__(self, instrument: InstrumentId, interval_ns: int, end_ns: int, first: Decimal):
        self._instrument = instrument
        self._interval_ns = interval_ns
        self.end_ns = end_ns
        self._open = self._high = self._low = self._close = first
        self._volume = Decimal(0)

    def add(self, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> None:
        self._high = max(self._high, high)
        self._low = min(self._low, low)
        self._close = close
        self._volume += volume

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
        )


class TradeBars:
    """Bars of several lengths from the trades of one instrument."""

    def __init__(self, instrument: InstrumentId, intervals: Iterable[int]) -> None:
        """Builds bars of `intervals` (ns).

        Raises:
            SettingsError: there is no interval, or one is not positive.
        """
        self._instrument = instrument
        self._intervals = _checked(intervals)
        self._open: dict[int, _OpenBar] = {}
        self._begun_ns: int | None = None
        self._time_ns = 0

    def on_trade(self, trade: TradePrinted) -> list[BarClosed]:
        """Counts a trade in.

        Returns:
            The bars that ended at or before it, by end, shorter ones first.

        Raises:
            InvalidDataError: it is another instrument's, or earlier than what was seen before.
        """
        if trade.instrument != self._instrument:
            raise InvalidDataError(
                f"bars of {self._instrument}: expected its trades, found one of {trade.instrument}"
            )
        closed = self.advance(trade.time_ns)
        for interval_ns in self._intervals:
            bar = self._open.get(interval_ns)
            if bar is None:
                start_ns = trade.time_ns - trade.time_ns % interval_ns
                if start_ns < (self._begun_ns or 0):
                    continue
                bar = _OpenBar(self._instrument, interval_ns, start_ns + interval_ns, trade.price)
                self._open[interval_ns] = bar
            bar.add(trade.price, trade.price, trade.price, trade.quantity)
        return closed

    def advance(self, time_ns: int) -> list[BarClosed]:
        """Learns that it is `time_ns` and that no earlier trade will come.

        Returns:
            The bars that ended at or before it, by end, shorter ones first.

        Raises:
            InvalidDataError: it has been later before.
        """
        if self._begun_ns is None:
            self._begun_ns = self._time_ns = time_ns
        if time_ns < self._time_ns:
            raise InvalidDataError(
                f"bars of {self._instrument}: expected nothing before "
                f"{format_time(self._time_ns)}, found a trade or a time of {format_time(time_ns)}"
            )
        self._time_ns = time_ns
        closed = [bar.closed() for bar in self._open.values() if bar.end_ns <= time_ns]
        for bar in closed:
            del self._open[bar.interval_ns]
        return sorted(closed, key=_by_end)


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
        self._intervals = _checked(intervals)
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
            open_bar.add(bar.high, bar.low, bar.close, bar.volume)

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


def _by_end(bar: BarClosed) -> tuple[int, int]:
    return bar.time_ns, bar.interval_ns


def _checked(intervals: Iterable[int]) -> tuple[int, ...]:
    checked = tuple(sorted(set(intervals)))
    if not checked or checked[0] <= 0:
        raise SettingsError(f"bars: expected positive lengths, found {checked or 'none'}")
    return checked
