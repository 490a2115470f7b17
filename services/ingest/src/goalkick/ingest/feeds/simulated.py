"""A market made from a seed: regimes, clustered volatility, gaps; the same seed, the same bytes.

No model of any real market: it has the traits that a platform must cope with. Prices are whole
ticks throughout; only the returns between them are floats, and each instrument draws from a
stream of its own, so that adding one changes no other.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, GapDetected, InstrumentListed
from goalkick.common.ports.feed import FROM_THE_START, Step
from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_YEAR, parse_time
from goalkick.ingest.settings import SimulatedInstrument, SimulatedSettings

Floats = npt.NDArray[np.float64]

_BLOCK: Final = 512
"""Bars whose random numbers are drawn at a time; another value is another market."""

_SHOCK, _MEMORY = 0.08, 0.90
"""GARCH(1,1): weight of the last squared return and of the last variance; their sum below 1 is
how slowly a burst of volatility fades (half of it in about 35 bars)."""
_LARGEST_RETURN: Final = 0.2
"""Bound of one bar's return, as a fraction: keeps prices positive whatever is drawn."""


class _Regime(NamedTuple):
    """A state of the market.

    Attributes:
        scale: volatility in it, as a multiple of the instrument's own.
        drift: mean return of a bar, in standard deviations; its sign is drawn on entry.
        stay: probability that the next bar is in it too.
    """

    scale: float
    drift: float
    stay: float


_REGIMES: Final = (_Regime(0.6, 0.0, 0.995), _Regime(0.9, 0.12, 0.99), _Regime(1.9, 0.0, 0.98))
"""Calm, trend, volatile: 200, 100 and 50 bars long in the mean."""


class _Numbers(NamedTuple):
    """A bar in whole ticks and lots, and how many before it are missing."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    missing: int


class _Market:
    """One instrument's prices, bar by bar; drawing in blocks is all that it has to do with time."""

    def __init__(self, instrument: InstrumentId, settings: SimulatedSettings) -> None:
        about = settings.instruments[instrument]
        self.rules = _rules(instrument, about)
        self._random = _stream(settings.seed, 1, crc32(instrument.encode()))
        self._common_weight = math.sqrt(settings.correlation)
        self._own_weight = math.sqrt(1.0 - settings.correlation)
        self._gap_probability, self._gap_bars = settings.gap_probability, settings.gap_bars
        self._ticks = max(1, int(about.start_price / about.tick_size))
        self._turnover = float(about.turnover / (about.tick_size * about.lot_size))
        self._mean_variance = about.volatility**2 * settings.interval / NS_PER_YEAR
        self._variance = self._mean_variance * _REGIMES[0].scale ** 2
        self._regime = _REGIMES[0]
        self._drift = 0.0
        self._missing = self._still_missing = 0

    def block(self, common: Floats) -> Iterator[_Numbers | None]:
        """The next bars, as many as there are in `common`; None where data is missing.

        Args:
            common: (n,) standard normal, what moves all instruments.
        """
        normal = self._random.standard_normal((4, len(common)))
        uniform = self._random.random((4, len(common)))
        shocks = self._common_weight * common + self._own_weight * normal[0]
        for shock, up, down, activity, stay, which, gap, length in zip(
            shocks.tolist(), *normal[1:].tolist(), *uniform.tolist(), strict=True
        ):
            self._change_regime(stay, which)
            bar = self._bar(shock, up, down, activity)
            yield self._unless_missing(bar, gap, length)

    def _change_regime(self, stay: float, which: float) -> None:
        if stay >= self._regime.stay:
            others = [regime for regime in _REGIMES if regime is not self._regime]
            self._regime = others[int(which * 2)]
            self._drift = self._regime.drift if which * 4 % 2 < 1 else -self._regime.drift

    def _bar(self, shock: float, up: float, down: float, activity: float) -> _Numbers:
        deviation = math.sqrt(self._variance)
        change = deviation * (shock + self._drift)
        change = max(-_LARGEST_RETURN, min(_LARGEST_RETURN, change))
        base = self._mean_variance * self._regime.scale**2
        self._variance = (
            (1.0 - _SHOCK - _MEMORY) * base + _SHOCK * change * change + _MEMORY * self._variance
        )
        open_ = self._ticks
        close = self._ticks = max(1, round(open_ * (1.0 + change)))
        wick = 0.5 * deviation * open_
        high = max(open_, close) + int(abs(up) * wick)
        low = max(1, min(open_, close) - int(abs(down) * wick))
        busy = math.exp(0.6 * activity - 0.18) * deviation / math.sqrt(self._mean_variance)
        return _Numbers(open_, high, low, close, int(self._turnover / close * busy), self._missing)

    def _unless_missing(self, bar: _Numbers, gap: float, length: float) -> _Numbers | None:
        if self._still_missing:
            self._still_missing -= 1
            self._missing += 1
            return None
        self._missing = 0
        if gap < self._gap_probability:
            self._still_missing = 1 + int(length * self._gap_bars)
        return bar


