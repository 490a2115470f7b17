"""What can be configured about ingest: where market data comes from."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import InstrumentId, name_of, venue_of
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND, parse_time

FeedName = Literal["simulated", "replay", "recording", "ccxt"]
StreamName = Literal["bars", "trades", "quotes", "books"]

ENDPOINT: Final = r"^https?://[^/]+$"
MINUTES_OF_SILENCE: Final = 3 * NS_PER_MINUTE
"""ccxt's own time between two pings: at most so long."""


def _readable_time(text: str) -> str:
    parse_time(text)
    return text


Moment = Annotated[str, AfterValidator(_readable_time)]
"""An ISO date or time, UTC unless it says otherwise."""


class SimulatedInstrument(Settings):
    """One instrument of the simulated market."""

    start_price: Exact = Field(
        Exact(100), gt=ZERO, description="price of the first trade, in quote currency"
    )
    tick_size: Exact = Field(Exact("0.01"), gt=ZERO, description="step of its prices")
    lot_size: Exact = Field(Exact("0.0001"), gt=ZERO, description="step of its quantities")
    min_notional: Exact = Field(
        Exact(5), ge=ZERO, description="smallest order, in quote currency; what venues ask for"
    )
    volatility: float = Field(
        0.6,
        gt=0,
        le=5,
        description="annualised, as a fraction, over all regimes; 0.6 is Bitcoin in a usual year",
    )
    turnover: Exact = Field(
        Exact(1_000_000), gt=ZERO, description="mean traded notional of a bar, in quote currency"
    )


def _usual_instruments() -> dict[InstrumentId, SimulatedInstrument]:
    return {
        InstrumentId("simulated:BTC/USDT"): SimulatedInstrument(
            start_price=Exact(60_000), lot_size=Exact("0.00001")
        ),
        InstrumentId("simulated:ETH/USDT"): SimulatedInstrument(
            start_price=Exact(3_000), volatility=0.8
        ),
        InstrumentId("simulated:SOL/USDT"): SimulatedInstrument(
            start_price=Exact(150), lot_size=Exact("0.001"), volatility=1.0
        ),
    }


class SimulatedSettings(Settings):
    """A market made from a seed: the same settings give the same market."""

    seed: int = Field(42, ge=0, description="another seed is another market")
    instruments: dict[InstrumentId, SimulatedInstrument] = Field(
        default_factory=_usual_instruments,
        min_length=1,
        description="id (`simulated:BTC/USDT`) -> what it is like",
    )
    interval: Duration = Field(NS_PER_MINUTE, gt=0, description="length of a bar")
    start: Moment = Field("2024-01-01", description="when the first bar opens")
    bars: int | None = Field(
        None, ge=1, description="how many bars there are of each instrument; none: without end"
    )
    correlation: float = Field(
        0.5, ge=0, le=1, description="of the instruments' returns; 1: all move as one"
    )
    gap_probability: float = Field(
        0.0, ge=0, lt=1, description="chance that data goes missing after a bar, for each bar"
    )
    gap_bars: int = Field(10, ge=1, description="length of the longest gap, in bars")

    @field_validator("instruments")
    @classmethod
    def _named_by_ids(
        cls, instruments: dict[InstrumentId, SimulatedInstrument]
    ) -> dict[InstrumentId, SimulatedInstrument]:
        for instrument in instruments:
            if "/" not in name_of(instrument):
                raise ValueError(f"expected an id such as simulated:BTC/USDT, found {instrument!r}")
        return instruments


class ReplaySettings(Settings):
    """Recorded candles."""

    files: tuple[Path, ...] = Field(
        (), description="candle files: CSV, Parquet or Feather, plain, .gz or .zip"
    )
    on_bad_data: Literal["refuse", "drop"] = Field(
        "refuse", description="`refuse` a file with a bad row, or `drop` and count bad rows"
    )
    since: Moment | None = Field(None, description="no bar that opens earlier; none: all")
    until: Moment | None = Field(None, description="no bar that closes later; none: all")


class RecordingSettings(Settings):
    """Recordings of raw frames; instruments, streams and length of bars are those of `ccxt`."""

    files: tuple[Path, ...] = Field(
        (), description="recordings: what `ccxt.record` wrote, or hftbacktest's and cryptofeed's"
    )
    venue: str | None = Field(
        None,
        description="ccxt's name of the venue, where a file's name does not begin with it",
    )


