"""A recording of the live feed, told again as the live feed told it.

The same intake takes the same messages in the same order; its clock is the time of their receipt.
What the venue was asked stands in the recording as its answers, and nobody asks anything. What only
our own clock knew (silence on a connection on which nothing else came) is found again at the next
frame.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed
from goalkick.common.ports.feed import FROM_THE_START, Step, Tape
from goalkick.common.values.ids import InstrumentId, venue_of
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND, parse_duration
from goalkick.ingest.feeds.live_bars import LiveBars, empty_bars
from goalkick.ingest.feeds.recording import Frames, decoded, lists_instruments
from goalkick.ingest.feeds.stream_connection import Heard, Note
from goalkick.ingest.feeds.stream_intake import TRADES_WAIT_S, Intake
from goalkick.ingest.feeds.stream_roles import Said
from goalkick.ingest.feeds.stream_tally import FeedTally
from goalkick.ingest.feeds.stream_venues import dialect_of
from goalkick.ingest.recording import Frame, Kind
from goalkick.ingest.settings import CcxtSettings
from goalkick.ingest.wire.base import WireInstrument
from goalkick.ingest.wire.parser import instruments_of

_TICK_NS: Final = 50 * NS_PER_MS
"""Time between two looks at what is late, as the live feed takes them."""


class RecordedStream:
    """Recordings of the live feed as a `RecordedFeed`; the same whoever asks.

    Attributes:
        tally: what was counted when the steps were last asked for.
    """

    def __init__(self, recordings: Mapping[str, Sequence[Frames]], settings: CcxtSettings) -> None:
        """Reads up to where the venues list the instruments.

        Args:
            recordings: of each venue (ccxt's name of it), oldest first.
            settings: of the feed that was recorded: its instruments, streams and length of bars.

        Raises:
            SettingsError: the streams of a venue cannot be listened to.
            InvalidDataError: a recording is missing, is corrupt or does not list an instrument.
        """
        missing = set(settings.venues) - {name for name, files in recordings.items() if files}
        if missing:
            raise InvalidDataError(
                f"replay: expected a recording of {', '.join(sorted(missing))}, for the "
                "instruments are traded there, found none"
            )
        self.tally = FeedTally()
        self._settings = settings
        self._recordings = {name: tuple(recordings[name]) for name in settings.venues}
        self._listed = {name: self._find_listed(name) for name in settings.venues}
        self.begin_ns = min(next(iter(self._frames(name)))[0] for name in settings.venues)

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks.

        Raises:
            InvalidDataError: a recording is corrupt; what was before it has been given.
        """
        for said in self.said():
            if not isinstance(said, Tape) and said[0].time_ns >= from_ns:
                yield said

    def said(self) -> Iterator[Step | Tape]:
        """All that the live feed said: the steps, and the tape beside them.

        Raises:
            InvalidDataError: a recording is corrupt; what was before it has been given.
        """
        self.tally = FeedTally()
        rules = {
            entry.rules.id: entry.rules for listed in self._listed.values() for entry in listed
        }
        clock = ManualClock(self.begin_ns)
        bars = empty_bars(self._settings, rules, None, self.begin_ns)
        lines = {
            name: _Line(name, listed, self._settings, bars, clock, self.tally)
            for name, listed in self._listed.items()
        }
        yield bars.listing()
        looked_ns = 0
        for _, venue, frame in merge(*map(self._frames, lines), key=_by_receipt):
            # Threads of the recorder's may have put frames a moment out of order.
            clock.set(max(clock.now_ns(), frame.received_ns))
            said = lines[venue].take(frame)
            if due := clock.now_ns() - looked_ns >= _TICK_NS:
                looked_ns = clock.now_ns()
                for line in lines.values():
                    said.news.extend(line.tick(said))
            if said.news:
                yield bars.beside(said.news)
            if said.tape:
                yield Tape(said.tape)
            if due or bars.changed:
                yield from bars.release(clock.now_ns())

    def _frames(self, venue: str) -> Iterator[tuple[int, str, Frame]]:
        for frame in chain.from_iterable(one.frames() for one in self._recordings[venue]):
            yield frame.received_ns, venue, frame

    def _find_listed(self, venue: str) -> list[WireInstrument]:
        """The venue's first words about each of the instruments."""
        wanted = {id_ for id_ in self._settings.instruments if venue_of(id_) == venue}
        found: dict[InstrumentId, WireInstrument] = {}
        for _, _, frame in self._frames(venue):
            if frame.kind is Kind.ANSWERED and lists_instruments(frame):
                for entry in instruments_of(venue, decoded(frame)):
                    if entry.rules.id in wanted:
                        found.setdefault(entry.rules.id, entry)
            if len(found) == len(wanted):
                return list(found.values())
        raise InvalidDataError(
            f"{self._recordings[venue][0].path}: expected the venue's list of instruments with "
            f"{', '.join(sorted(wanted - set(found)))}, found none"
        )


class _Line:
    """One venue's frames on their way into its intake; plays the connection and whoever asks."""

    def __init__(
        self,
        name: str,
        listed: Sequence[WireInstrument],
        settings: CcxtSettings,
        bars: LiveBars,
        clock: ManualClock,
        tally: FeedTally,
    ) -> None:
        self.inbox: deque[Heard] = deque()
        self.live = False
        self.client: Any = None
        self._name = name
        self._dialect = dialect_of(name)
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._ids = {entry.symbol: entry.rules.id for entry in listed}
        self._pages: dict[InstrumentId, list[BarClosed]] = {}
        self._asked_ns: dict[InstrumentId, int] = {}
        self._begun = self._known = False
        rules: dict[InstrumentId, Instrument] = {one.rules.id: one.rules for one in listed}
        self._intake = Intake(
            name,
            self._dialect,
            settings,
            rules,
            {id_: symbol for symbol, id_ in self._ids.items()},
            self,
            "",
            self,
            self,
            bars,
            clock,
            tally,
            clock.now_ns,
        )

    def take(self, frame: Frame) -> Said:
        """What a frame makes the live feed say."""
        match frame.kind:
            case Kind.OPENED:
                self.live = True
                self._intake.begun()
            case Kind.CLOSED | Kind.DROPPED:
                # What was not recorded is as good as not heard.
                self.live = self.live and frame.kind is Kind.DROPPED
                self.note(self._intake.lost)
            case Kind.RECEIVED:
                self._hear(frame)
            case Kind.ANSWERED:
                self.note(lambda now_ns, said: self._answer(frame, now_ns, said))
            case _:
                pass
        return self._intake.drain()

    def tick(self, said: Said) -> Sequence[Event]:
        """What is overdue by now."""
        now_ns = self._clock.now_ns()
        for id_, asked_ns in tuple(self._asked_ns.items()):
            if now_ns - asked_ns > TRADES_WAIT_S * NS_PER_SECOND:
                del self._asked_ns[id_]
                self._intake.take_trades(id_, (), said)
        return self._intake.tick(now_ns)

    def _hear(self, frame: Frame) -> None:
        try:
            message = decoded(frame)
        except InvalidDataError:
            self._tally.refuse(self._name)
            return
        spoken = self._dialect.stream_of(message) if isinstance(message, dict) else None
        if spoken is not None and spoken[0] in self._ids:
            stream = self._ids[spoken[0]], spoken[1]
            self.inbox.append(Heard(frame.received_ns, stream, message))

    def _answer(self, frame: Frame, now_ns: int, said: Said) -> None:
        if lists_instruments(frame):
            # The first list is where the rules come from; later ones tell what changed.
            if self._known:
                self._intake.take_rules(self._intake.rules_in(decoded(frame)), said)
            self._known = True
            return
        address = urlsplit(frame.connection)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        id_ = self._ids.get(query.get("symbol", ""))
        if id_ is None:
            return
        if "kline" in address.path:
            if _length_ns(query.get("interval", "")) == self._settings.interval:
                self._take_bars(id_, decoded(frame), now_ns)
        elif "trade" in address.path.lower():
            if self._asked_ns.pop(id_, None) is not None:
                found = self._intake.trades_in(id_, decoded(frame), now_ns)
                self._intake.take_trades(id_, found, said)
        elif "depth" in address.path or "orderbook" in address.path:
            self._intake.take_book(id_, decoded(frame), now_ns, said)

    def _take_bars(self, id_: InstrumentId, body: Any, now_ns: int) -> None:
        """Takes a page of bars; as long as others follow, the live feed waited for them."""
        page = self._intake.closed(id_, self._intake.bars_in(id_, body), now_ns)
        pages = self._pages.setdefault(id_, [])
        pages += page
        closed_ns = self._intake.closed_ns(id_, now_ns)
        if not page or page[-1].time_ns + self._settings.interval > closed_ns:
            self._intake.take_bars(id_, self._pages.pop(id_))

    # A connection, as an intake sees it.

    def note(self, content: Note) -> None:
        """Puts something behind what has been heard."""
        self.inbox.append(Heard(self._clock.now_ns(), None, content))

    def fail(self, reason: str) -> None:
        """The live feed built its connection anew, as the recording will tell."""

    # Whoever asks, as an intake sees them: the answers come from the recording.

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Nobody is asked.

        Raises:
            InvariantError: always.
        """
        raise InvariantError("replay: expected nothing to be asked of a venue")

    def start(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> bool:
        """The live feed asked; whether it was answered the recording tells."""
        if isinstance(key, tuple) and key[0] == "trades":
            self._asked_ns.setdefault(key[1], self._clock.now_ns())
        return True

    def put_off(self, key: Hashable, delay_ns: int) -> None:
        """Nothing is under way."""

    def failed(self, key: Hashable) -> None:
        """Nothing is under way."""

    def succeeded(self, key: Hashable) -> None:
        """Nothing is under way."""


def _length_ns(word: str) -> int | None:
    """Length of the bars that were asked for: `1m`, or minutes alone; None: months and the like."""
    if word.isdigit():
        return int(word) * NS_PER_MINUTE
    try:
        return parse_duration(word)
    except ValueError:
        return None


def _by_receipt(item: tuple[int, str, Frame]) -> tuple[int, str]:
    return item[0], item[1]
