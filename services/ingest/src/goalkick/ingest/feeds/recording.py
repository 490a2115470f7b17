"""Recordings of raw frames as a feed: through the same parsers as what comes live.

Frames are read in order of receipt, their events brought into order of their own time within a
window, and bars built of the trades; what is later than the window is left out and counted.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    GapDetected,
    InstrumentListed,
    TradePrinted,
)
from goalkick.common.ports.feed import FROM_THE_START, Step
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.bars import Fate, TradeBars
from goalkick.ingest.books import RefusedMessageError
from goalkick.ingest.foreign_recordings import ForeignRecording
from goalkick.ingest.recording import SUFFIX, Frame, Kind, Recording
from goalkick.ingest.wire.base import WireInstrument
from goalkick.ingest.wire.parser import WireParser, instruments_of, parser_for

WINDOW_NS: Final = 5 * NS_PER_SECOND
"""Time of the events within which they are brought into order: venues' and recorders' clocks differ
by seconds. More only costs memory."""

_LISTS: Final = ("exchangeInfo", "instruments", "products", "AssetPairs", "/symbols")
"""Parts of the addresses at which venues answer with their instruments."""


class Frames(Protocol):
    """A recording: ours or somebody else's."""

    @property
    def path(self) -> Path:
        """Of the file."""

    def frames(self, from_ns: int | None = None) -> Iterator[Frame]:
        """The frames in order of receipt."""


def open_recording(path: Path) -> Frames:
    """The recording in a file: ours by its name, else one that others made."""
    return Recording(path) if path.name.endswith(SUFFIX) else ForeignRecording(path)


def instruments_in(recordings: Iterable[Frames], venue: str) -> list[WireInstrument]:
    """The instruments that a venue listed in recorded answers, none twice.

    Raises:
        SettingsError: no parser understands this venue.
        InvalidDataError: an answer is no list of instruments, or a recording is corrupt.
    """
    found: dict[InstrumentId, WireInstrument] = {}
    for frame in chain.from_iterable(recording.frames() for recording in recordings):
        if frame.kind is Kind.ANSWERED and lists_instruments(frame):
            for entry in instruments_of(venue, decoded(frame)):
                found[entry.rules.id] = entry
    return list(found.values())


