"""Trades, aggregates, candles and the day's ticker, as the exchange remembers them."""

from decimal import Decimal

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.candles import MINUTE_NS, SECOND_NS, WEEK_NS, CandleSeries, flat, open_of
from goalkick.venue.engine.history import History
from goalkick.venue.engine.model import Candle, Ticker, Traded
from tests.unit.venue.engine_desk import BTC_USDT, START_NS, Desk

HOUR_NS = 60 * MINUTE_NS
MINUTE_0 = open_of(START_NS, MINUTE_NS)


def candle(minute: int, close: str, volume: str = "1", trades: int = 2) -> Candle:
    made = flat(MINUTE_0 + minute * MINUTE_NS, Decimal(close))
    made.volume = Decimal(volume)
    made.quote_volume = made.volume * made.close
    made.trades = trades
    return made


def test_trades_and_aggregates_have_their_own_numbers() -> None:
    desk = Desk()
    for price in ("100", "100", "101"):
        desk.place("eve", "sell", "1", price)
    desk.place("bob", "buy", "3", "101")
    desk.trade("101")
    trades = desk.exchange.trades(BTC_USDT)
    aggregates = desk.exchange.aggregate_trades(BTC_USDT)
    assert [t.trade_id for t in trades] == [1, 2, 3, 4]
    assert [(a.aggregate_id, a.first_id, a.last_id, str(a.quantity)) for a in aggregates] == [
        (1, 1, 2, "2"),
        (2, 3, 3, "1"),
        (3, 4, 4, "1"),
    ]
    assert [h.aggregate_id for h in desk.said if isinstance(h, Traded)] == [1, 1, 2, 3]
    assert {t.buyer_is_maker for t in trades} == {False}


def test_candles_are_made_of_trades_without_a_hole() -> None:
    desk = Desk()
    desk.trade("100", "1")
    desk.trade("90", "2")
    desk.exchange.advance(START_NS + 2 * MINUTE_NS)
    desk.place("bob", "buy", "1", "95")
    desk.place("eve", "sell", "1", "95")
    first, between, last = desk.exchange.candles(BTC_USDT, MINUTE_NS)
    assert first == Candle(
        open_ns=MINUTE_0,
        open=Decimal(100),
        high=Decimal(100),
        low=Decimal(90),
        close=Decimal(90),
        volume=Decimal(3),
        quote_volume=Decimal(280),
        taker_volume=Decimal(3),
        taker_quote_volume=Decimal(280),
        trades=2,
    )
    assert between == flat(MINUTE_0 + MINUTE_NS, Decimal(90))
    assert (last.open, last.volume, last.taker_volume) == (Decimal(95), Decimal(1), Decimal(0))


def test_quiet_minute_appears_as_time_goes_on() -> None:
    desk = Desk()
    assert desk.exchange.candles(BTC_USDT, MINUTE_NS) == []
    desk.trade("100")
    desk.exchange.advance(START_NS + HOUR_NS)
    candles = desk.exchange.candles(BTC_USDT, MINUTE_NS)
    assert len(candles) == 61
    assert candles[-1] == flat(open_of(desk.exchange.now_ns, MINUTE_NS), Decimal(100))


@pytest.mark.parametrize("minutes", [3, 5, 60, 1440])
def test_longer_candles_asked_for_early_or_late_are_the_same(minutes: int) -> None:
    early, late = Desk(), Desk()
    interval = minutes * MINUTE_NS
    for number, price in enumerate(("100", "104", "99", "103", "101", "102")):
        for desk in (early, late):
            desk.exchange.advance(START_NS + number * 97 * SECOND_NS)
            desk.trade(price)
        early.exchange.candles(BTC_USDT, interval)
    expected = late.exchange.candles(BTC_USDT, interval)
    assert early.exchange.candles(BTC_USDT, interval) == expected
    assert sum(c.trades for c in expected) == 6
    assert all(c.open_ns % interval == 0 for c in expected)


def test_second_candles() -> None:
    desk = Desk()
    desk.trade("100")
    desk.exchange.advance(START_NS + 2 * SECOND_NS)
    desk.trade("101")
    assert [c.close for c in desk.exchange.candles(BTC_USDT, SECOND_NS)] == [100, 100, 101]