class CcxtVenueSettings(Settings):
    """A connection to one venue's public REST interface with ccxt."""

    venue: str = Field("binance", description="ccxt's name of the venue")
    instruments: tuple[str, ...] = Field(
        ("BTC/USDT",), min_length=1, description="ccxt's unified names"
    )
    interval: Duration = Field(NS_PER_MINUTE, gt=0, description="length of a bar; the venue's own")
    settle: Duration = Field(
        2 * NS_PER_SECOND,
        ge=0,
        description="time after its end at which a bar counts as closed though no later one is "
        "there yet: our clock may be ahead of the venue's, and its last trades late",
    )
    timeout: Duration = Field(
        10 * NS_PER_SECOND, gt=0, description="time within which the venue must answer"
    )
    endpoint: str | None = Field(
        None,
        pattern=ENDPOINT,
        description="scheme, host and port that replace all of the venue's own; for an emulator",
    )


class PatienceSettings(Settings):
    """Time for which a stream may be silent before it is stale and its connection built anew."""

    bar: Duration = Field(
        15 * NS_PER_SECOND,
        gt=0,
        description="without an update of the running bar: venues push one every second or two",
    )
    trade: Duration | None = Field(
        10 * NS_PER_MINUTE,
        description="without a trade: a quiet instrument has none for minutes; none: for ever",
    )
    quote: Duration | None = Field(
        2 * NS_PER_MINUTE,
        description="without a change of the best prices; none: for ever",
    )
    book: Duration | None = Field(
        NS_PER_MINUTE,
        description="without a change of the book; also how long a venue that streams its "
        "snapshots may owe one; none: for ever",
    )
    all: Duration = Field(
        30 * NS_PER_SECOND, gt=0, description="without any message of the venue at all"
    )


