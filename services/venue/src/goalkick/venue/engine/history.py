"""What was traded on one instrument: trades, aggregates, candles, the last 24 hours.

Bounded: the last `KEPT_TRADES` trades and aggregates and `candles.KEPT` candles of each interval
that was asked for are remembered. Trade and aggregate ids are sequences of their own, from 1.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.candles import MINUTE_NS, SECOND_NS, CandleSeries, single
from goalkick.venue.engine.model import AggregateTrade, Candle, PublicTrade

KEPT_TRADES = 20_000
"""Trades (and aggregates) of an instrument that are remembered at least; 10 MB together."""
DAY_MINUTES = 24 * 60


class DayFigures(msgspec.Struct, frozen=True):
    """Sums over the last 24 hours, the minute under way included; all 0 without any candle."""

    open: Decimal = ZERO
    high: Decimal = ZERO
    low: Decimal = ZERO
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    trades: int = 0


class History:
    """One instrument's past.

    Attributes:
        last: price of the last trade, or of the loaded past; None: there is none.
        trades, aggregates: oldest first; live, not to be changed.
    """

    def __init__(self, kept_trades: int = KEPT_TRADES) -> None:
        self.last: Decimal | None = None
        self.trades: list[PublicTrade] = []
        self.aggregates: list[AggregateTrade] = []
        self._kept = kept_trades
        self._taker = 0
        self._minutes = CandleSeries(MINUTE_NS)
        self._series: dict[int, CandleSeries] = {MINUTE_NS: self._minutes}
        self._closed: tuple[int, DayFigures | None] | None = None

    @property
    def first_id(self) -> int:
        """Number of the oldest trade that is remembered; 0: none."""
        return self.trades[0].trade_id if self.trades else 0

    @property
    def last_id(self) -> int:
        """Number of the last trade; 0: there was none."""
        return self.trades[-1].trade_id if self.trades else 0

    def record(
        self, price: Decimal, quantity: Decimal, now_ns: int, taker: int, *, taker_buys: bool
    ) -> tuple[PublicTrade, int]:
        """A trade took place.

        Args:
            price: of the maker.
            quantity: in base.
            now_ns: not before the last trade's.
            taker: the taker's order id: its neighbouring trades at one price are one aggregate.
            taker_buys: whether the taker was the buyer.

        Returns:
            The trade and the number of its aggregate.
        """
        trade = PublicTrade(
            trade_id=self.last_id + 1,
            price=price,
            quantity=quantity,
            time_ns=now_ns,
            buyer_is_maker=not taker_buys,
        )
        self.last = price
        self.trades.append(trade)
        aggregate_id = self._aggregate(trade, taker)
        part = _candle_of(trade)
        for series in self._series.values():
            series.add(part)
        self._trim()
        return trade, aggregate_id

    def load(self, candles: Iterable[Candle]) -> None:
        """Takes over one-minute candles from before the first trade, oldest first.

        Raises:
            InvalidDataError: there was a trade, or the candles are not one a minute in order.
        """
        if self.trades:
            raise InvalidDataError("expected candles before the first trade, found trades")
        for candle in candles:
            if candle.open_ns % MINUTE_NS:
                raise InvalidDataError(f"expected a whole minute, found {candle.open_ns}")
            self._minutes.add(candle)
            self.last = candle.close
        self._series = {MINUTE_NS: self._minutes}
        self._closed = None

    def candles(self, interval_ns: int, now_ns: int) -> Sequence[Candle]:
        """Candles of an interval, oldest first, up to the one that holds `now_ns`.

        Raises:
            InvalidDataError: the interval is no multiple of a minute or of one second.
        """
        series = self._series.get(interval_ns) or self._build(interval_ns)
        series.roll(now_ns)
        return series.candles

    def day(self, now_ns: int) -> DayFigures:
        """The last 24 hours, to the minute."""
        self._minutes.roll(now_ns)
        candles = self._minutes.candles
        if not candles:
            return DayFigures()
        current = candles[-1]
        # Closed minutes are summed up once a minute, not at each question.
        if self._closed is None or self._closed[0] != current.open_ns:
            start = current.open_ns - (DAY_MINUTES - 1) * MINUTE_NS
            self._closed = (current.open_ns, _sum(_since(candles, start)))
        return _join(self._closed[1], current)

    def _aggregate(self, trade: PublicTrade, taker: int) -> int:
        last = self.aggregates[-1] if self.aggregates else None
        if last is not None and self._taker == taker and last.price == trade.price:
            self.aggregates[-1] = msgspec.structs.replace(
                last, quantity=last.quantity + trade.quantity, last_id=trade.trade_id
            )
            return last.aggregate_id
        self._taker = taker
        aggregate_id = last.aggregate_id + 1 if last is not None else 1
        self.aggregates.append(
            AggregateTrade(
                aggregate_id=aggregate_id,
                price=trade.price,
                quantity=trade.quantity,
                first_id=trade.trade_id,
                last_id=trade.trade_id,
                time_ns=trade.time_ns,
                buyer_is_maker=trade.buyer_is_maker,
            )
        )
        return aggregate_id

    def _trim(self) -> None:
        most = self._kept + self._kept // 4
        if len(self.trades) > most:
            del self.trades[: -self._kept]
        if len(self.aggregates) > most:
            del self.aggregates[: -self._kept]

    def _build(self, interval_ns: int) -> CandleSeries:
        if interval_ns <= 0 or interval_ns % SECOND_NS:
            raise InvalidDataError(f"expected an interval of whole seconds, found {interval_ns} ns")
        series = self._series[interval_ns] = CandleSeries(interval_ns)
        whole_minutes = interval_ns % MINUTE_NS == 0
        parts = self._minutes.candles if whole_minutes else map(_candle_of, self.trades)
        for part in parts:
            series.add(part)
        return series


def _candle_of(trade: PublicTrade) -> Candle:
    return single(trade.time_ns, trade.price, trade.quantity, taker_buys=not trade.buyer_is_maker)


def _since(candles: Sequence[Candle], start_ns: int) -> Iterator[Candle]:
    """The closed candles from `start_ns` on; there is no hole among them."""
    first = max(0, len(candles) - 1 - (candles[-1].open_ns - start_ns) // MINUTE_NS)
    return (candles[index] for index in range(first, len(candles) - 1))


def _sum(candles: Iterable[Candle]) -> DayFigures | None:
    figures: DayFigures | None = None
    for candle in candles:
        figures = _join(figures, candle)
    return figures


def _join(figures: DayFigures | None, candle: Candle) -> DayFigures:
    if figures is None:
        return DayFigures(
            candle.open,
            candle.high,
            candle.low,
            candle.volume,
            candle.quote_volume,
            candle.trades,
        )
    return DayFigures(
        figures.open,
        max(figures.high, candle.high),
        min(figures.low, candle.low),
        figures.volume + candle.volume,
        figures.quote_volume + candle.quote_volume,
        figures.trades + candle.trades,
    )