def test_weeks_begin_on_mondays() -> None:
    monday = 1_699_833_600 * SECOND_NS  # 2023-11-13T00:00Z
    assert open_of(START_NS, WEEK_NS) == monday


@pytest.mark.parametrize("interval", [0, -MINUTE_NS, MINUTE_NS + 1])
def test_interval_must_be_of_whole_seconds(interval: int) -> None:
    with pytest.raises(InvalidDataError):
        Desk().exchange.candles(BTC_USDT, interval)


def test_loaded_past_goes_over_into_the_present() -> None:
    desk = Desk()
    desk.exchange.load_candles(BTC_USDT, [candle(n, str(90 + n)) for n in range(-9, 0)])
    assert desk.exchange.ticker(BTC_USDT).last == 89
    desk.trade("88")
    candles = desk.exchange.candles(BTC_USDT, MINUTE_NS)
    assert [c.close for c in candles] == [*range(81, 90), 88]
    assert desk.exchange.candles(BTC_USDT, HOUR_NS)[-1].volume == 10


def test_past_must_be_loaded_before_the_first_trade_and_in_order() -> None:
    desk = Desk()
    with pytest.raises(InvalidDataError):
        desk.exchange.load_candles(BTC_USDT, [candle(-1, "90"), candle(-2, "90")])
    with pytest.raises(InvalidDataError):
        desk.exchange.load_candles(BTC_USDT, [flat(MINUTE_0 + 1, Decimal(9))])
    desk.trade("90")
    with pytest.raises(InvalidDataError):
        desk.exchange.load_candles(BTC_USDT, [candle(-1, "90")])


def figures(ticker: Ticker) -> str:
    """The prices of the day, its sums, and the best prices, as text."""
    shown = [ticker.open, ticker.high, ticker.low, ticker.last, ticker.volume, ticker.quote_volume]
    best = [ticker.bid, ticker.bid_quantity, ticker.ask, ticker.ask_quantity]
    ids = [ticker.trades, ticker.first_id, ticker.last_id]
    return " | ".join(" ".join(str(n) for n in part) for part in (shown, ids, best))


def test_ticker_tells_the_last_24_hours_and_the_best_prices() -> None:
    desk = Desk()
    day = 1440
    desk.exchange.load_candles(
        BTC_USDT,
        [candle(-day, "500", "7"), *(candle(n, "100", "0", 0) for n in range(1 - day, 0))],
    )
    desk.trade("120", "2")
    desk.trade("110", "1")
    desk.place("ann", "buy", "3", "105")
    desk.place("ann", "sell", "4", "115")
    ticker = desk.exchange.ticker(BTC_USDT)
    assert figures(ticker) == "100 120 100 110 3 350 | 2 1 2 | 105 3 115 4"
    desk.exchange.advance(desk.exchange.now_ns + 2 * day * MINUTE_NS)
    ticker = desk.exchange.ticker(BTC_USDT)
    assert figures(ticker) == "110 110 110 110 0 0 | 0 0 2 | 105 3 115 4"


def test_ticker_of_a_new_instrument_is_zero() -> None:
    assert figures(Desk().exchange.ticker(BTC_USDT)) == "0 0 0 0 0 0 | 0 0 0 | 0 0 0 0"


def test_memory_of_trades_is_bounded_and_numbers_go_on() -> None:
    history = History(kept_trades=8)
    for number in range(100):
        history.record(Decimal(100), Decimal(1), START_NS, taker=number, taker_buys=True)
    assert 8 <= len(history.trades) <= 10
    assert 8 <= len(history.aggregates) <= 10
    assert history.last_id == history.aggregates[-1].aggregate_id == 100
    assert history.first_id == history.trades[0].trade_id


def test_memory_of_candles_is_bounded_even_over_a_leap_of_the_clock() -> None:
    series = CandleSeries(SECOND_NS, kept=100)
    series.add(flat(0, Decimal(1)))
    series.roll(10**9 * SECOND_NS)
    assert len(series.candles) == 101
    assert series.candles[-1].open_ns == 10**9 * SECOND_NS
    for second in range(10**9, 10**9 + 400):
        series.roll(second * SECOND_NS)
        assert len(series.candles) <= 125
    opens = [c.open_ns for c in series.candles]
    assert opens == list(range(opens[0], opens[-1] + 1, SECOND_NS))
