"""Whose candles a file holds, told by its name, and what that says about the instrument."""

import re
from decimal import Decimal
from pathlib import Path

from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.instruments import Instrument
from goalkick.ingest.archive.layout import series_of

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB")

_INTERVAL = r"\d+(?:m|h|d|w)"
_GOALKICK_NAME = re.compile(rf"(?P<venue>[a-z]+)_(?P<kind>spot|usdm)_(?P<symbol>[^_]+)_{_INTERVAL}")
_FREQTRADE_NAME = re.compile(
    rf"(?P<base>[A-Z0-9]+)_(?P<quote>[A-Z]+)(?:_(?P<settle>[A-Z]+))?-{_INTERVAL}"
)
_BINANCE_NAME = re.compile(rf"(?P<symbol>[A-Z0-9]+)-(?:{_INTERVAL}|aggTrades|trades)-\d{{4}}")
_CRYPTODATADOWNLOAD_NAME = re.compile(
    r"(?P<venue>[A-Z][A-Za-z]+)_(?P<symbol>[A-Z0-9]{5,})_(?:\d{4}_)?(?:minute|\d*[mhd])$"
)


def instrument_of(path: Path) -> InstrumentId:
    """Whose candles a file holds, by its name; `file:<stem>` if the name does not say.

    In the archive the folders say it.
    """
    if series := series_of(path.absolute()):
        return series.instrument
    stem = path.name.split(".", 1)[0]
    if match := _GOALKICK_NAME.match(stem):
        base, quote = _split_symbol(match["symbol"])
        if match["kind"] == "usdm":
            return InstrumentId(f"{match['venue']}usdm:{base}/{quote}:{quote}")
        return InstrumentId(f"{match['venue']}:{base}/{quote}")
    if match := _FREQTRADE_NAME.match(stem):
        settle = f":{match['settle']}" if match["settle"] else ""
        return InstrumentId(f"file:{match['base']}/{match['quote']}{settle}")
    if match := _BINANCE_NAME.match(stem) or _CRYPTODATADOWNLOAD_NAME.match(stem):
        base, quote = _split_symbol(match["symbol"])
        venue = match.groupdict().get("venue", "binance").lower()
        return InstrumentId(f"{venue}:{base}/{quote}")
    return InstrumentId(f"file:{stem}")


def rules_of(instrument: InstrumentId, price_scale: int) -> Instrument:
    """Rules for an instrument that only a file is known of: the tick is the file's last digit."""
    base, slash, rest = name_of(instrument).partition("/")
    quote = rest.partition(":")[0] if slash else "USD"
    return Instrument(
        id=instrument, base=base, quote=quote, tick_size=Decimal((0, (1,), -price_scale))
    )


def _split_symbol(symbol: str) -> tuple[str, str]:
    base, dash, quote = symbol.partition("-")
    if dash:
        return base, quote
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return symbol, "USD"