class CcxtSettings(Settings):
    """Market data of venues, with ccxt: over their streams, or by polling."""

    instruments: tuple[InstrumentId, ...] = Field(
        (InstrumentId("binance:BTC/USDT"),),
        min_length=1,
        description="ids: ccxt's name of the venue, a colon, ccxt's unified name",
    )
    endpoints: dict[str, str] = Field(
        {},
        description="venue -> scheme, host and port that replace all of its own, for an emulator; "
        "the WebSocket address follows from it",
    )
    transport: Literal["stream", "poll"] = Field(
        "stream",
        description="`stream`: over WebSocket, from venues that are known to it; `poll`: bars by "
        "REST, from any venue that ccxt knows",
    )
    streams: tuple[StreamName, ...] = Field(
        ("bars",), description="what is listened to: bars, trades, quotes, books"
    )
    bars_from: Literal["venue", "trades"] = Field(
        "venue", description="whose bars are told: the venue's own, or ours, built of its trades"
    )
    interval: Duration = Field(NS_PER_MINUTE, gt=0, description="length of a bar; the venue's own")
    warmup: int = Field(
        500, ge=0, le=50_000, description="closed bars before now that are fetched at the start"
    )
    poll: Duration = Field(
        5 * NS_PER_SECOND,
        gt=0,
        description="time between two looks; streaming: between two questions for a bar that is "
        "late; more is kinder to the venue",
    )
    settle: Duration = Field(
        2 * NS_PER_SECOND,
        ge=0,
        description="time after its end at which a bar counts as closed though no later one is "
        "there yet: our clock may be ahead of the venue's, and its last trades late; bars from "
        "trades wait so long for trades that are late",
    )
    grace: Duration = Field(
        3 * NS_PER_SECOND,
        gt=0,
        description="time after its end at which a bar that the stream has not told is asked for",
    )
    timeout: Duration = Field(
        10 * NS_PER_SECOND, gt=0, description="time within which the venue must answer"
    )
    stale_after: Duration | None = Field(
        None,
        description="time without a new bar, counted from the end of the last one, after which "
        "the feed is stale and others do not wait for it; none: three bars' length",
    )
    leave_after: Duration | None = Field(
        NS_PER_MINUTE,
        gt=0,
        description="time without fresh bars of any instrument, and up to as much again, after "
        "which a copy of ingest leaves its partitions to the others until it hears again; the last "
        "copy stays; none: never",
    )
    patience: PatienceSettings = PatienceSettings()
    keep_alive: Duration = Field(
        10 * NS_PER_SECOND,
        ge=NS_PER_SECOND // 10,
        le=MINUTES_OF_SILENCE,
        description="time between two pings of a connection; it is given up when two are missed, "
        "so that a socket that is open and dead is noticed within three of these",
    )
    connections: int = Field(
        1,
        ge=1,
        le=3,
        description="how often everything is listened to, streaming, over connections of its own; "
        "two: either may break and nothing is missing, at twice the traffic and processor time",
    )
    queue: int = Field(
        50_000,
        ge=1,
        description="messages of a venue that may wait; one more and they are dropped, which is "
        "told, and the connection is built anew",
    )
    quiet_every: Duration | None = Field(
        None,
        ge=0,
        description="how often others are told, streaming, that nothing happened between two bars, "
        "so that reports of a venue reach risk at once; 0: never; none: 250ms where trading.mode "
        "is live, else never: each costs a record of each partition on three topics",
    )
    rules_every: Duration = Field(
        10 * NS_PER_MINUTE,
        gt=0,
        description="time between two looks at the venue's rules: halts, delistings, new ticks",
    )
    book_levels: int = Field(
        20, ge=1, le=5_000, description="levels of each side of a book that are published"
    )
    book_interval: Duration = Field(
        NS_PER_SECOND,
        ge=0,
        description="least time between two published books; 0: one at every change",
    )
    book_depth: int = Field(
        1_000,
        ge=5,
        le=5_000,
        description="levels that are asked for to begin a book; Binance counts a weight of 5 for "
        "100, 25 for 500, 50 for 1000 of the 6000 a minute: 100 for more than a hundred books",
    )
    record: Path | None = Field(
        None, description="folder for recordings of every frame, to be replayed; none: none"
    )
    retry_delay: Duration = Field(
        NS_PER_SECOND, gt=0, description="wait after a first failure; doubles with each further"
    )
    max_retry_delay: Duration = Field(NS_PER_MINUTE, gt=0, description="longest such wait")
    start_attempts: int = Field(
        5, ge=1, description="attempts to read the venue's rules before giving up"
    )

    @field_validator("instruments")
    @classmethod
    def _named_by_ids(cls, instruments: tuple[InstrumentId, ...]) -> tuple[InstrumentId, ...]:
        for instrument in instruments:
            if "/" not in name_of(instrument) or not venue_of(instrument):
                raise ValueError(f"expected an id such as binance:BTC/USDT, found {instrument!r}")
        if len(set(instruments)) != len(instruments):
            raise ValueError("expected each instrument once, found one more often")
        return instruments

    @field_validator("endpoints")
    @classmethod
    def _reachable(cls, endpoints: dict[str, str]) -> dict[str, str]:
        for venue, endpoint in endpoints.items():
            if not re.fullmatch(ENDPOINT, endpoint):
                raise ValueError(
                    f"expected scheme, host and port of {venue}, such as http://127.0.0.1:8080, "
                    f"found {endpoint!r}"
                )
        return endpoints

    @model_validator(mode="after")
    def _bars_have_a_source(self) -> Self:
        wanted = "bars" if self.bars_from == "venue" else "trades"
        if wanted not in self.streams:
            raise ValueError(
                f"expected {wanted} among the streams, for the bars are made of them, "
                f"found {', '.join(self.streams) or 'none'}"
            )
        if self.connections > 1 and self.transport == "poll":
            raise ValueError(
                f"expected one connection where bars are polled, found {self.connections}"
            )
        unused = self.endpoints.keys() - set(self.venues)
        if unused:
            raise ValueError(
                f"expected endpoints of {', '.join(self.venues)}, found {', '.join(unused)}"
            )
        return self

    @property
    def venues(self) -> tuple[str, ...]:
        """Names of the venues, in order."""
        return tuple(sorted({venue_of(instrument) for instrument in self.instruments}))

    def of(self, venue: str) -> CcxtVenueSettings:
        """What concerns the connection to one venue."""
        return CcxtVenueSettings(
            venue=venue,
            instruments=tuple(
                name_of(instrument)
                for instrument in self.instruments
                if venue_of(instrument) == venue
            ),
            interval=self.interval,
            settle=self.settle,
            timeout=self.timeout,
            endpoint=self.endpoints.get(venue),
        )


class IngestSettings(Settings):
    """The ingest service."""

    feed: FeedName = Field("simulated", description="where market data comes from")
    simulated: SimulatedSettings = Field(default_factory=SimulatedSettings)
    replay: ReplaySettings = Field(default_factory=ReplaySettings)
    recording: RecordingSettings = Field(default_factory=RecordingSettings)
    ccxt: CcxtSettings = Field(default_factory=CcxtSettings)
    speed: float = Field(
        1.0,
        ge=0,
        description="how much faster than its own time a simulated or recorded market goes by; "
        "0: as fast as it can; only for ingest as a service",
    )
    intervals: tuple[Duration, ...] = Field(
        (), description="lengths of longer bars that are built besides; multiples of the feed's"
    )
