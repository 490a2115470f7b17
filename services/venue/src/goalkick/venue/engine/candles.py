"""Candles of one interval, without a hole: a span without trades repeats the last close."""

from collections.abc import Sequence
from decimal import Decimal

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Candle

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
WEEK_NS = 7 * 24 * 60 * MINUTE_NS
_MONDAY_NS = 4 * 24 * 60 * MINUTE_NS  # the epoch was a Thursday; weeks begin on Mondays

KEPT = 90_000
"""Candles of an interval that are remembered at least: 62 days of minutes, about 1 kB each."""


def open_of(time_ns: int, interval_ns: int) -> int:
    """Start of the interval that holds `time_ns`: counted from the epoch, weeks from a Monday."""
    offset = _MONDAY_NS if interval_ns == WEEK_NS else 0
    return (time_ns - offset) // interval_ns * interval_ns + offset


def flat(open_ns: int, price: Decimal) -> Candle:
    """A candle without trades."""
    return Candle(open_ns=open_ns, open=price, high=price, low=price, close=price)


def single(
    time_ns: int, price: Decimal, quantity: Decimal, *, taker_buys: bool, open_ns: int = -1
) -> Candle:
    """The candle of one trade; it starts with the trade unless `open_ns` says otherwise."""
    quote = price * quantity
    return Candle(
        open_ns=time_ns if open_ns < 0 else open_ns,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=quantity,
        quote_volume=quote,
        taker_volume=quantity if taker_buys else ZERO,
        taker_quote_volume=quote if taker_buys else ZERO,
        trades=1,
    )


class CandleSeries:
    """Candles of one interval, oldest first; the last one is still open.

    Args:
        interval_ns: a positive multiple of one second.
        kept: how many are remembered at least.
    """

    def __init__(self, interval_ns: int, kept: int = KEPT) -> None:
        self.interval_ns = interval_ns
        self._kept = kept
        self._candles: list[Candle] = []
        self._empty = False  # whether the last candle only repeats the close before it

    @property
    def candles(self) -> Sequence[Candle]:
        """All that are remembered. Live: readers must not change or keep them."""
        return self._candles

    def add(self, part: Candle) -> None:
        """Takes in a candle of a shorter span (or one trade's), not older than the last.

        Raises:
            InvalidDataError: it is older.
        """
        open_ns = open_of(part.open_ns, self.interval_ns)
        self.roll(open_ns)
        if not self._candles:
            self._candles.append(flat(open_ns, part.open))
            self._empty = True
        last = self._candles[-1]
        if last.open_ns > open_ns:
            raise InvalidDataError(
                f"expected a candle not before {last.open_ns}, found {part.open_ns}"
            )
        if part == flat(part.open_ns, last.close):
            return  # a span without trades does not open a longer one
        if self._empty:
            last.open = last.high = last.low = part.open
            self._empty = False
        last.high = max(last.high, part.high)
        last.low = min(last.low, part.low)
        last.close = part.close
        last.volume += part.volume
        last.quote_volume += part.quote_volume
        last.taker_volume += part.taker_volume
        last.taker_quote_volume += part.taker_quote_volume
        last.trades += part.trades

    def roll(self, now_ns: int) -> None:
        """Adds flat candles up to the one that holds `now_ns`; nothing before the first."""
        if not self._candles:
            return
        last, interval = self._candles[-1], self.interval_ns
        end = open_of(now_ns, interval)
        if end <= last.open_ns:
            return
        self._empty = True
        # After a leap of the clock only what would be remembered is worth making.
        start = max(last.open_ns + interval, end - self._kept * interval)
        if start > last.open_ns + interval:
            self._candles.clear()
        self._candles.extend(
            flat(open_ns, last.close) for open_ns in range(start, end + 1, interval)
        )
        if len(self._candles) > self._kept + self._kept // 4:
            del self._candles[: -self._kept]
