"""Streams: which names there are, and what each source tells when."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from goalkick.venue.binance.klines import INTERVALS, series
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.binance.sources import Source
from goalkick.venue.binance.streams import parse
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Candle,
    Happening,
    Kind,
    LevelChanged,
    Listing,
    NewOrder,
    Side,
)

BTC = "BTC/USDT"
LISTING = Listing(instrument=BTC, base="BTC", quote="USDT")
NOON = 20_000 * NS_PER_DAY + NS_PER_DAY // 2


class Bench:
    """An exchange and one source that hears of it."""

    def __init__(self, stream: str) -> None:
        self.exchange = Exchange([LISTING], now_ns=NOON)
        self.exchange.open_account("a", {"USDT": Decimal(10**6), "BTC": Decimal(1_000)})
        make = parse(stream)
        assert make is not None
        self.source: Source = make(self.exchange, LISTING, BinanceSettings())
        self.events: list[Any] = []
        self.exchange.subscribe(self._happened)

    def _happened(self, happening: Happening) -> None:
        self.events += self.source.happened(happening, self.exchange.now_ns)

    def place(self, side: Side, price: int | None, quantity: int = 1) -> None:
        kind = Kind.MARKET if price is None else Kind.LIMIT
        amount = None if price is None else Decimal(price)
        request = NewOrder(
            instrument=BTC, side=side, kind=kind, price=amount, quantity=Decimal(quantity)
        )
        self.exchange.place("a", request)

    def settled(self) -> list[Any]:
        return list(self.source.settled(self.exchange.now_ns))

    def due(self, after_ns: int = 0) -> list[Any]:
        self.exchange.advance(self.exchange.now_ns + after_ns)
        return list(self.source.due(self.exchange.now_ns))


@pytest.mark.parametrize(
    "name",
    [
        "btcusdt@trade",
        "btcusdt@aggTrade",
        "btcusdt@bookTicker",
        "btcusdt@miniTicker",
        "btcusdt@ticker",
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "btcusdt@depth5",
        "btcusdt@depth20@100ms",
        "币安人生usdt@trade",
        *(f"btcusdt@kline_{name}" for name in INTERVALS),
    ],
)
def test_knows_all_streams(name: str) -> None:
    assert parse(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "btcusdt",
        "BTCUSDT@trade",
        "btcusdt@aggtrade",
        "btcusdt@depth7",
        "@trade",
        "btcusdt@kline_7m",
        "btcusdt@depth@1000ms",
        "!ticker@arr",
        "btcusdt@trade@100ms",
    ],
)
def test_knows_no_other_streams(name: str) -> None:
    assert parse(name) is None


def test_the_speed_of_a_stream_is_in_its_name() -> None:
    periods = {
        name: Bench(f"btcusdt@{name}").source.period_ns
        for name in ("depth", "depth@100ms", "depth10", "depth10@100ms", "trade")
    }
    assert periods == {
        "depth": NS_PER_SECOND,
        "depth@100ms": 100 * NS_PER_MS,
        "depth10": NS_PER_SECOND,
        "depth10@100ms": 100 * NS_PER_MS,
        "trade": 0,
    }


def test_depth_updates_have_no_gap_and_rebuild_the_book() -> None:
    bench = Bench("btcusdt@depth@100ms")
    for step in range(3):
        bench.place(Side.BUY, 99 - step)
        bench.place(Side.SELL, 101 + step)
    first = bench.due()
    bench.place(Side.BUY, None, 2)
    bench.place(Side.SELL, 101, 3)
    second = bench.due()
    assert bench.due() == [], "nothing changed"

    updates = [*first, *second]
    assert updates[0]["U"] == 1
    assert updates[1]["U"] == updates[0]["u"] + 1
    book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    for update in updates:
        for side, levels in book.items():
            levels.update(update[side])
    depth = bench.exchange.depth(BTC)
    assert updates[1]["u"] == depth.update_id
    for side, kept in (("b", depth.bids), ("a", depth.asks)):
        left = {Decimal(p): Decimal(q) for p, q in book[side].items() if Decimal(q)}
        assert left == dict(kept)


@given(
    st.lists(
        st.tuples(st.sampled_from(Side), st.one_of(st.none(), st.integers(95, 105)), st.booleans()),
        max_size=40,
    )
)
def test_whatever_happens_the_updates_rebuild_the_book(
    moves: list[tuple[Side, int | None, bool]],
) -> None:
    bench = Bench("btcusdt@depth@100ms")
    book: dict[Side, dict[Decimal, Decimal]] = {Side.BUY: {}, Side.SELL: {}}
    last = 0
    for side, price, flush in [*moves, (Side.BUY, 95, True)]:
        bench.place(side, price)
        for update in bench.due() if flush else []:
            assert update["U"] == last + 1
            last = update["u"]
            for name, kept in (("b", Side.BUY), ("a", Side.SELL)):
                book[kept].update((Decimal(p), Decimal(q)) for p, q in update[name])
    depth = bench.exchange.depth(BTC)
    assert last == depth.update_id
    for kept, levels in ((Side.BUY, depth.bids), (Side.SELL, depth.asks)):
        assert {p: q for p, q in book[kept].items() if q} == dict(levels)


def test_a_level_that_is_gone_is_told_with_quantity_zero() -> None:
    bench = Bench("btcusdt@depth@100ms")
    bench.place(Side.SELL, 101)
    bench.due()
    bench.place(Side.BUY, None)
    assert bench.due()[0]["a"] == [["101.00000000", "0.00000000"]]


def test_partial_depth_tells_the_best_levels_when_the_book_changed() -> None:
    bench = Bench("btcusdt@depth5")
    for step in range(7):
        bench.place(Side.BUY, 99 - step)
    (told,) = bench.due()
    assert [price for price, _ in told["bids"]] == [f"{99 - n}.00000000" for n in range(5)]
    assert bench.due() == []


def test_trades_are_told_at_once_and_aggregates_when_the_taker_is_done() -> None:
    single, joined = Bench("btcusdt@trade"), Bench("btcusdt@aggTrade")
    for bench in (single, joined):
        for price in (101, 101, 102):
            bench.place(Side.SELL, price)
        bench.place(Side.BUY, None, 3)
    assert [(one["t"], one["p"]) for one in single.events] == [
        (1, "101.00000000"),
        (2, "101.00000000"),
        (3, "102.00000000"),
    ]
    told = [*joined.events, *joined.settled()]
    assert [(one["a"], one["q"], one["f"], one["l"]) for one in told] == [
        (1, "2.00000000", 1, 2),
        (2, "1.00000000", 3, 3),
    ]
    kept = joined.exchange.aggregate_trades(BTC)
    assert [(one.aggregate_id, one.first_id, one.last_id) for one in kept] == [(1, 1, 2), (2, 3, 3)]


def test_best_quotes_are_told_only_when_they_changed() -> None:
    bench = Bench("btcusdt@bookTicker")
    bench.place(Side.BUY, 99)
    (told,) = bench.settled()
    assert (told["b"], told["a"], told["u"]) == ("99.00000000", "0.00000000", 1)
    assert "e" not in told
    bench.place(Side.BUY, 98)
    assert bench.settled() == []


def test_tickers_are_silent_while_nothing_changes() -> None:
    bench = Bench("btcusdt@miniTicker")
    bench.place(Side.SELL, 101)
    bench.place(Side.BUY, None)
    (told,) = bench.due()
    assert (told["e"], told["c"], told["v"]) == ("24hrMiniTicker", "101.00000000", "1.00000000")
    assert bench.due(NS_PER_SECOND) == []
    full = Bench("btcusdt@ticker")
    full.place(Side.SELL, 101)
    full.place(Side.BUY, None)
    assert full.due()[0]["e"] == "24hrTicker"


def _spans(events: list[Any]) -> Iterator[tuple[int, bool]]:
    for event in events:
        yield event["k"]["t"] * NS_PER_MS, event["k"]["x"]


def test_each_kline_is_told_closed_once_even_in_a_quiet_market() -> None:
    bench = Bench("btcusdt@kline_1m")
    bench.place(Side.SELL, 101)
    bench.place(Side.BUY, None)
    first = NOON
    assert list(_spans(bench.due())) == [(first, False)]
    assert bench.due(NS_PER_SECOND) == [], "not yet time for the next"
    assert list(_spans(bench.due(NS_PER_SECOND))) == [(first, False)]
    told = list(_spans(bench.due(NS_PER_MINUTE)))
    assert told == [(first, True), (first + NS_PER_MINUTE, False)]
    told = list(_spans(bench.due(3 * NS_PER_MINUTE)))
    assert told == [
        *((first + n * NS_PER_MINUTE, True) for n in (1, 2, 3)),
        (first + 4 * NS_PER_MINUTE, False),
    ]


def test_klines_tell_their_trades() -> None:
    bench = Bench("btcusdt@kline_1m")
    bench.place(Side.SELL, 101)
    bench.place(Side.BUY, None)
    kline = bench.due()[0]["k"]
    assert (kline["f"], kline["L"], kline["n"]) == (1, 1, 1)
    assert kline["T"] - kline["t"] == 59_999


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    exchange = Exchange([LISTING], now_ns=NOON)  # Friday, 4 October 2024
    day = NOON - NOON % NS_PER_DAY
    price = Decimal(100)
    minutes = [
        Candle(
            open_ns=day - 40 * NS_PER_DAY + n * NS_PER_MINUTE,
            open=price,
            high=price + n // 1_440,
            low=price,
            close=price,
            volume=Decimal(1),
            trades=1,
        )
        for n in range(40 * 1_440)
    ]
    exchange.load_candles(BTC, minutes)
    weeks = series(exchange, BTC, INTERVALS["1w"])
    assert all((one.open_ns // NS_PER_DAY + 3) % 7 == 0 for one in weeks)
    months = series(exchange, BTC, INTERVALS["1M"])
    begins = [INTERVALS["1M"].end(one.open_ns) for one in months[:-1]]
    assert begins == [one.open_ns for one in months[1:]]
    days = series(exchange, BTC, INTERVALS["1d"])
    assert sum(one.volume for one in months) == sum(one.volume for one in days)
    assert max(one.high for one in weeks) == max(one.high for one in days)


def test_update_ids_of_happenings_are_contiguous() -> None:
    bench = Bench("btcusdt@trade")
    seen: list[int] = []
    bench.exchange.subscribe(
        lambda one: seen.append(one.update_id) if isinstance(one, LevelChanged) else None
    )
    for _ in range(3):
        bench.place(Side.SELL, 101)
        bench.place(Side.BUY, None)
    assert seen == list(range(1, len(seen) + 1))
