"""Market events: what a venue said, normalised. Key: instrument."""

from decimal import Decimal
from enum import StrEnum

from goalkick.common.events.base import Event, Side
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument


class MarketEvent(Event, frozen=True, kw_only=True):
    """An event about one instrument."""

    instrument: InstrumentId

    @property
    def key(self) -> str:
        """The instrument."""
        return self.instrument


class BarClosed(MarketEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A bar is complete. `time_ns` is its close: open time + interval, exclusive end.

    What nobody told is None, and is left out of JSON and canonical bytes (`omit_defaults`).

    Attributes:
        interval_ns: length of the bar; positive.
        open, high, low, close: prices in quote currency; low <= open, close <= high.
        volume: traded quantity in base currency; 0 in a bar without trades.
        trades: how many trades it is made of; None: not told.
        quote_volume: sum of price times quantity, in quote currency; None: not told.
        taker_volume: what takers bought, in base currency, at most `volume`; None: not told.
    """

    interval_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int | None = None
    quote_volume: Decimal | None = None
    taker_volume: Decimal | None = None

    @property
    def open_time_ns(self) -> int:
        """Start of the bar, inclusive."""
        return self.time_ns - self.interval_ns

    @property
    def vwap(self) -> Decimal | None:
        """Price averaged by volume, in quote currency; None: unknown, or there was no volume."""
        if self.quote_volume is None or not self.volume:
            return None
        return self.quote_volume / self.volume

    def natural_key(self) -> str:
        """Instrument, interval and close time."""
        return f"{self.instrument}|{self.interval_ns}|{self.time_ns}"


class TradePrinted(MarketEvent, frozen=True, kw_only=True):
    """A trade took place. `time_ns` is the venue's time of it.

    Attributes:
        trade_id: the venue's id, unique for the instrument.
        side: what the taker did.
    """

    trade_id: str
    price: Decimal
    quantity: Decimal
    side: Side

    def natural_key(self) -> str:
        """Instrument and the venue's trade id."""
        return f"{self.instrument}|{self.trade_id}"


class QuoteChanged(MarketEvent, frozen=True, kw_only=True):
    """The best bid or ask changed.

    Attributes:
        sequence: the venue's update number, 0 where it has none.
    """

    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    sequence: int = 0

    def natural_key(self) -> str:
        """Instrument, time and update number."""
        return f"{self.instrument}|{self.time_ns}|{self.sequence}"


class BookSnapshotTaken(MarketEvent, frozen=True, kw_only=True):
    """The order book as a whole.

    Attributes:
        bids: (price, quantity), highest price first.
        asks: (price, quantity), lowest price first.
        sequence: the venue's update number that the book stands at.
    """

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    sequence: int

    def natural_key(self) -> str:
        """Instrument and update number."""
        return f"{self.instrument}|{self.sequence}"


class BookChanged(MarketEvent, frozen=True, kw_only=True):
    """Levels of the order book changed; a quantity of 0 removes the level.

    Attributes:
        first_sequence: number of the first change in it.
        sequence: number of the last change in it.
    """

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    first_sequence: int
    sequence: int

    def natural_key(self) -> str:
        """Instrument and the numbers of its first and last change."""
        return f"{self.instrument}|{self.first_sequence}|{self.sequence}"


class FundingSettled(MarketEvent, frozen=True, kw_only=True):
    """A perpetual's funding was paid.

    Attributes:
        rate: fraction of notional that longs paid shorts (negative: shorts paid).
    """

    rate: Decimal


class GapDetected(MarketEvent, frozen=True, kw_only=True):
    """Market data is missing and was not invented.

    Attributes:
        from_ns: start of what is missing, inclusive.
        to_ns: end of it, exclusive.
        missing: how many bars or messages are missing; at least 1.
        stream: what is missing: `bar`, `trade` or `book`.
    """

    from_ns: int
    to_ns: int
    missing: int
    stream: str

    def natural_key(self) -> str:
        """Instrument, stream and span."""
        return f"{self.instrument}|{self.stream}|{self.from_ns}|{self.to_ns}"


class FeedStale(MarketEvent, frozen=True, kw_only=True):
    """Nothing arrived on a stream for longer than it may be silent.

    Attributes:
        last_ns: event time of the last message, 0 if there was none.
        stream: `bar`, `trade` or `book`.
    """

    last_ns: int
    stream: str


class FeedRecovered(MarketEvent, frozen=True, kw_only=True):
    """A stale stream delivers again."""

    stream: str


class VenueStatus(StrEnum):
    """What a venue allows."""

    TRADING = "trading"
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"


class VenueStatusChanged(MarketEvent, frozen=True, kw_only=True):
    """A venue changed what may be done with an instrument."""

    status: VenueStatus
    reason: str = ""


class InstrumentListed(MarketEvent, frozen=True, kw_only=True):
    """An instrument's rules, published before its first market event and at each change."""

    rules: Instrument
