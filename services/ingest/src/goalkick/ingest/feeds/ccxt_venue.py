"""A venue over ccxt's REST interface: its instruments' rules and its closed bars, exact.

ccxt hands numbers over as the venue's own text. What ccxt raises leaves here as our errors:
`TransientError` where another attempt may help, `SettingsError` where only a person can.
"""

import asyncio
import difflib
import importlib
import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Self, TypeVar

import structlog

from goalkick.common.adapters.budget.metered import Metering, metered
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.market import BarClosed
from goalkick.common.ports.budget import Budget
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, parse_decimal
from goalkick.common.values.time import (
    NS_PER_MS,
    NS_PER_SECOND,
    format_duration,
    format_time,
)
from goalkick.ingest.settings import CcxtVenueSettings

Answer = TypeVar("Answer")

PAGE: Final = 1000
"""Bars asked for at once; venues that give fewer are asked again."""
_ROW: Final = 6
"""Open time in ms, open, high, low, close, volume."""
_TICK_SIZE, _DECIMAL_PLACES = 4, 2
"""ccxt's numbers for its ways to tell a step; the third, significant digits, has no fixed step."""

log = structlog.get_logger()


class CcxtVenue:
    """A connection to a venue's public REST interface; an async context manager."""

    def __init__(self, library: Any, exchange: Any, settings: CcxtVenueSettings) -> None:
        """Use `connect`."""
        self._library = library
        self._exchange = exchange
        self._settings = settings
        self._timeframe = self._find_timeframe()

    @property
    def library(self) -> Any:
        """The library: where its errors are."""
        return self._library

    @property
    def client(self) -> Any:
        """The library's client of the venue."""
        return self._exchange

    @property
    def timeframe(self) -> str:
        """The library's word for the length of the bars."""
        return self._timeframe

    @classmethod
    async def connect(cls, settings: CcxtVenueSettings, budget: Budget | None = None) -> Self:
        """Loads ccxt and makes a client; no network is used yet.

        Args:
            settings: which venue, and what of it.
            budget: gives leave for requests; None: they go at ccxt's own pace.

        Raises:
            SettingsError: ccxt knows no such venue, or the venue has no such bars.
        """
        # Imported here because it takes 100 MB and a second, which no other feed should pay.
        library = await asyncio.to_thread(importlib.import_module, "ccxt.async_support")
        if settings.venue not in library.exchanges:
            raise SettingsError(
                f"ingest.ccxt.venue: expected a venue that ccxt knows, found {settings.venue!r}"
                + nearest(settings.venue, library.exchanges)
            )
        kind = metered(getattr(library, settings.venue), Metering(budget) if budget else None)
        exchange = kind(_options(settings))
        if settings.endpoint:
            exchange.urls["api"] = _moved(exchange.urls["api"], settings.endpoint)
        try:
            return cls(library, exchange, settings)
        except SettingsError:
            await exchange.close()
            raise

    async def __aenter__(self) -> Self:
        """Nothing to do: sockets open when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the sockets."""
        await self._exchange.close()

    async def rules(self) -> dict[InstrumentId, Instrument]:
        """The rules of the instruments that the settings name, by id.

        Raises:
            TransientError: the venue does not answer.
            SettingsError: it has no such instrument, or tells no step of its prices.
        """
        markets = await self._ask(self._exchange.load_markets())
        found = {}
        for name in self._settings.instruments:
            if name not in markets:
                raise SettingsError(
                    f"ingest.ccxt.instruments: expected an instrument of {self._settings.venue}, "
                    f"found {name!r}" + nearest(name, markets)
                )
            rules = self._rules(markets[name])
            found[rules.id] = rules
        return found

    def symbol(self, instrument: Instrument) -> str:
        """The venue's own name of an instrument; after `rules`."""
        return str(self._exchange.market(instrument.name)["id"])

    async def closed_bars(
        self, instrument: Instrument, since_ns: int, now_ns: int
    ) -> list[BarClosed]:
        """The closed bars that open at or after `since_ns`, in order of time.

        Raises:
            TransientError: the venue does not answer, or answers nonsense.
        """
        interval_ns = self._settings.interval
        bars: list[BarClosed] = []
        while since_ns + interval_ns <= now_ns:
            limit = min(PAGE, (now_ns - since_ns) // interval_ns + 2)
            rows = await self._ask(
                self._exchange.fetch_ohlcv(
                    instrument.name, self._timeframe, since_ns // NS_PER_MS, limit
                )
            )
            page = self._closed(instrument.id, rows, since_ns, now_ns)
            bars += page
            if page:
                since_ns = page[-1].time_ns
            elif limit == PAGE:
                # Some venues answer for the span that was asked for alone, and it was empty.
                since_ns += PAGE * interval_ns
            else:
                break
        return bars

    def _closed(
        self, instrument: InstrumentId, rows: Sequence[Any], since_ns: int, now_ns: int
    ) -> list[BarClosed]:
        interval_ns, settle_ns = self._settings.interval, self._settings.settle
        bars = [
            bar
            for row in rows
            if (bar := read_bar(row, instrument, interval_ns)) and bar.open_time_ns >= since_ns
        ]
        bars = sorted({bar.time_ns: bar for bar in bars}.values(), key=lambda bar: bar.time_ns)
        newest_ns = bars[-1].time_ns if bars else 0
        return [
            bar
            for bar in bars
            if bar.time_ns + (settle_ns if bar.time_ns == newest_ns else 0) <= now_ns
        ]

    async def _ask(self, request: Awaitable[Answer]) -> Answer:
        """Waits for an answer, bounded, and translates what goes wrong."""
        # ccxt's own time-out does not count the time that a request waits for its turn.
        limit_s = 2 * self._settings.timeout / NS_PER_SECOND
        place = f"{self._settings.venue} at {self._settings.endpoint or 'its usual address'}"
        try:
            async with asyncio.timeout(limit_s):
                return await request
        except self._library.BadSymbol as error:
            raise SettingsError(
                f"{place}: expected to know the instrument, found: {error}"
            ) from error
        except (self._library.BaseError, TimeoutError) as error:
            raise TransientError(
                f"{place}: expected an answer within {limit_s:g} s, found "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error

    def _find_timeframe(self) -> str:
        timeframes: Mapping[str, Any] = self._exchange.timeframes or {}
        for name in timeframes:
            if self._exchange.parse_timeframe(name) * NS_PER_SECOND == self._settings.interval:
                return name
        raise SettingsError(
            f"ingest.ccxt.interval: expected one of {self._settings.venue}'s "
            f"({', '.join(timeframes) or 'none at all'}), "
            f"found {format_duration(self._settings.interval)}"
        )

    def _rules(self, market: Mapping[str, Any]) -> Instrument:
        name = InstrumentId(f"{self._settings.venue}:{market['symbol']}")
        limits, precision = market["limits"], market["precision"]
        mode = self._exchange.precisionMode
        return Instrument(
            id=name,
            base=market["base"],
            quote=market["quote"],
            tick_size=step_of(precision["price"], mode, f"price of {name}"),
            lot_size=step_of(precision["amount"], mode, f"quantity of {name}"),
            min_quantity=_exact(limits["amount"]["min"], ZERO),
            min_notional=_exact(limits["cost"]["min"], ZERO),
            maker_fee=_exact(market["maker"], Decimal("0.001")),
            taker_fee=_exact(market["taker"], Decimal("0.001")),
        )


def step_of(precision: object, mode: int, about: str) -> Decimal:
    """The step of prices or quantities, from what ccxt calls their precision.

    Args:
        precision: a step or a number of decimal places, as `mode` says; None: not told.
        mode: ccxt's number of the venue's precision mode.
        about: what it is the step of, for messages.

    Raises:
        SettingsError: it is not told, or told in significant digits.
    """
    if precision is not None and mode == _TICK_SIZE and parse_decimal(str(precision)) > 0:
        return parse_decimal(str(precision))
    if precision is not None and mode == _DECIMAL_PLACES:
        return Decimal((0, (1,), -int(str(precision))))
    raise SettingsError(
        f"{about}: expected its step as a tick size or a number of decimal places, "
        f"found {precision!r} in ccxt's precision mode {mode}"
    )


def read_bar(row: Any, instrument: InstrumentId, interval_ns: int) -> BarClosed | None:
    """A row of ccxt's as a bar; None, and a warning, where it makes no sense.

    Args:
        row: open time in ms, open, high, low, close, volume; numbers as text.
        instrument: whose bar it is.
        interval_ns: length of the bar.
    """
    try:
        open_ns = int(row[0]) * NS_PER_MS
        open_, high, low, close, volume = (parse_decimal(cell) for cell in row[1:_ROW])
    except (TypeError, ValueError, IndexError):
        log.warning("row is no bar", instrument=instrument, row=str(row)[:200])
        return None
    ordered = 0 < low <= min(open_, close) and max(open_, close) <= high and volume >= 0
    if not ordered or open_ns % interval_ns:
        log.warning(
            "bar makes no sense", instrument=instrument, open=format_time(open_ns), row=str(row)
        )
        return None
    return BarClosed(
        time_ns=open_ns + interval_ns,
        instrument=instrument,
        interval_ns=interval_ns,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def _options(settings: CcxtVenueSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "number": str,
        "timeout": settings.timeout // NS_PER_MS,
        "enableRateLimit": True,
    }
    if settings.venue.startswith(("binance", "bybit")):
        # Without these ccxt asks for markets that nobody wants here, some at other hosts.
        kinds = {"linear" if ":" in name else "spot" for name in settings.instruments}
        options["options"] = {
            "fetchMarkets": {"types": sorted(kinds)},
            "fetchMargins": False,
            "fetchCurrencies": False,
        }
    return options


def _moved(node: Any, endpoint: str) -> Any:
    """All URLs with another scheme, host and port: none that is left alone points outside."""
    if isinstance(node, dict):
        return {key: _moved(value, endpoint) for key, value in node.items()}
    return re.sub(r"^\w+://[^/]+", endpoint, node) if isinstance(node, str) else node


def _exact(value: Any, default: Decimal) -> Decimal:
    return default if value is None else parse_decimal(str(value))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what somebody may have meant; "" if nothing is like it."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; near: {', '.join(near)}" if near else ""
