"""Which market a live run trades: simulated, recorded or live; and what is set because of it."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import SettingsError
from goalkick.common.events.market import InstrumentListed
from goalkick.common.ports.feed import Step, Tape
from goalkick.embedded.configuration import PlatformSettings, load_settings
from goalkick.embedded.run import Market
from goalkick.ingest.feeds.build import build_live, build_recorded
from goalkick.ingest.settings import IngestSettings

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
    """

    name: str
    instruments: Sequence[str]
    endpoint: str | None = None

    def overrides(self) -> dict[str, Any]:
        """The settings that follow from it."""
        endpoints = {} if self.endpoint is None else {self.name: self.endpoint}
        return {
            "ingest.feed": "ccxt",
            "ingest.ccxt.instruments": [f"{self.name}:{name}" for name in self.instruments],
            "ingest.ccxt.endpoints": endpoints,
        }


def prepare(
    config: Path | None,
    bars: Sequence[Path],
    speed: float | None,
    on_bad_data: str,
    venue: LiveVenue | None = None,
) -> tuple[PlatformSettings, Market]:
    """The settings of a live run, and its market.

    Args:
        config: a YAML file, or None.
        bars: candle files to replay; none: the market that the settings name.
        speed: times the clock; None: as fits the market.
        on_bad_data: `refuse` or `drop`; for `bars`.
        venue: whose live prices to trade on; None: what the settings name.

    Raises:
        SettingsError: the settings cannot be used, or do not fit the market.
        InvalidDataError: a candle file is bad.
    """
    overrides: dict[str, Any] = {}
    if bars:
        overrides["ingest.feed"] = "replay"
        overrides["ingest.replay"] = {"files": bars, "on_bad_data": on_bad_data}
    if venue is not None:
        overrides |= venue.overrides()
    loaded = load_settings(config, overrides=overrides)
    if not loaded.value.strategy.strategies:
        overrides["strategy.strategies"] = DEMONSTRATION
    market, currency = _market(loaded.value.ingest, speed)
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


def _market(ingest: IngestSettings, speed: float | None) -> tuple[Market, str | None]:
    """The market, and the currency that everything in it is paid in, if that is known already."""
    if ingest.feed == "ccxt":
        return _live(ingest, speed), None
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
        files = ", ".join(file.name for file in ingest.replay.files)
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


def _live(ingest: IngestSettings, speed: float | None) -> Market:
    if speed is not None:
        raise SettingsError(
            "expected no --speed where prices are live (ingest.feed: ccxt), "
            f"found {speed:g}x: they come when they come"
        )
    feed = build_live(ingest, SystemClock())

    def steps(from_ns: int) -> AsyncIterator[Step | Tape]:
        return feed.steps(from_ns - 1 if from_ns > 0 else None)

    settings = ingest.ccxt
    return Market(
        name=f"live prices of {', '.join(settings.venues)}",
        pace="as they come",
        identity=f"live {', '.join(settings.instruments)}" + _longer(ingest),
        steps=steps,
    )


def _longer(ingest: IngestSettings) -> str:
    """The lengths of bars that are built besides, as part of the market's identity."""
    return f", also {list(ingest.intervals)} ns" if ingest.intervals else ""
