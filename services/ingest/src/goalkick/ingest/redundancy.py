"""Several copies of one feed, made one: the first good copy of each event is told, once. Pure.

Either copy may lack events, repeat them, fall silent or die, and nothing is missing as long as
another says it within the wait; a gap is told only where all copies have it. Copies are known to
be in order, each for itself.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain, groupby

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    BookChanged,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    MarketEvent,
    QuoteChanged,
    TradePrinted,
    VenueStatusChanged,
)
from goalkick.common.ports.feed import FROM_THE_START, Quiet, Step, Tape
from goalkick.common.values.ids import InstrumentId, venue_of
from goalkick.common.values.instruments import Instrument
from goalkick.ingest.numbering import trade_number
from goalkick.ingest.redundant_lines import KeyLine, Side, StateLine, TradeLine
from goalkick.ingest.redundant_moments import Moments

_Stream = tuple[InstrumentId, str]
_State = BookSnapshotTaken | QuoteChanged
_TAPED = (TradePrinted, BookSnapshotTaken, BookChanged, QuoteChanged)
_Condition = FeedStale | FeedRecovered | GapDetected


class FirstCopy:
    """Takes what each copy says, gives what is to be told.

    Attributes:
        sides: what is counted of each copy.
    """

    def __init__(
        self,
        sides: int,
        *,
        wait_ns: int,
        numbered: bool = True,
        unnumbered: Collection[str] = (),
        remember: int = 10_000,
    ) -> None:
        """Has heard nothing.

        Args:
            sides: number of copies; 2 or more.
            wait_ns: time, by the clock, for which later events wait for what one copy lacks.
            numbered: whether trade ids are consecutive numbers; else a trade that only a slow copy
                has is told when it comes, and so is every gap in the trades that one copy tells.
            unnumbered: names of venues of which that is so all the same.
            remember: ids that are kept to know repetitions by, where there are no numbers.

        Raises:
            SettingsError: fewer than two copies, or a negative wait.
        """
        if sides < 2 or wait_ns < 0:
            raise SettingsError(
                f"redundancy: expected 2 copies or more and a wait of 0 or more, "
                f"found {sides} and {wait_ns} ns"
            )
        self.sides: Sequence[Side] = tuple(Side() for _ in range(sides))
        self._wait_ns = wait_ns
        self._numbered = numbered
        self._unnumbered = frozenset(unnumbered)
        self._moments = Moments(self.sides, wait_ns)
        self._trades: dict[InstrumentId, TradeLine] = {}
        self._states: dict[tuple[InstrumentId, type[Event]], StateLine] = {}
        self._keys = KeyLine(self.sides, remember)
        self._listed: dict[InstrumentId, Instrument] = {}
        self._statuses: dict[InstrumentId, VenueStatusChanged] = {}
        self._ill: list[dict[_Stream, _Condition]] = [{} for _ in range(sides)]
        self._told_ill: set[_Stream] = set()

    @property
    def moment_ns(self) -> int:
        """Time of the last step that was told."""
        return self._moments.moment_ns

    def resume_ns(self, after_ns: int | None) -> int | None:
        """After which moment a copy goes on that begins anew; `after_ns` if none was told."""
        return after_ns if self.moment_ns == FROM_THE_START else self.moment_ns

    @property
    def mended(self) -> int:
        """Gaps of one copy that another filled: trades, and gaps in the bars."""
        return self._moments.mended + sum(line.mended for line in self._trades.values())

    @property
    def differing(self) -> int:
        """Bars that two copies tell differently; the first is told."""
        return self._moments.differing

    @property
    def due_ns(self) -> int | None:
        """When `advance` has something to do, by the clock; None: never."""
        dues = (line.due_ns for line in self._trades.values())
        known = [due for due in chain(dues, [self._moments.due_ns]) if due is not None]
        return min(known, default=None)

    def take(self, side: int, said: Step | Tape, now_ns: int) -> list[Step | Tape]:
        """Takes what one copy says.

        Args:
            side: which copy, from 0.
            said: a step or some tape.
            now_ns: the clock's time; need not be that of the events.
        """
        if isinstance(said, Tape):
            return self._told([event for e in said for event in self._taped(side, e, now_ns)])
        events, news, tape = self._sorted(side, said, now_ns)
        self._moments.take(side, said[0].time_ns, events, news, now_ns)
        return [*self._told(tape), *self._moments.release(now_ns)]

    def advance(self, now_ns: int) -> list[Step | Tape]:
        """Learns that it is `now_ns` by the clock: waiting may be over."""
        trades = [event for line in self._trades.values() for event in line.release(now_ns)]
        return [*self._told(trades), *self._moments.release(now_ns)]

    def lost(self, side: int, now_ns: int) -> list[Step | Tape]:
        """A copy is gone: nobody waits for it."""
        self.sides[side].live = False
        if not any(one.live for one in self.sides):
            self._silence()
        for line in self._trades.values():
            line.forget(side)
        self._moments.forget(side)
        ill = [event for stream in self._all_ill() for event in self._tell_ill(stream)]
        bars = [event for event in ill if event.stream == "bar"]
        self._moments.add(self.moment_ns + 1, bars, now_ns)
        return [*self._told([e for e in ill if e.stream != "bar"]), *self.advance(now_ns)]

    def found(self, side: int) -> None:
        """A copy is there again; what it said to be ill may be well."""
        self.sides[side].live = True
        self._ill[side].clear()

    def ill(self, side: int) -> int:
        """How many streams one copy does not tell well: all of them may be, where it is gone."""
        return len(self._ill[side])

    def promise(self, side: int, until_ns: int, now_ns: int) -> list[Step | Tape]:
        """Takes a copy's promise that it has no further moment at or before a time.

        It is told as far as every copy that is there has promised, and nothing waits.
        """
        self._moments.reach(side, until_ns)
        told: list[Step | Tape] = list(self._moments.release(now_ns))
        promised_ns = self._moments.promise()
        return told if promised_ns is None else [*told, Quiet.until(promised_ns)]

    def _has_numbers(self, instrument: InstrumentId) -> bool:
        return self._numbered and venue_of(instrument) not in self._unnumbered

    def _told(self, events: Sequence[Event]) -> list[Step | Tape]:
        """The tape; what is to be known of it (gaps, staleness) is a moment right after the last.

        In the order of the events: a gap comes before what follows it.
        """
        told: list[Step | Tape] = []
        for taped, run in groupby(events, lambda event: isinstance(event, _TAPED)):
            together = tuple(run)
            told.append(Tape(together) if taped else self._moments.beside(together))
        return told

    def _sorted(
        self, side: int, step: Step, now_ns: int
    ) -> tuple[list[Event], list[Event], list[Event]]:
        """What belongs to the moment; what is news whenever it comes; what belongs on the tape."""
        events: list[Event] = []
        news: list[Event] = []
        tape: list[Event] = []
        for event in step:
            if isinstance(event, InstrumentListed):
                news += self._listing(event)
            elif isinstance(event, FeedStale | FeedRecovered) and event.stream == "bar":
                news += self._condition(side, event)
            elif _is_taped(event):
                tape += self._taped(side, event, now_ns)
            elif isinstance(event, VenueStatusChanged):
                news += self._status(event)
            else:
                if isinstance(event, BarClosed):
                    news += self._well(side, event, "bar")
                events.append(event)
        return events, news, tape

    def _taped(self, side: int, event: Event, now_ns: int) -> Iterable[Event]:
        if isinstance(event, TradePrinted):
            return self._trade(side, event, now_ns)
        if isinstance(event, BookSnapshotTaken | QuoteChanged):
            return self._state(side, event)
        if isinstance(event, FeedStale | FeedRecovered | GapDetected):
            return self._condition(side, event)
        if isinstance(event, InstrumentListed):
            return self._listing(event)
        if isinstance(event, VenueStatusChanged):
            return self._status(event)
        return self._keys.take(side, event)

    def _trade(self, side: int, trade: TradePrinted, now_ns: int) -> Iterable[Event]:
        if not self._has_numbers(trade.instrument):
            return self._keys.take(side, trade)
        try:
            number = trade_number(trade)
        except InvalidDataError:
            # Better told without its place than not at all.
            return self._keys.take(side, trade)
        line = self._trades.get(trade.instrument)
        if line is None:
            line = self._trades[trade.instrument] = TradeLine(self.sides, self._wait_ns)
        told = line.take(side, number, trade, now_ns)
        return [*self._well(side, trade, "trade"), *told] if told else ()

    def _state(self, side: int, event: _State) -> Iterable[Event]:
        key = event.instrument, type(event)
        line = self._states.get(key)
        if line is None:
            line = self._states[key] = StateLine(self.sides)
        told = line.take(side, event.sequence or event.time_ns, event)
        return [*self._well(side, event, "book"), *told] if told else ()

    def _listing(self, event: InstrumentListed) -> Iterable[Event]:
        if self._listed.get(event.instrument) == event.rules:
            return ()
        self._listed[event.instrument] = event.rules
        return (event,)

    def _status(self, event: VenueStatusChanged) -> Iterable[Event]:
        last = self._statuses.get(event.instrument)
        if last is not None and (event.time_ns < last.time_ns or event.status == last.status):
            return ()
        self._statuses[event.instrument] = event
        return (event,)

    def _condition(self, side: int, event: _Condition) -> Iterable[Event]:
        """One copy is ill or well: it is told when all are, or one is again."""
        stream = event.instrument, event.stream
        if isinstance(event, FeedRecovered):
            self._ill[side].pop(stream, None)
            if stream not in self._told_ill:
                return ()
            self._told_ill.discard(stream)
            return (event,)
        if isinstance(event, GapDetected) and event.stream == "trade":
            # Numbers tell better what all copies lack.
            numbered = self._has_numbers(event.instrument)
            return () if numbered else self._keys.take(side, event)
        self._ill[side][stream] = event
        if stream in self._told_ill or stream not in self._all_ill():
            return ()
        return self._tell_ill(stream)

    def _well(self, side: int, event: MarketEvent, stream: str) -> Iterable[Event]:
        """A copy that began anew knows of no illness: that it speaks is recovery."""
        if (event.instrument, stream) not in self._told_ill:
            return ()
        if (event.instrument, stream) in self._ill[side]:
            return ()
        self._told_ill.discard((event.instrument, stream))
        return (FeedRecovered(time_ns=event.time_ns, instrument=event.instrument, stream=stream),)

    def _silence(self) -> None:
        """No copy is left: all streams are ill."""
        heard = {(name, "bar"): time_ns for name, time_ns in self._moments.closes().items()}
        heard |= {(name, "trade"): line.time_ns for name, line in self._trades.items()}
        heard |= {(name, "book"): line.time_ns for (name, _), line in self._states.items()}
        for stream, last_ns in heard.items():
            name, kind = stream
            stale = FeedStale(time_ns=last_ns + 1, instrument=name, last_ns=last_ns, stream=kind)
            for streams in self._ill:
                streams.setdefault(stream, stale)

    def _all_ill(self) -> list[_Stream]:
        """Streams that no copy tells well, of those that one said to be ill."""
        sides = zip(self.sides, self._ill, strict=True)
        ill = [streams for side, streams in sides if side.live]
        ill = ill or self._ill
        return [stream for stream in ill[0] if all(stream in streams for streams in ill)]

    def _tell_ill(self, stream: _Stream) -> list[_Condition]:
        if stream in self._told_ill:
            return []
        self._told_ill.add(stream)
        said = [streams[stream] for streams in self._ill if stream in streams]
        return [max(said, key=lambda event: event.time_ns)]


def _is_taped(event: Event) -> bool:
    """Whether it has no moment, though somebody said it in a step."""
    if isinstance(event, GapDetected | FeedStale | FeedRecovered):
        return event.stream != "bar"
    return isinstance(event, _TAPED)
