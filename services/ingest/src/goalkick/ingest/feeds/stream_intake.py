"""What a venue said, made events: parsed, checked, completed by requests where something lacks.

Works between two looks at the event loop, message by message, and starts errands (snapshots of
books, bars and trades that were missed, the venue's rules) whose results come back in their turn
among the messages.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from goalkick.common.core.errors import InvalidDataError, TransientError
from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BarClosed,
    BookSnapshotTaken,
    FeedRecovered,
    FeedStale,
    GapDetected,
    InstrumentListed,
    QuoteChanged,
    TradePrinted,
    VenueStatus,
    VenueStatusChanged,
)
from goalkick.common.ports.clock import Clock
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.books import Publishing
from goalkick.ingest.feeds.live_bars import LiveBars
from goalkick.ingest.feeds.stream_health import Health, Kind, Stream
from goalkick.ingest.feeds.stream_roles import Asking, Chores, Hearing, Listed, Said
from goalkick.ingest.feeds.stream_tally import FeedTally
from goalkick.ingest.feeds.stream_trade_bars import BarsFromTrades
from goalkick.ingest.feeds.stream_trades import TradeLines
from goalkick.ingest.feeds.stream_venues import Dialect, statuses_of
from goalkick.ingest.settings import CcxtSettings
from goalkick.ingest.wire.base import WireInstrument, WireSettings
from goalkick.ingest.wire.parser import instruments_of, parser_for

log = structlog.get_logger()

_FIRST_BOOK_NS = NS_PER_SECOND
"""How long a first change of a book is waited for before the book is asked for: in a quiet market
none comes."""
TRADES_WAIT_S = 5.0
"""How long trades wait for those that are missing before them."""

_ALL_NS = 2**63 - 1  # no bar is later
_STREAMS = {"bars": Kind.BAR, "trades": Kind.TRADE, "quotes": Kind.QUOTE, "books": Kind.BOOK}


class Intake:
    """One venue's messages on their way to events."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        settings: CcxtSettings,
        rules: Mapping[InstrumentId, Instrument],
        symbols: Mapping[InstrumentId, str],
        requests: Asking,
        timeframe: str,
        connection: Hearing,
        errands: Chores,
        bars: LiveBars,
        clock: Clock,
        tally: FeedTally,
        steady_ns: Callable[[], int] | None = None,
    ) -> None:
        """Has heard nothing.

        Args:
            name: ccxt's name of the venue.
            dialect: how it is spoken to.
            settings: what to listen to, and how patiently.
            rules: of its instruments.
            symbols: the venue's names of them.
            requests: asks the venue.
            timeframe: ccxt's word for the length of the bars.
            connection: where messages come from.
            errands: does what takes time.
            bars: where the bars go.
            clock: for what is late.
            tally: what is counted.
            steady_ns: time that goes on evenly, for patience; None: the event loop's.
        """
        self._name = name
        self._dialect = dialect
        self._settings = settings
        self._rules = dict(rules)
        self._requests = requests
        self._timeframe = timeframe
        self._connection = connection
        self._errands = errands
        self._bars = bars
        self._clock = clock
        self._tally = tally
        self._steady_ns = steady_ns or _steady_ns
        self._symbols = dict(symbols)
        self._kinds = tuple(dict.fromkeys(_STREAMS[name] for name in settings.streams))
        publishing = Publishing(levels=settings.book_levels, interval_ns=settings.book_interval)
        self._parser = parser_for(
            name,
            [WireInstrument(self._symbols[id_], rule) for id_, rule in rules.items()],
            WireSettings(publishing=publishing),
        )
        self.health = Health(
            [(id_, kind) for id_ in rules for kind in self._kinds],
            {kind: getattr(settings.patience, kind) for kind in Kind},
            settings.patience.all,
            self._steady_ns(),
        )
        self._trades = TradeLines(numbered=dialect.numbered)
        self._built: BarsFromTrades | None = None
        if settings.bars_from == "trades":
            self._built = BarsFromTrades(
                rules, settings.interval, settings.settle, self._trades, bars, clock.now_ns()
            )
        self._invalid = set(rules) if Kind.BOOK in self._kinds else set[InstrumentId]()
        self._held: dict[InstrumentId, list[BarClosed]] = {}
        self._statuses = dict.fromkeys(rules, VenueStatus.TRADING)
        self._wired: dict[InstrumentId, Instrument] = {}
        self._gone: set[InstrumentId] = set()
        self._begun_ns = 0
        self._stale_after_ns = settings.stale_after or 3 * settings.interval
        self._takers: dict[type[Event], Callable[[Any, Said], None]] = {
            TradePrinted: self._on_trade,
            QuoteChanged: self._on_quote,
            BookSnapshotTaken: self._on_book,
            BarClosed: self._on_bar,
            GapDetected: self._on_gap,
        }

    def wanted(self) -> dict[Kind, list[str]]:
        """What to subscribe to: everything but what the venue does not list any more."""
        names = [rule.name for id_, rule in self._rules.items() if id_ not in self._gone]
        return dict.fromkeys(self._kinds, names) if names else {}

    def begun(self) -> None:
        """A client begins to connect."""
        self._begun_ns = self._steady_ns()
        self.health.connected(self._begun_ns)
        self._errands.start("rules", self._ask_rules)

    def lost(self, now_ns: int, said: Said) -> None:
        """A client was given up."""
        self.health.disconnected()
        self._trades.disconnected()
        for event in self._parser.disconnected(now_ns):
            self._take(event, None, said)
        for stream in self.health.streams:
            # Trades tell by their numbers what is missing, and books say it themselves.
            if stream[1] in (Kind.BAR, Kind.QUOTE):
                said.news.extend(self._fail(stream))

    def drain(self) -> Said:
        """Takes all that was heard."""
        said = Said([], [])
        inbox, parse, heard = self._connection.inbox, self._parser.parse, self.health.heard
        now_ns = self._steady_ns()
        while inbox:
            received_ns, stream, content = inbox.popleft()
            try:
                if stream is None:
                    content(received_ns, said)
                    continue
                events = parse(content, received_ns)
                if heard(stream, now_ns) and stream[1] is Kind.BAR:
                    self._hear_bars(stream)
            except InvalidDataError as error:
                events = getattr(error, "events", ())
                self._refuse(error)
            for event in events:
                self._take(event, stream, said)
        if said.tape:
            self._tally.lag(self._name, self._clock.now_ns() - said.tape[-1].time_ns)
        return said

    def tick(self, now_ns: int) -> list[Event]:
        """Learns that it is `now_ns`: what is overdue is stale, what lacks is asked for."""
        news: list[Event] = []
        steady_ns = self._steady_ns()
        overdue = self.health.overdue(steady_ns)
        for stream in overdue:
            news += self._fail(stream)
        if overdue and self._connection.live and self.health.deaf(steady_ns):
            self._connection.fail("stale")
        if steady_ns - self._begun_ns > self._settings.rules_every:
            self._errands.start("rules", self._ask_rules)
        self._look_after_books(steady_ns)
        if self._built is not None:
            self._built.advance(now_ns)
        if Kind.BAR in self._kinds or self._built is not None:
            for id_ in self._rules:
                self._look_after_bars(id_, now_ns)
        late = self._trades.late + self._parser.counts.get("old trade", 0)
        late += self._built.late if self._built else 0
        self._tally.trades(self._name, late, self._trades.mended)
        for kind, count in self.health.ill().items():
            self._tally.ill(self._name, kind, count)
        return news

    # What was heard.

    def _take(self, event: Event, stream: Stream | None, said: Said) -> None:
        if (
            type(event) is QuoteChanged
            and Kind.QUOTE in self._kinds
            and (stream is None or stream[1] is Kind.BOOK)
        ):
            # The best prices of a book are older than the quotes that are told as they change.
            return
        taker = self._takers.get(type(event))
        if taker is not None:
            taker(event, said)

    def _on_trade(self, trade: TradePrinted, said: Said) -> None:
        told = self._trades.take(trade)
        if told is None:
            id_ = trade.instrument
            self._errands.start(("trades", id_), lambda: self._ask_trades(id_))
            return
        self._tell_trades(trade.instrument, told, said)

    def _tell_trades(self, id_: InstrumentId, told: Sequence[Event], said: Said) -> None:
        for event in told:
            if isinstance(event, GapDetected):
                self._tally.gap(self._name, event.stream)
                said.news.append(event)
                if self._built is not None:
                    self._built.on_gap(event)
                continue
            said.tape.append(event)
            self.health.told((id_, Kind.TRADE), event.time_ns)
            if self._built is not None and isinstance(event, TradePrinted):
                self._built.on_trade(event)
        if told:
            self._mend((id_, Kind.TRADE), said)

    def _on_quote(self, quote: QuoteChanged, said: Said) -> None:
        stream = quote.instrument, Kind.QUOTE
        said.tape.append(quote)
        self.health.told(stream, quote.time_ns)
        self._mend(stream, said)

    def _on_book(self, book: BookSnapshotTaken, said: Said) -> None:
        stream = book.instrument, Kind.BOOK
        self._invalid.discard(book.instrument)
        said.tape.append(book)
        self.health.told(stream, book.time_ns)
        self._mend(stream, said)

    def _on_bar(self, bar: BarClosed, said: Said) -> None:
        id_ = bar.instrument
        if bar.interval_ns != self._settings.interval or self._built is not None:
            return
        self.health.told((id_, Kind.BAR), bar.time_ns)
        if bar.open_time_ns > self._bars.known_ns(id_):
            # Something lacks before it: that is asked for first.
            self._held.setdefault(id_, []).append(bar)
        else:
            self._bars.add(id_, (bar,))

    def _on_gap(self, gap: GapDetected, said: Said) -> None:
        if gap.stream != Kind.BOOK:
            # What trades lack is not known before the venue has been asked.
            return
        self._invalid.add(gap.instrument)
        self.health.fail((gap.instrument, Kind.BOOK))
        self._tally.gap(self._name, gap.stream)
        said.news.append(gap)
        if not self._parser.snapshots_by_request:
            self._connection.fail("book")

    def _hear_bars(self, stream: Stream) -> None:
        self.health.mend(stream)
        self._bars.hear(stream[0])

    def _fail(self, stream: Stream) -> list[Event]:
        """Says that a stream is ill, if it was not; bars say so themselves."""
        if not self.health.fail(stream):
            return []
        instrument, kind = stream
        if kind is Kind.BAR:
            self._bars.silence(instrument)
            return []
        last_ns = self.health.last_ns(stream)
        return [FeedStale(time_ns=0, instrument=instrument, last_ns=last_ns, stream=kind.value)]

    def _mend(self, stream: Stream, said: Said) -> None:
        if self.health.mend(stream):
            said.news.append(FeedRecovered(time_ns=0, instrument=stream[0], stream=stream[1].value))

    def _refuse(self, error: InvalidDataError) -> None:
        self._tally.refuse(self._name)
        if self._tally.refused[self._name] % 100 == 1:
            log.warning("message refused", venue=self._name, reason=str(error)[:300])

    # What lacks.

    def _look_after_books(self, steady_ns: int) -> None:
        if not self._connection.live:
            return
        age_ns = steady_ns - self._begun_ns
        if self._parser.snapshots_by_request:
            for id_ in tuple(self._invalid):
                if age_ns > _FIRST_BOOK_NS or self.health.heard_since_connected((id_, Kind.BOOK)):
                    self._errands.start(("book", id_), partial(self._ask_book, id_))
            return
        patience_ns = self._settings.patience.book
        if patience_ns is not None and age_ns > patience_ns:
            waiting = [id_ for id_ in self._invalid if self._trading(id_)]
            if waiting:
                self._connection.fail("book")

    def _trading(self, id_: InstrumentId) -> bool:
        return self._statuses[id_] is VenueStatus.TRADING

    def _look_after_bars(self, id_: InstrumentId, now_ns: int) -> None:
        settings = self._settings
        held = self._held.get(id_)
        if held and now_ns - held[0].time_ns > self._stale_after_ns:
            # Nobody answers: what is missing stays missing, and is told to be.
            self._bars.add(id_, self._held.pop(id_))
        due_ns = self._bars.known_ns(id_) + settings.interval + settings.grace
        if held or now_ns > due_ns:
            self._errands.start(("bars", id_), lambda: self._ask_bars(id_))

    async def _ask_book(self, id_: InstrumentId) -> None:
        symbol, depth = self._symbols[id_], self._settings.book_depth
        body = await self._requests.ask(
            lambda: self._dialect.ask_book(self._requests.client, symbol, depth)
        )
        self._connection.note(lambda now_ns, said: self.take_book(id_, body, now_ns, said))
        # Whether it fits what the stream said is not known before it is taken.
        self._errands.failed(("book", id_))

    def take_book(self, id_: InstrumentId, body: Any, now_ns: int, said: Said) -> None:
        """The venue answered with a book.

        Raises:
            InvalidDataError: it is none.
        """
        if not self._connection.live:
            return
        for event in self._parser.book(id_, body, now_ns):
            self._take(event, None, said)
        if id_ not in self._invalid:
            self._errands.succeeded(("book", id_))

    async def _ask_bars(self, id_: InstrumentId) -> None:
        settings, client, limit = self._settings, self._requests.client, self._dialect.bars_limit
        symbol, interval_ns = self._symbols[id_], settings.interval
        since_ns = self._bars.known_ns(id_)
        answers: list[tuple[int, list[BarClosed]]] = []
        while since_ns + interval_ns <= self.closed_ns(id_, self._clock.now_ns()):
            wanted = min(limit, (self._clock.now_ns() - since_ns) // interval_ns + 1)
            asked = client, symbol, self._timeframe, since_ns, interval_ns, wanted
            body = await self._requests.ask(partial(self._dialect.ask_bars, *asked))
            now_ns, found = self._clock.now_ns(), self.bars_in(id_, body)
            answers.append((now_ns, found))
            page = self.closed(id_, found, now_ns)
            if page and page[-1].time_ns > since_ns:
                since_ns = page[-1].time_ns
            elif wanted == limit:
                # A venue may answer for the span that was asked for alone, and it was empty.
                since_ns += limit * interval_ns
            else:
                break
        self._errands.succeeded(("bars", id_))
        self._errands.put_off(("bars", id_), settings.poll)
        if not answers:
            return

        def take(*_: object) -> None:
            # What has closed is looked at in the order of what is heard, as a replay does.
            self.take_bars(id_, [b for at, bars in answers for b in self.closed(id_, bars, at)])

        self._connection.note(take)

    def closed_ns(self, id_: InstrumentId, now_ns: int) -> int:
        """Up to when an instrument's bars are closed: a later one was told, or it is long ago."""
        settled_ns, held = now_ns - self._settings.settle, self._held.get(id_)
        return max(settled_ns, held[-1].open_time_ns) if held else settled_ns

    def bars_in(self, id_: InstrumentId, body: Any) -> list[BarClosed]:
        """The bars of an answer, those that are under way included, oldest first.

        Raises:
            InvalidDataError: it is no such answer.
        """
        told = self._parser.bars(id_, body, _ALL_NS, self._settings.interval)
        return [bar for bar in told if isinstance(bar, BarClosed)]

    def closed(self, id_: InstrumentId, bars: Sequence[BarClosed], now_ns: int) -> list[BarClosed]:
        """Those bars that have closed."""
        closed_ns = self.closed_ns(id_, now_ns)
        return [bar for bar in bars if bar.time_ns <= closed_ns]

    def take_bars(self, id_: InstrumentId, found: Sequence[BarClosed]) -> None:
        """The venue told its bars up to now."""
        self._bars.add(id_, found)
        self._bars.add(id_, self._held.pop(id_, ()))

    async def _ask_trades(self, id_: InstrumentId) -> None:
        limit = min(self._dialect.trades_limit, max(60, 2 * self._trades.missing(id_)))
        fetched: list[TradePrinted] = []
        try:
            async with asyncio.timeout(TRADES_WAIT_S):
                body = await self._requests.ask(
                    lambda: self._dialect.ask_trades(
                        self._requests.client, self._symbols[id_], limit
                    )
                )
            fetched = self.trades_in(id_, body, self._clock.now_ns())
        except (TransientError, TimeoutError, InvalidDataError) as error:
            log.warning("missing trades were not told", instrument=id_, reason=str(error))
        self._connection.note(lambda _, said: self.take_trades(id_, fetched, said))

    def trades_in(self, id_: InstrumentId, body: Any, now_ns: int) -> list[TradePrinted]:
        """The trades of an answer, oldest first.

        Raises:
            InvalidDataError: it is no such answer.
        """
        told = self._parser.trades(id_, body, now_ns)
        return [trade for trade in told if isinstance(trade, TradePrinted)]

    def take_trades(self, id_: InstrumentId, fetched: Sequence[TradePrinted], said: Said) -> None:
        """The venue told its last trades, or none: what waited for them is told."""
        self._tell_trades(id_, self._trades.answered(id_, fetched), said)

    async def _ask_rules(self) -> None:
        symbols = list(self._symbols.values())
        body = await self._requests.ask(
            lambda: self._dialect.ask_rules(self._requests.client, symbols)
        )
        listed = self.rules_in(body)
        self._errands.succeeded("rules")
        self._errands.put_off("rules", self._settings.rules_every)
        self._connection.note(lambda _, said: self.take_rules(listed, said))

    def rules_in(self, body: Any) -> Listed:
        """The rules of an answer.

        Raises:
            InvalidDataError: it is no such answer.
        """
        rules = {one.symbol: one.rules for one in instruments_of(self._name, body)}
        return Listed(rules, statuses_of(self._dialect, body))

    def take_rules(self, listed: Listed, said: Said) -> None:
        """The venue said its rules: what changed is told."""
        rules, statuses = listed
        for id_, symbol in self._symbols.items():
            gone = symbol not in statuses
            status = statuses.get(symbol, VenueStatus.HALTED)
            if status is not self._statuses[id_]:
                self._statuses[id_] = status
                self.health.rest(id_, resting=status is VenueStatus.HALTED)
                said.news.append(
                    VenueStatusChanged(
                        time_ns=0,
                        instrument=id_,
                        status=status,
                        reason="delisted" if gone else "told by the venue",
                    )
                )
            if gone != (id_ in self._gone):
                self._gone.symmetric_difference_update({id_})
                # What was subscribed to is not what is to be, any more.
                self._connection.fail("listing")
            if symbol in rules:
                self._take_rule(id_, rules[symbol], said)

    def _take_rule(self, id_: InstrumentId, found: Instrument, said: Said) -> None:
        known = self._wired.setdefault(id_, found)
        if known == found:
            return
        self._wired[id_] = found
        self._rules[id_] = msgspec.structs.replace(
            self._rules[id_],
            tick_size=found.tick_size,
            lot_size=found.lot_size,
            min_quantity=found.min_quantity,
            min_notional=found.min_notional,
        )
        said.news.append(InstrumentListed(time_ns=0, instrument=id_, rules=self._rules[id_]))


def _steady_ns() -> int:
    """The event loop's time: patience must not end, nor last, because a clock is set."""
    return int(asyncio.get_running_loop().time() * NS_PER_SECOND)