class RecordingFeed:
    """Recordings as a `RecordedFeed`; the same whoever asks.

    Its steps hold what was traded and quoted at their time, the bars that ended, and the gaps.

    Attributes:
        counts: what happened to frames and events when the steps were last asked for: `refused`,
            `late`, `late trade`, `repeated trade`.
        refusals: why messages were refused, the first hundred.
    """

    def __init__(
        self,
        recordings: Mapping[str, Sequence[Frames]],
        instruments: Mapping[str, Sequence[WireInstrument]],
        intervals: Sequence[int],
        *,
        numbered: bool = True,
        window_ns: int = WINDOW_NS,
        parser: Callable[[str, Iterable[WireInstrument]], WireParser] = parser_for,
    ) -> None:
        """Reads nothing yet.

        Args:
            recordings: of each venue (ccxt's name of it). Ours follow each other, oldest first;
                what others made is merged by the time of receipt.
            instruments: of each venue; what is recorded of others is ignored. See
                `instruments_in`.
            intervals: lengths of the bars (ns) that are built of the trades; a venue's own bars of
                these lengths are left out. Empty: the venue's own bars alone.
            numbered: whether the venues number their trades one by one.
            window_ns: time of the events within which they are brought into order.
            parser: makes a parser for a venue.

        Raises:
            SettingsError: an interval is not positive, or no parser understands a venue.
            InvalidDataError: there is no recording, or no instrument of a venue.
        """
        for venue, files in recordings.items():
            if not files or not instruments.get(venue):
                raise InvalidDataError(
                    f"replay of {venue}: expected recordings and instruments, found {len(files)} "
                    f"and {len(instruments.get(venue, ()))}"
                )
            parser(venue, instruments[venue])
        if not recordings:
            raise InvalidDataError("replay: expected recordings, found none")
        self.counts: Counter[str] = Counter()
        self.refusals: list[str] = []
        self._recordings = recordings
        self._instruments = {venue: tuple(instruments[venue]) for venue in recordings}
        self._intervals = tuple(intervals)
        self._numbered = numbered
        self._window_ns = window_ns
        self._parser = parser
        self._bars()

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks.

        Raises:
            InvalidDataError: a recording is corrupt; what was before it has been given.
        """
        self.counts.clear()
        self.refusals.clear()
        # Books and bars are made of the whole past.
        return (step for step in self._steps() if step[0].time_ns >= from_ns)

    def _steps(self) -> Iterator[Step]:
        bars = self._bars()
        shortest_ns = min(self._intervals, default=1)
        last_ns: int | None = None
        for time_ns, events in self._moments():
            if last_ns is None:
                yield self._listing(time_ns - 1)
                last_ns = FROM_THE_START
            # Bars end at multiples of the shortest length; else there is nothing to look for.
            ended: list[Event] = []
            if time_ns // shortest_ns != last_ns // shortest_ns:
                ended += [event for one in bars.values() for event in one.advance(time_ns)]
            last_ns = time_ns
            yield from self._moment(time_ns, events, bars, ended)

    def _bars(self) -> dict[InstrumentId, TradeBars]:
        if not self._intervals:
            return {}
        return {
            entry.rules.id: TradeBars(entry.rules.id, self._intervals, numbered=self._numbered)
            for entries in self._instruments.values()
            for entry in entries
        }

    def _listing(self, time_ns: int) -> Step:
        rules = {e.rules.id: e.rules for entries in self._instruments.values() for e in entries}
        return tuple(
            InstrumentListed(time_ns=time_ns, instrument=name, rules=rules[name])
            for name in sorted(rules)
        )

    def _moment(
        self,
        time_ns: int,
        events: Sequence[Event],
        bars: Mapping[InstrumentId, TradeBars],
        ended: Sequence[Event],
    ) -> Iterator[Step]:
        """The bars that ended before, then everything of this moment."""
        at: dict[int, list[Event]] = {}
        told = list(ended)
        for event in events:
            if isinstance(event, TradePrinted) and event.instrument in bars:
                outcome = bars[event.instrument].on_trade(event)
                told += outcome.told
                if outcome.fate is not Fate.COUNTED:
                    self.counts[f"{outcome.fate} trade"] += 1
                if outcome.fate is Fate.REPEATED:
                    continue
            elif bars and self._built_here(event):
                continue
            at.setdefault(time_ns, []).append(event)
        for bar in told:
            at.setdefault(bar.time_ns, []).append(bar)
        for then_ns in sorted(at):
            yield sorted(at[then_ns], key=_by_key)

    def _built_here(self, event: Event) -> bool:
        """Whether it says what the bars of the trades say."""
        if isinstance(event, GapDetected):
            return event.stream == "trade" and self._numbered
        return isinstance(event, BarClosed) and event.interval_ns in self._intervals

    def _moments(self) -> Iterator[tuple[int, Sequence[Event]]]:
        """All events by their time, those of one time in order of receipt."""
        waiting: list[tuple[int, int, Event]] = []
        newest_ns = told_ns = FROM_THE_START
        for number, event in enumerate(self._events()):
            if event.time_ns <= told_ns:
                self.counts["late"] += 1
                continue
            heapq.heappush(waiting, (event.time_ns, number, event))
            newest_ns = max(newest_ns, event.time_ns)
            while waiting and waiting[0][0] < newest_ns - self._window_ns:
                told_ns = waiting[0][0]
                yield told_ns, _popped(waiting)
        while waiting:
            yield waiting[0][0], _popped(waiting)

    def _events(self) -> Iterator[Event]:
        venues = sorted(self._recordings)
        for _, _, events in heapq.merge(*map(self._of_venue, venues), key=_by_receipt):
            yield from events

    def _of_venue(self, venue: str) -> Iterator[tuple[int, str, Sequence[Event]]]:
        parser = self._parser(venue, self._instruments[venue])
        for frame in _merged(self._recordings[venue]):
            try:
                events = self._parsed(parser, venue, frame)
            except RefusedMessageError as error:
                self._refuse(str(error))
                events = error.events
            except InvalidDataError as error:
                self._refuse(str(error))
                events = ()
            if events:
                yield frame.received_ns, venue, events

    def _parsed(self, parser: WireParser, venue: str, frame: Frame) -> Sequence[Event]:
        received_ns = frame.received_ns
        if frame.kind is Kind.RECEIVED:
            message = decoded(frame)
            if isinstance(message, dict) and "lastUpdateId" in message:
                return self._book(parser, venue, frame, message)
            return parser.parse(message, received_ns)
        if frame.kind is Kind.ANSWERED and not lists_instruments(frame):
            return self._book(parser, venue, frame, decoded(frame))
        if frame.kind in (Kind.CLOSED, Kind.DROPPED):
            return parser.disconnected(received_ns)
        return ()

    def _book(self, parser: WireParser, venue: str, frame: Frame, body: Any) -> Sequence[Event]:
        """An answer with a book; whose it is says the address, or that there is only one."""
        entries = self._instruments[venue]
        query = parse_qs(urlsplit(frame.connection).query)
        named = query.get("symbol", [entries[0].symbol] if len(entries) == 1 else [])
        for entry in entries:
            if entry.symbol in named:
                return parser.book(entry.rules.id, body, frame.received_ns)
        self.counts["ignored answer"] += 1
        return ()

    def _refuse(self, reason: str) -> None:
        self.counts["refused"] += 1
        if len(self.refusals) < 100:
            self.refusals.append(reason)


def _merged(recordings: Iterable[Frames]) -> Iterator[Frame]:
    """Ours one after the other, for there may be many; all others beside them."""
    ours = [recording for recording in recordings if isinstance(recording, Recording)]
    streams = [recording.frames() for recording in recordings if recording not in ours]
    streams.append(chain.from_iterable(recording.frames() for recording in ours))
    return heapq.merge(*streams, key=_by_time)


def _by_time(frame: Frame) -> int:
    return frame.received_ns


def _popped(waiting: list[tuple[int, int, Event]]) -> list[Event]:
    """Takes out all events of the earliest time."""
    time_ns = waiting[0][0]
    events = []
    while waiting and waiting[0][0] == time_ns:
        events.append(heapq.heappop(waiting)[2])
    return events


def decoded(frame: Frame) -> Any:
    """What a frame says.

    Raises:
        InvalidDataError: it is no JSON.
    """
    try:
        return msgspec.json.decode(frame.text)
    except msgspec.DecodeError as error:
        raise InvalidDataError(
            f"expected a JSON message, found {frame.text[:80]!r} ({error})"
        ) from None


def lists_instruments(frame: Frame) -> bool:
    """Whether a frame is an answer in which a venue lists its instruments."""
    path = urlsplit(frame.connection).path
    return any(part in path for part in _LISTS)


def _by_receipt(item: tuple[int, str, Sequence[Event]]) -> tuple[int, str]:
    return item[0], item[1]


def _by_key(event: Event) -> str:
    return event.key