class SimulatedFeed:
    """The simulated market as a `RecordedFeed`; `steps` can be called any number of times."""

    def __init__(self, settings: SimulatedSettings) -> None:
        """Nothing is drawn yet; a start between two bars is moved to the earlier one's open."""
        self._settings = settings
        start_ns = parse_time(settings.start)
        self._start_ns = start_ns - start_ns % settings.interval

    def steps(self, from_ns: int = FROM_THE_START) -> Iterator[Step]:
        """The steps in order of time: those at or after `from_ns`, the same whoever asks.

        What lies before is lived through again, at about a million bars in three seconds.
        """
        names = sorted(self._settings.instruments)
        markets = [_Market(name, self._settings) for name in names]
        if from_ns <= self._start_ns:
            yield self._listing(markets)
        interval_ns, last = self._settings.interval, self._settings.bars
        random = _stream(self._settings.seed, 0, 0)
        time_ns = self._start_ns
        number = 0
        while True:
            common = random.standard_normal(_BLOCK)
            for moment in zip(*(market.block(common) for market in markets), strict=True):
                if number == last:
                    return
                number += 1
                time_ns += interval_ns
                if time_ns >= from_ns:
                    step = self._step(time_ns, markets, moment)
                    if step:
                        yield step

    def _listing(self, markets: list[_Market]) -> Step:
        return tuple(
            InstrumentListed(time_ns=self._start_ns, instrument=market.rules.id, rules=market.rules)
            for market in markets
        )

    def _step(
        self, time_ns: int, markets: list[_Market], moment: tuple[_Numbers | None, ...]
    ) -> Step:
        interval_ns = self._settings.interval
        step: list[Event] = []
        for market, bar in zip(markets, moment, strict=True):
            if bar is None:
                continue
            rules = market.rules
            if bar.missing:
                to_ns = time_ns - interval_ns
                step.append(
                    GapDetected(
                        time_ns=time_ns,
                        instrument=rules.id,
                        from_ns=to_ns - bar.missing * interval_ns,
                        to_ns=to_ns,
                        missing=bar.missing,
                        stream="bar",
                    )
                )
            tick = rules.tick_size
            step.append(
                BarClosed(
                    time_ns=time_ns,
                    instrument=rules.id,
                    interval_ns=interval_ns,
                    open=tick * bar.open,
                    high=tick * bar.high,
                    low=tick * bar.low,
                    close=tick * bar.close,
                    volume=rules.lot_size * bar.volume,
                )
            )
        return step


def _rules(instrument: InstrumentId, about: SimulatedInstrument) -> Instrument:
    base, _, rest = name_of(instrument).partition("/")
    return Instrument(
        id=instrument,
        base=base,
        quote=rest.partition(":")[0],
        tick_size=about.tick_size,
        lot_size=about.lot_size,
        min_quantity=about.lot_size,
        min_notional=about.min_notional,
    )


def _stream(seed: int, *name: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, *name]))
