"""What can be configured about ingest: where market data comes from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND, parse_time

FeedName = Literal["simulated", "replay", "ccxt"]


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


class CcxtSettings(Settings):
    """Candles of a venue, by polling its REST interface with ccxt."""

    venue: str = Field("binance", description="ccxt's name of the venue")
    instruments: tuple[str, ...] = Field(
        ("BTC/USDT",), min_length=1, description="ccxt's unified names"
    )
    interval: Duration = Field(NS_PER_MINUTE, gt=0, description="length of a bar; the venue's own")
    warmup: int = Field(
        500, ge=0, le=50_000, description="closed bars before now that are fetched at the start"
    )
    poll: Duration = Field(
        5 * NS_PER_SECOND, gt=0, description="time between two looks; more is kinder to the venue"
    )
    settle: Duration = Field(
        2 * NS_PER_SECOND,
        ge=0,
        description="time after its end at which a bar counts as closed though no later one is "
        "there yet: our clock may be ahead of the venue's, and its last trades late",
    )
    timeout: Duration = Field(
        10 * NS_PER_SECOND, gt=0, description="time within which the venue must answer"
    )
    stale_after: Duration | None = Field(
        None,
        description="time without a new bar, counted from the end of the last one, after which "
        "the feed is stale; none: three bars' length",
    )
    retry_delay: Duration = Field(
        NS_PER_SECOND, gt=0, description="wait after a first failure; doubles with each further"
    )
    max_retry_delay: Duration = Field(NS_PER_MINUTE, gt=0, description="longest such wait")
    start_attempts: int = Field(
        5, ge=1, description="attempts to read the venue's rules before giving up"
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]+$",
        description="scheme, host and port that replace all of the venue's own; for an emulator",
    )


class IngestSettings(Settings):
    """The ingest service."""

    feed: FeedName = Field("simulated", description="where market data comes from")
    simulated: SimulatedSettings = Field(default_factory=SimulatedSettings)
    replay: ReplaySettings = Field(default_factory=ReplaySettings)
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
