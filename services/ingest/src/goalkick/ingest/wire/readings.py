"""Small readers of what stands in wire messages: numbers, times, sides, trades, quotes, bars."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.market import BarClosed, QuoteChanged, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import ZERO, parse_decimal, plain
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

EARLIEST_NS: Final = 1_230_768_000 * NS_PER_SECOND
"""2009-01-01: no venue traded before; an earlier time is another unit or none at all."""
LATEST_NS: Final = 4_102_444_800 * NS_PER_SECOND
"""2100-01-01: a later time is another unit."""


def trade_of(
    instrument: InstrumentId, trade_id: str, price: str, quantity: str, side: Side, time_ns: int
) -> TradePrinted:
    """A trade.

    Raises:
        InvalidDataError: price or quantity is not a positive number.
    """
    return TradePrinted(
        time_ns=time_ns,
        instrument=instrument,
        trade_id=trade_id,
        price=positive(price, "price"),
        quantity=positive(quantity, "quantity"),
        side=side,
    )


def quote_of(
    instrument: InstrumentId,
    bid: tuple[str, str],
    ask: tuple[str, str],
    time_ns: int,
    sequence: int = 0,
) -> QuoteChanged:
    """A best bid and ask.

    Raises:
        InvalidDataError: a number is not positive, or the two cross.
    """
    quote = QuoteChanged(
        time_ns=time_ns,
        instrument=instrument,
        bid=positive(bid[0], "bid"),
        bid_quantity=positive(bid[1], "bid quantity"),
        ask=positive(ask[0], "ask"),
        ask_quantity=positive(ask[1], "ask quantity"),
        sequence=sequence,
    )
    if quote.bid >= quote.ask:
        raise InvalidDataError(f"expected a bid below the ask, found {quote.bid} and {quote.ask}")
    return quote


def bar_of(
    instrument: InstrumentId,
    open_ns: int,
    interval_ns: int,
    numbers: Sequence[str],
    *,
    trades: int | None = None,
    quote_volume: str | None = None,
    taker_volume: str | None = None,
) -> BarClosed:
    """A bar.

    Args:
        instrument: whose it is.
        open_ns: its start, UTC.
        interval_ns: its length.
        numbers: open, high, low, close, volume.
        trades: how many; None: not told.
        quote_volume: in quote currency; None: not told.
        taker_volume: what takers bought, in base currency; None: not told.

    Raises:
        InvalidDataError: the numbers make no bar.
    """
    open_, high, low, close = (positive(text, "price") for text in numbers[:4])
    volume = not_negative(numbers[4], "volume")
    if not low <= min(open_, close) <= max(open_, close) <= high:
        raise InvalidDataError(
            f"expected low <= open, close <= high, found {low}, {open_}, {close}, {high}"
        )
    bought = None if taker_volume is None else not_negative(taker_volume, "taker volume")
    if (bought or ZERO) > volume or (trades or 0) < 0:
        raise InvalidDataError(
            f"expected a taker volume within the volume of {volume} and trades of 0 or more, "
            f"found {bought} and {trades}"
        )
    return BarClosed(
        time_ns=checked_time(open_ns) + interval_ns,
        instrument=instrument,
        interval_ns=interval_ns,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        trades=trades,
        quote_volume=None if quote_volume is None else not_negative(quote_volume, "quote volume"),
        taker_volume=bought,
    )


def positive(text: str, what: str) -> Decimal:
    """A number above 0.

    Raises:
        InvalidDataError: it is none.
    """
    value = number(text, what)
    if value <= 0:
        raise InvalidDataError(f"expected a positive {what}, found {text!r}")
    return value


def not_negative(text: str, what: str) -> Decimal:
    """A number of 0 or more.

    Raises:
        InvalidDataError: it is none.
    """
    value = number(text, what)
    if value < 0:
        raise InvalidDataError(f"expected a {what} of 0 or more, found {text!r}")
    return value


def number(text: Any, what: str) -> Decimal:
    """A finite number, exactly as it stands there.

    Raises:
        InvalidDataError: it is none.
    """
    try:
        return parse_decimal(text)
    except (ValueError, TypeError, ArithmeticError):
        raise InvalidDataError(f"expected a number as {what}, found {text!r:.80}") from None


def checked_time(time_ns: int) -> int:
    """`time_ns` if markets exist at that time.

    Raises:
        InvalidDataError: they do not.
    """
    if not EARLIEST_NS <= time_ns < LATEST_NS:
        raise InvalidDataError(f"expected a time between 2009 and 2100, found {time_ns} ns")
    return time_ns


def iso_time(text: str) -> int:
    """UTC ns of an ISO 8601 time in UTC, with up to nine digits of a second.

    Raises:
        InvalidDataError: it is none.
    """
    head, point, rest = text.partition(".")
    fraction = rest.rstrip("Z")
    if rest.endswith("+00:00"):
        fraction = rest[:-6]
    if point and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 9):
        raise InvalidDataError(f"expected an ISO time in UTC, found {text!r:.80}")
    return _second(head) * NS_PER_SECOND + (int(fraction.ljust(9, "0")) if point else 0)


@lru_cache(maxsize=1024)
def _second(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    except ValueError:
        raise InvalidDataError(f"expected an ISO time in UTC, found {text!r:.80}") from None
    return int(moment.timestamp())


def seconds_time(text: str) -> int:
    """UTC ns of decimal seconds since 1970, as text.

    Raises:
        InvalidDataError: it is none.
    """
    return int(number(text, "time in seconds") * NS_PER_SECOND)


def ms_time(text: str | int) -> int:
    """UTC ns of milliseconds since 1970, or of microseconds: a number says by its size which.

    Raises:
        InvalidDataError: it is neither.
    """
    value = text if type(text) is int else whole(text)
    if value < 10**14:
        return value * NS_PER_MS
    return value * 1_000


def whole(value: str | int) -> int:
    """A whole number of 0 or more, as it stands there.

    Raises:
        InvalidDataError: it is none.
    """
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidDataError(f"expected a whole number, found {value!r:.80}")
    return int(text)


def text_of(value: Any, what: str, places: int | None = None) -> str:
    """A wire's number as text: some venues send JSON numbers, whose shortest text is meant.

    Args:
        value: text, an integer, a float or a decimal.
        what: its name, for messages.
        places: decimal places to write it with; None: as many as it has.

    Raises:
        InvalidDataError: it is no number, or has more places than `places`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidDataError(f"expected a number as {what}, found {value!r:.80}")
    exact = number(repr(value) if isinstance(value, float) else str(value), what)
    text = plain(exact)
    if places is None:
        return text
    whole, _, fraction = text.partition(".")
    if len(fraction) > places:
        raise InvalidDataError(f"expected {what} with at most {places} places, found {text}")
    return f"{whole}.{fraction:0<{places}}" if places else whole


def side_of(word: str, buy: str, sell: str) -> Side:
    """A side by the venue's words for it.

    Raises:
        InvalidDataError: it is neither.
    """
    if word == buy:
        return Side.BUY
    if word == sell:
        return Side.SELL
    raise InvalidDataError(f"expected {buy} or {sell} as side, found {word!r:.80}")
