"""Klines of all of Binance's intervals, from what the exchange keeps.

Weeks begin on Monday and months on their first day, so both are put together from days; all other
intervals are whole multiples since the epoch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from goalkick.common.values.time import (
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    NS_PER_SECOND,
)
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Candle

_MONDAY_NS = 4 * NS_PER_DAY
"""The first Monday after the epoch, which was a Thursday."""


@dataclass(frozen=True)
class Interval:
    """A length of klines.

    Attributes:
        name: on the wire.
        base_ns: length of the exchange's candles that it is made of.
        start: (time) -> beginning of the span that has it.
        end: (beginning) -> end, exclusive.
    """

    name: str
    base_ns: int
    start: Callable[[int], int]
    end: Callable[[int], int]


def series(exchange: Exchange, instrument: str, interval: Interval) -> Sequence[Candle]:
    """All klines of an instrument, oldest first; the last one is not closed."""
    candles = exchange.candles(instrument, interval.base_ns)
    if interval.name not in ("1w", "1M"):
        return candles
    spans = groupby(candles, key=lambda candle: interval.start(candle.open_ns))
    return [_joined(start_ns, parts) for start_ns, parts in spans]


def _joined(start_ns: int, parts: Iterable[Candle]) -> Candle:
    candles = list(parts)
    return Candle(
        open_ns=start_ns,
        open=candles[0].open,
        high=max(one.high for one in candles),
        low=min(one.low for one in candles),
        close=candles[-1].close,
        volume=sum((one.volume for one in candles[1:]), candles[0].volume),
        quote_volume=sum((one.quote_volume for one in candles[1:]), candles[0].quote_volume),
        taker_volume=sum((one.taker_volume for one in candles[1:]), candles[0].taker_volume),
        taker_quote_volume=sum(
            (one.taker_quote_volume for one in candles[1:]), candles[0].taker_quote_volume
        ),
        trades=sum(one.trades for one in candles),
    )


def _even(name: str, length_ns: int) -> Interval:
    return Interval(
        name,
        length_ns,
        start=lambda time_ns: time_ns - time_ns % length_ns,
        end=lambda start_ns: start_ns + length_ns,
    )


def _week_start(time_ns: int) -> int:
    return time_ns - (time_ns - _MONDAY_NS) % (7 * NS_PER_DAY)


def _month_start(time_ns: int) -> int:
    day = datetime.fromtimestamp(time_ns // NS_PER_SECOND, UTC)
    return time_ns - time_ns % NS_PER_DAY - (day.day - 1) * NS_PER_DAY


def _month_end(start_ns: int) -> int:
    return _month_start(start_ns + 31 * NS_PER_DAY)


_LENGTHS = {
    "1s": NS_PER_SECOND,
    **{f"{n}m": n * NS_PER_MINUTE for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * NS_PER_HOUR for n in (1, 2, 4, 6, 8, 12)},
    **{f"{n}d": n * NS_PER_DAY for n in (1, 3)},
}

INTERVALS: dict[str, Interval] = {
    **{name: _even(name, length_ns) for name, length_ns in _LENGTHS.items()},
    "1w": Interval("1w", NS_PER_DAY, _week_start, lambda start_ns: start_ns + 7 * NS_PER_DAY),
    "1M": Interval("1M", NS_PER_DAY, _month_start, _month_end),
}
"""By name, as on the wire; names are case-sensitive."""
