"""What all wire parsers share: instruments, settings, the books they hold, errors and counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, BookSnapshotTaken, GapDetected
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_MINUTE, format_time
from goalkick.ingest.books import Book, BookRules, Publishing, RefusedMessageError
from goalkick.ingest.wire.readings import checked_time, trade_of

Item = TypeVar("Item")

_SHOWN: Final = 120
"""Characters of a message that an error shows."""


class WireInstrument(msgspec.Struct, frozen=True):
    """An instrument as its venue spells it.

    Attributes:
        symbol: the venue's name of it in messages (`BTCUSDT`, `BTC-USDT`, `XBT/USD`).
        rules: what may be traded; prices and quantities of events are in the venue's units (for
            contracts: quantities in contracts).
        active: it may be traded now.
        aliases: other spellings of the same venue.
    """

    symbol: str
    rules: Instrument
    active: bool = True
    aliases: tuple[str, ...] = ()


class WireSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What may be set for all parsers.

    Attributes:
        publishing: how much of the books is published.
        max_ahead_ns: how far a message's own time may lie after its receipt, ns.
        max_behind_ns: how far it may lie before it, ns; what repeats the past on purpose (first
            messages of a subscription, answers to requests) may be older.
        from_ns: messages received before it are refused, UTC ns; None: none are.
        until_ns: messages received at or after it are refused, UTC ns; None: none are. With
            `from_ns`, the span of a recording.
    """

    publishing: Publishing = Publishing()
    max_ahead_ns: int = NS_PER_MINUTE
    max_behind_ns: int = NS_PER_HOUR
    from_ns: int | None = None
    until_ns: int | None = None


class Tracked:
    """What a parser knows of one instrument.

    Attributes:
        id: the instrument.
        rules: its venue's.
        book: its order book.
        wanted: a book message came for it, so that its book is of interest.
        stream: the stream that its book follows, where a venue has several; "": none yet.
        mark: a second number of its book, which must not fall.
        trade: the last trade's number and texts, by space of numbers.
        bars: the running bar by interval, where the venue says no end of it.
    """

    __slots__ = ("bars", "book", "id", "mark", "rules", "stream", "trade", "wanted")

    def __init__(self, rules: Instrument, book: Book) -> None:
        """Nothing heard of yet."""
        self.id = rules.id
        self.rules = rules
        self.book = book
        self.wanted = False
        self.stream = ""
        self.mark = 0
        self.trade: dict[str, tuple[int, str, str]] = {}
        self.bars: dict[int, BarClosed] = {}


