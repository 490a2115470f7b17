"""Bars from trades: pure, exact, by event time.

Bars lie on multiples of their length since 1970 UTC. Nothing is invented: a span without trades
has no bar, one that may lack a trade is not told as if it were whole, and one that had begun before
the first thing that was seen is left out, for nobody knows the rest of it.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Side
from goalkick.common.events.market import BarClosed, GapDetected, TradePrinted
from goalkick.common.ports.feed import FROM_THE_START
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.ingest.numbering import Hole, Ids, Numbers, Taken, trade_number

Told = BarClosed | GapDetected
"""What becomes known when trades are counted."""


class Fate(StrEnum):
    """What became of a trade."""

    COUNTED = "counted"
    LATE = "late"
    REPEATED = "repeated"


class Outcome(NamedTuple):
    """What a trade led to.

    Attributes:
        fate: `COUNTED`: it is in all bars that it belongs to and that will be told. `LATE`: it
            came after one of them had closed and is missing there; it is counted in the longer
            ones that are still open. `REPEATED`: it is passed over.
        told: the bars and gaps that it made known, by time, shorter bars first.
    """

    fate: Fate
    told: Sequence[Told]


class _TradedBar:
    """A bar that is being built of trades, which may overtake each other."""

    __slots__ = (
        "close",
        "end_ns",
        "first",
        "high",
        "interval_ns",
        "last",
        "low",
        "open",
        "quote_volume",
        "taker_volume",
        "trades",
        "volume",
    )

    def __init__(self, interval_ns: int, end_ns: int, place: tuple[int, int], price: Decimal):
        self.interval_ns = interval_ns
        self.end_ns = end_ns
        self.first = self.last = place
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote_volume = self.taker_volume = ZERO
        self.trades = 0

    def add(self, trade: TradePrinted, place: tuple[int, int], trades: int) -> None:
        """Counts a trade in that has this place (time, number) among all."""
        price, quantity = trade.price, trade.quantity
        if place >= self.last:
            self.last, self.close = place, price
        elif place < self.first:
            self.first, self.open = place, price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.trades += trades
        self.volume += quantity
        self.quote_volume += price * quantity
        if trade.side is Side.BUY:
            self.taker_volume += quantity

    def closed(self, instrument: InstrumentId) -> BarClosed:
        return BarClosed(
            time_ns=self.end_ns,
            instrument=instrument,
            interval_ns=self.interval_ns,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            trades=self.trades,
            quote_volume=self.quote_volume,
            taker_volume=self.taker_volume,
        )


class TradeBars:
    """Bars of several lengths from the trades of one instrument.

    A bar closes when event time is `grace_ns` past its end; until then trades may come in any
    order. A trade that was overtaken is waited for: until `grace_ns` after the one that overtook
    it. A bar that may lack a trade then is not told: a gap is told in its place. Only what is
    learnt after a bar has closed comes too late for it, and is told as a gap over its time.

    Attributes:
        late: trades that came after a bar that they belong to had closed.
        repeated: trades that came again.
        missing: trades that were told to be missing.
        withheld: bars that were not told because they may lack a trade.
    """

    def __init__(
        self,
        instrument: InstrumentId,
        intervals: Iterable[int],
        *,
        grace_ns: int = 0,
        numbered: bool = True,
        remember: int = 10_000,
    ) -> None:
        """Builds bars of `intervals` (ns).

        Args:
            instrument: whose trades they are.
            intervals: lengths of the bars.
            grace_ns: event time after its end for which a bar waits for trades; 0 or more.
            numbered: whether trade ids are consecutive numbers; else nothing tells what is
                missing but `missed`.
            remember: ids that are kept to know repetitions by, where they are not numbered.

        Raises:
            SettingsError: there is no interval, one is not positive, or the grace is negative.
        """
        if grace_ns < 0:
            raise SettingsError(f"bars: expected a grace of 0 or more, found {grace_ns} ns")
        self.late = self.repeated = self.missing = self.withheld = 0
        self._instrument = instrument
        self._intervals = checked_lengths(intervals)
        self._grace_ns = grace_ns
        self._numbers = Numbers() if numbered else None
        self._ids = Ids(remember)
        self._arrived = 0
        self._open: dict[tuple[int, int], _TradedBar] = {}
        self._spoiled: list[tuple[int, int]] = []
        self._begun_ns: int | None = None
        self._time_ns = 0
        self._next_ns: int | None = None
        self._bar_gap_from_ns = FROM_THE_START

    def on_trade(self, trade: TradePrinted, trades: int = 1) -> Outcome:
        """Counts a trade in; `trades` is how many it stands for, where a venue sums them up.

        Raises:
            InvalidDataError: it is another instrument's, or its id is no number and should be one.
        """
        if trade.instrument != self._instrument:
            raise InvalidDataError(
                f"bars of {self._instrument}: expected its trades, found one of {trade.instrument}"
            )
        taken, number = self._take(trade)
        if taken is Taken.REPEATED:
            self.repeated += 1
            return Outcome(Fate.REPEATED, ())
        told: Sequence[Told] = ()
        filling = taken is Taken.FILLING
        if not filling:
            told = self.advance(trade.time_ns)
        in_time = self._count(trade, (trade.time_ns, number), trades, filling=filling)
        if filling:
            told = self.advance(trade.time_ns)
        if in_time:
            return Outcome(Fate.COUNTED, told)
        self.late += 1
        return Outcome(Fate.LATE, told)

    def advance(self, time_ns: int) -> Sequence[Told]:
        """Learns that it is `time_ns`; an earlier time than is known says nothing.

        Returns:
            Gaps in the trades, then bars and gaps in the bars by end, shorter ones first.
        """
        if self._begun_ns is None:
            self._begun_ns = self._time_ns = time_ns
        self._time_ns = max(self._time_ns, time_ns)
        closed_ns = self._time_ns - self._grace_ns
        told: list[Told] = []
        if self._numbers is not None:
            due = [hole for hole in self._numbers.open_holes() if hole.to_ns <= closed_ns]
            told += map(self._tell, due)
        if self._next_ns is not None and self._next_ns <= closed_ns:
            told += self._close(closed_ns)
        return told

    def missed(self, from_ns: int, to_ns: int) -> None:
        """Learns that trades from `from_ns` to `to_ns`, both included, may not have been heard.

        For whoever was deaf and has no numbers to tell by; it is theirs to tell the gap.
        """
        self._spoiled.append((from_ns, to_ns))

    def _take(self, trade: TradePrinted) -> tuple[Taken, int]:
        """What it is, and its place among the trades of its time."""
        if self._numbers is None:
            self._arrived += 1
            return self._ids.take(trade.trade_id), self._arrived
        number = trade_number(trade)
        return self._numbers.take(number, trade.time_ns), number

    def _count(
        self, trade: TradePrinted, place: tuple[int, int], trades: int, *, filling: bool
    ) -> bool:
        """Counts it in where it belongs; False: not everywhere, it is late."""
        time_ns = trade.time_ns
        closed_ns = self._time_ns - self._grace_ns
        in_time = True
        for interval_ns in self._intervals:
            end_ns = time_ns - time_ns % interval_ns + interval_ns
            bar = self._open.get((end_ns, interval_ns))
            if bar is None:
                if self._begun_ns is None or end_ns - interval_ns < self._begun_ns:
                    continue
                # No bar over a hole closes before the hole does, so one can still begin in it.
                if end_ns <= closed_ns and not filling:
                    in_time = False
                    continue
                bar = _TradedBar(interval_ns, end_ns, place, trade.price)
                self._open[end_ns, interval_ns] = bar
                if self._next_ns is None or end_ns < self._next_ns:
                    self._next_ns = end_ns
            bar.add(trade, place, trades)
        return in_time

    def _close(self, closed_ns: int) -> list[Told]:
        waiting = [] if self._numbers is None else [*map(_span, self._numbers.open_holes())]
        told: list[Told] = []
        for key in sorted(key for key in self._open if key[0] <= closed_ns):
            bar = self._open[key]
            start_ns = bar.end_ns - bar.interval_ns
            if _touches(waiting, start_ns, bar.end_ns):
                continue
            del self._open[key]
            if not _touches(self._spoiled, start_ns, bar.end_ns):
                told.append(bar.closed(self._instrument))
                continue
            self.withheld += 1
            if bar.interval_ns == self._intervals[0] or self._bar_gap_from_ns < start_ns:
                self._bar_gap_from_ns = start_ns
                told.append(self._gap("bar", bar.end_ns, start_ns, bar.end_ns, 1))
        self._next_ns = min((end_ns for end_ns, _ in self._open), default=None)
        oldest_ns = closed_ns - self._intervals[-1]
        self._spoiled = [span for span in self._spoiled if span[1] >= oldest_ns]
        return told

    def _tell(self, hole: Hole) -> GapDetected:
        if self._numbers is not None:
            self._numbers.tell(hole)
        self._spoiled.append((hole.from_ns, hole.to_ns))
        self.missing += hole.missing
        return self._gap("trade", self._time_ns, hole.from_ns, hole.to_ns + 1, hole.missing)

    def _gap(
        self, stream: str, time_ns: int, from_ns: int, to_ns: int, missing: int
    ) -> GapDetected:
        return GapDetected(
            time_ns=time_ns,
            instrument=self._instrument,
            from_ns=from_ns,
            to_ns=to_ns,
            missing=missing,
            stream=stream,
        )


def _span(hole: Hole) -> tuple[int, int]:
    return hole.from_ns, hole.to_ns


def _touches(spans: Iterable[tuple[int, int]], start_ns: int, end_ns: int) -> bool:
    """Whether one of the spans, both ends included, has a part in [start, end)."""
    return any(from_ns < end_ns and to_ns >= start_ns for from_ns, to_ns in spans)


def checked_lengths(intervals: Iterable[int]) -> tuple[int, ...]:
    """Lengths of bars (ns), shortest first, none twice.

    Raises:
        SettingsError: there is none, or one is not positive.
    """
    checked = tuple(sorted(set(intervals)))
    if not checked or checked[0] <= 0:
        raise SettingsError(f"bars: expected positive lengths, found {checked or 'none'}")
    return checked
