"""Which market a live run trades: simulated, recorded or live; and what is set because of it."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from goalkick.common.adapters.budget.settings import BudgetSettings, open_budget
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import SettingsError
from goalkick.common.events.market import InstrumentListed
from goalkick.common.ports.feed import Step, Tape
from goalkick.embedded.configuration import PlatformSettings, load_settings
from goalkick.embedded.run import Market
from goalkick.ingest.feeds.build import build_live, build_recorded, recordings_by_venue
from goalkick.ingest.settings import IngestSettings, RecordingSettings

SIMULATED_SPEED = 60.0
"""Times the clock: a bar of one minute closes each second, so that something can be seen."""

DEMONSTRATION: Mapping[str, Any] = MappingProxyType(
    {
        "trend": {"strategy": "ema_cross", "params": {"fast": 3, "slow": 8}},
        "reversion": {
            "strategy": "rsi_reversion",
            "params": {"length": 7, "enter_below": 35, "exit_above": 60},
        },
    }
)
"""What runs where no strategy is configured: short lengths, so that it trades within minutes of
the market's time. Made to be looked at, not to earn."""


class LiveVenue(NamedTuple):
    """A venue whose prices are traded on as they come, whatever the settings say.

    Attributes:
        name: ccxt's name of it.
        instruments: ccxt's unified names.
        endpoint: scheme, host and port instead of its own; None: its own.
        record: folder for recordings of every frame; None: as the settings say.
    """

    name: str
    instruments: Sequence[str]
    endpoint: str | None = None
    record: Path | None = None

    def overrides(self) -> dict[str, Any]:
        """The settings that follow from it."""
        endpoints = {} if self.endpoint is None else {self.name: self.endpoint}
        settings: dict[str, Any] = {
            "ingest.feed": "ccxt",
            "ingest.ccxt.instruments": [f"{self.name}:{name}" for name in self.instruments],
            "ingest.ccxt.endpoints": endpoints,
        }
        if self.record is not None:
            settings["ingest.ccxt.record"] = self.record
        return settings


class Replay(NamedTuple):
    """Recordings of raw frames that are traded on, whatever the settings say.

    Attributes:
        files: the recordings.
        venue: ccxt's name of the venue, for files whose name does not say it; None: they do.
        instruments: ccxt's unified names; none: what the settings name, else BTC/USDT.
    """

    files: Sequence[Path]
    venue: str | None = None
    instruments: Sequence[str] = ()

    def overrides(self) -> dict[str, Any]:
        """The settings that follow from it."""
        recording = RecordingSettings(files=tuple(self.files), venue=self.venue)
        settings: dict[str, Any] = {
            "ingest.feed": "recording",
            "ingest.recording": recording.model_dump(),
        }
        if self.instruments:
            settings["ingest.ccxt.endpoints"] = {}
            settings["ingest.ccxt.instruments"] = [
                f"{venue}:{name}"
                for venue in recordings_by_venue(recording)
                for name in self.instruments
            ]
        return settings


def prepare(
    config: Path | None,
    bars: Sequence[Path],
    speed: float | None,
    on_bad_data: str,
    source: LiveVenue | Replay | None = None,
) -> tuple[PlatformSettings, Market]:
    """The settings of a live run, and its market.

    Args:
        config: a YAML file, or None.
        bars: candle files to replay; none: the market that the settings name.
        speed: times the clock; None: as fits the market.
        on_bad_data: `refuse` or `drop`; for `bars`.
        source: live prices or recordings to trade on; None: what the settings name.

    Raises:
        SettingsError: the settings cannot be used, or do not fit the market.
        InvalidDataError: a candle file or a recording is bad.
    """
    overrides: dict[str, Any] = {}
    if bars:
        overrides["ingest.feed"] = "replay"
        overrides["ingest.replay"] = {"files": bars, "on_bad_data": on_bad_data}
    if source is not None:
        overrides |= source.overrides()
    loaded = load_settings(config, overrides=overrides)
    if isinstance(source, Replay) and loaded.sources["ingest.ccxt.instruments"] == "default":
        overrides |= source._replace(instruments=("BTC/USDT",)).overrides()
        loaded = load_settings(config, overrides=overrides)
    if not loaded.value.strategy.strategies:
        overrides["strategy.strategies"] = DEMONSTRATION
    market, currency = _market(loaded.value.ingest, speed, loaded.value.budget)
    for key in ("risk.currency", "execution.currency"):
        # An account is in the market's currency, unless somebody says otherwise.
        if currency is not None and loaded.sources[key] == "default":
            overrides[key] = currency
    settings = load_settings(config, overrides=overrides).value
    if currency not in (None, settings.execution.currency):
        raise SettingsError(
            f"execution.currency: expected that of the market, {currency}, "
            f"found {settings.execution.currency}"
        )
    return settings, market


def _market(
    ingest: IngestSettings, speed: float | None, budget: BudgetSettings
) -> tuple[Market, str | None]:
    """The market, and the currency that everything in it is paid in, if that is known already."""
    if ingest.feed == "ccxt":
        return _live(ingest, speed, budget), None
    feed = build_recorded(ingest)
    listing = [event for event in next(feed.steps()) if isinstance(event, InstrumentListed)]
    quotes = sorted({event.rules.quote for event in listing})
    if len(quotes) != 1:
        raise SettingsError(
            f"expected instruments that are paid in one currency, found {', '.join(quotes)}"
        )
    if ingest.feed == "simulated":
        name, factor = "simulated market", speed or SIMULATED_SPEED
        identity = "simulated " + ingest.simulated.model_dump_json(exclude={"bars"})
    else:
        replayed = ingest.recording if ingest.feed == "recording" else ingest.replay
        files = ", ".join(file.name for file in replayed.files)
        name, factor = f"replay of {files}", speed or math.inf
        identity = "replay of " + ", ".join(event.instrument for event in listing)
    market = Market(
        name=name,
        pace="full speed" if math.isinf(factor) else f"{factor:g}x speed",
        identity=identity + _longer(ingest),
        steps=feed.steps,
        speed=factor,
    )
    return market, quotes[0]


def _live(ingest: IngestSettings, speed: float | None, settings: BudgetSettings) -> Market:
    if speed is not None:
        raise SettingsError(
            "expected no --speed where prices are live (ingest.feed: ccxt), "
            f"found {speed:g}x: they come when they come"
        )
    budget = open_budget(settings, SystemClock())
    feed = build_live(ingest, SystemClock(), budget=budget)

    def steps(from_ns: int) -> AsyncIterator[Step | Tape]:
        return feed.steps(from_ns - 1 if from_ns > 0 else None)

    ccxt = ingest.ccxt
    return Market(
        name=f"live prices of {', '.join(ccxt.venues)}",
        pace="as they come",
        identity=f"live {', '.join(ccxt.instruments)}" + _longer(ingest),
        steps=steps,
        budget=budget,
    )


def _longer(ingest: IngestSettings) -> str:
    """The lengths of bars that are built besides, as part of the market's identity."""
    return f", also {list(ingest.intervals)} ns" if ingest.intervals else ""