class BaseParser:
    """What the venues' parsers have in common; they say `_parse`, `book`, `trades` and `bars`."""

    RULES: BookRules = BookRules()
    NUMBERED = True
    """Whether a lost change shows by the next one's number."""

    def __init__(
        self,
        instruments: Iterable[WireInstrument],
        settings: WireSettings | None = None,
        venue: str = "",
    ) -> None:
        """A parser that knows these instruments and ignores (and counts) all others.

        Args:
            instruments: their spelling and rules; all of one venue.
            settings: what may be set; None: the defaults.
            venue: the venue's name; "": that of the first instrument.

        Raises:
            ValueError: no instruments.
        """
        listed = tuple(instruments)
        if not listed:
            raise ValueError("expected at least one instrument, found none")
        self.venue = venue or listed[0].rules.venue
        self.settings = settings or WireSettings()
        self.counts: Counter[str] = Counter()
        self._by_symbol: dict[str, Tracked] = {}
        self._by_id: dict[InstrumentId, Tracked] = {}
        for entry in listed:
            book = Book(entry.rules.id, self.RULES, self.settings.publishing, self.counts)
            tracked = Tracked(entry.rules, book)
            self._by_id[entry.rules.id] = tracked
            for symbol in (entry.symbol, *entry.aliases):
                self._by_symbol[symbol] = tracked

    @property
    def needs_snapshot(self) -> tuple[InstrumentId, ...]:
        """Instruments whose book had messages and is invalid."""
        return tuple(t.id for t in self._by_id.values() if t.wanted and not t.book.live)

    @property
    def snapshots_by_request(self) -> bool:
        """Whether snapshots are asked for, not streamed."""
        return not self.RULES.from_stream

    def parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        """The events that a decoded stream message leads to."""
        try:
            self._check_span(received_ns)
            return self._parse(message, received_ns)
        except RefusedMessageError as error:
            raise self._refusal(str(error), message, error.events) from None
        except (InvalidDataError, msgspec.ValidationError) as error:
            lost = self._doubted(message, received_ns)
            raise self._refusal(str(error), message, lost) from None

    def parse_text(self, text: bytes | str, received_ns: int) -> Sequence[Event]:
        """The events that a stream message leads to, from JSON text."""
        return self.parse(self._decoded(text), received_ns)

    def disconnected(self, time_ns: int) -> Sequence[Event]:
        """All books are invalid until there are new snapshots."""
        events: list[Event] = []
        for tracked in self._by_id.values():
            events += tracked.book.lose(time_ns)
            tracked.bars.clear()
            tracked.stream = ""
            tracked.mark = 0
        return events

    def flush(self) -> Sequence[Event]:
        """Tops of books that changed since they were last published."""
        return [event for tracked in self._by_id.values() for event in tracked.book.flush()]

    def book(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """Takes the answer to a request for the book."""
        raise self._unknown("book", instrument)

    def trades(self, instrument: InstrumentId, body: Any, received_ns: int) -> Sequence[Event]:
        """The trades of an answer."""
        raise self._unknown("trades", instrument)

    def bars(
        self, instrument: InstrumentId, body: Any, received_ns: int, interval_ns: int
    ) -> Sequence[Event]:
        """The closed bars of an answer."""
        raise self._unknown("bars", instrument)

    def _unknown(self, what: str, instrument: InstrumentId) -> InvalidDataError:
        return InvalidDataError(
            f"{self.venue}: expected no answer with {what}, found one for {instrument}: "
            "this parser knows the venue's streams alone"
        )

    def _parse(self, message: Any, received_ns: int) -> Sequence[Event]:
        raise NotImplementedError

    def _check_span(self, received_ns: int) -> None:
        from_ns, until_ns = self.settings.from_ns, self.settings.until_ns
        if (from_ns is not None and received_ns < from_ns) or (
            until_ns is not None and received_ns >= until_ns
        ):
            raise InvalidDataError(
                f"expected a message received between {from_ns} and {until_ns}, "
                f"found one of {received_ns}"
            )

    def _decoded(self, text: bytes | str) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidDataError(
                f"{self.venue}: expected a JSON message, found {text[:_SHOWN]!r} ({error})"
            ) from None

    def _refusal(
        self, reason: str, message: Any, events: Sequence[Event] = ()
    ) -> RefusedMessageError:
        self.counts["refused"] += 1
        return RefusedMessageError(f"{self.venue}: {reason}; in {_shown(message)}", events)

    def _answered(self, body: Any, read: Callable[[], Sequence[Event]]) -> Sequence[Event]:
        """What `read` makes of an answer, its errors told as those of a message."""
        try:
            return read()
        except RefusedMessageError as error:
            raise self._refusal(str(error), body, error.events) from None
        except (InvalidDataError, msgspec.ValidationError) as error:
            raise self._refusal(str(error), body) from None

    def _pictured(
        self,
        tracked: Tracked,
        time_ns: int,
        sequence: int,
        bids: Sequence[Any],
        asks: Sequence[Any],
    ) -> Sequence[Event]:
        """A book that was asked for at a venue that streams its snapshots: published alone."""
        rules = msgspec.structs.replace(self.RULES, checksum=None)
        book = Book(tracked.id, rules, self.settings.publishing, self.counts)
        events = book.snapshot(checked_time(time_ns), sequence, bids, asks)
        if not events:
            raise InvalidDataError("expected bids below asks, found a crossed book")
        return [event for event in events if isinstance(event, BookSnapshotTaken)]

    def _ignored(self, kind: str) -> Sequence[Event]:
        self.counts[f"ignored {kind}"] += 1
        return ()

    def _items(self, items: list[Item]) -> list[Item]:
        """What a message carries; one that carries nothing is counted too."""
        if not items:
            self._ignored("empty message")
        return items

    def _tracked(self, symbol: str) -> Tracked | None:
        tracked = self._by_symbol.get(symbol)
        if tracked is None:
            self.counts["ignored: another instrument"] += 1
        return tracked

    def _known(self, instrument: InstrumentId) -> Tracked:
        tracked = self._by_id.get(instrument)
        if tracked is None:
            raise InvalidDataError(
                f"{self.venue}: expected an instrument that the parser was told of, "
                f"found {instrument!r}"
            )
        return tracked

    def _book_in(self, message: Any) -> tuple[bool, Any]:
        """Whether a message that cannot be read is about a book, and the symbol in it if any."""
        raise NotImplementedError

    def _doubted(self, message: Any, received_ns: int) -> list[Event]:
        """A message cannot be read: if it was a book's, that book is wrong from now on.

        Where changes are not numbered and none is named, any book may be.
        """
        about_book, symbol = self._book_in(message)
        if not about_book:
            return []
        if isinstance(symbol, str):
            named = self._by_symbol.get(symbol)
            doubted = [named] if named else []
        else:
            doubted = [] if self.NUMBERED else list(self._by_id.values())
        return [event for tracked in doubted for event in tracked.book.lose(received_ns)]

    def _timely(self, time_ns: int, received_ns: int, *, may_be_old: bool = False) -> int:
        """`time_ns` if it may be the time of something received at `received_ns`."""
        ahead_ns = time_ns - received_ns
        if -self.settings.max_behind_ns <= ahead_ns <= self.settings.max_ahead_ns:
            return time_ns
        if ahead_ns < 0 and may_be_old:
            return checked_time(time_ns)
        checked_time(time_ns)
        raise InvalidDataError(
            f"expected a time near its receipt at {format_time(received_ns)}, "
            f"found {format_time(time_ns)}"
        )

    def _print(
        self,
        tracked: Tracked,
        number: int,
        price: str,
        quantity: str,
        side: Side,
        time_ns: int,
        space: str = "",
        *,
        contiguous: bool = True,
    ) -> Sequence[Event]:
        """A trade of a stream whose numbers rise, and what is missing before it.

        Args:
            tracked: the instrument.
            number: the trade's.
            price: in quote currency.
            quantity: in base currency.
            side: the taker's.
            time_ns: the venue's time of it.
            space: which numbers these are, where a venue has several; ids begin with it.
            contiguous: the numbers follow each other, so that a missing one shows.

        Raises:
            InvalidDataError: it is no trade, or has another trade's number.
        """
        known = tracked.trade.get(space)
        if known is not None and number <= known[0]:
            if number == known[0] and (price, quantity) != known[1:]:
                raise InvalidDataError(
                    f"expected a trade of its own number, found {number} a second time with "
                    f"{quantity} at {price}, before with {known[2]} at {known[1]}"
                )
            self.counts["old trade"] += 1
            return ()
        trade = trade_of(tracked.id, f"{space}{number}", price, quantity, side, time_ns)
        tracked.trade[space] = (number, price, quantity)
        self.counts["trade"] += 1
        if known is None or number == known[0] + 1 or not contiguous:
            return (trade,)
        self.counts["trade gap"] += 1
        missing = GapDetected(
            time_ns=time_ns,
            instrument=tracked.id,
            from_ns=time_ns,
            to_ns=time_ns + 1,
            missing=number - known[0] - 1,
            stream="trade",
        )
        return missing, trade

    def _running(self, tracked: Tracked, bar: BarClosed) -> Sequence[Event]:
        """Remembers a bar that nobody says the end of; it is closed when a later one begins."""
        last = tracked.bars.get(bar.interval_ns)
        tracked.bars[bar.interval_ns] = bar
        if last is None or last.time_ns == bar.time_ns:
            self.counts["running bar"] += 1
            return ()
        if bar.time_ns < last.time_ns:
            tracked.bars[bar.interval_ns] = last
            self.counts["old bar"] += 1
            return ()
        self.counts["bar"] += 1
        return (last,)


def _shown(message: Any) -> str:
    text = repr(message)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
