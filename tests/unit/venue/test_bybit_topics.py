"""Bybit's public topics: what they say adds up to what the exchange has."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.venue.accounts import Accounts
from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.topics import KlineTopic, TickerTopic, TradeTopic, make_topic
from goalkick.venue.clock import VenueClock
from goalkick.venue.context import Context
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Kind, Listing, NewOrder, Side, Traded
from goalkick.venue.faults import Faults
from goalkick.venue.request_log import RequestLog
from goalkick.venue.settings import VenueSettings

START = 1_700_000_040 * 1_000_000_000
MINUTE = 60 * 1_000_000_000


class Source:
    now_ns = START

    def __call__(self) -> int:
        return self.now_ns


class Box:
    """An exchange with a clock that stands unless it is told."""

    def __init__(self) -> None:
        self.source = Source()
        clock = VenueClock(self.source)
        self.exchange = Exchange(
            [Listing(instrument="BTC/USDT", base="BTC", quote="USDT")], now_ns=START
        )
        self.exchange.open_account("a", dict.fromkeys(("BTC", "USDT"), Decimal(10**9)))
        self.front = Front(
            Context(
                exchange=self.exchange,
                faults=Faults(),
                clock=clock,
                accounts=Accounts(),
                requests=RequestLog(),
                settings=VenueSettings(),
            )
        )

    def place(self, side: Side, price: int, quantity: int) -> None:
        self.exchange.place(
            "a",
            NewOrder(
                instrument="BTC/USDT",
                side=side,
                kind=Kind.LIMIT,
                price=Decimal(price),
                quantity=Decimal(quantity),
            ),
        )

    def pass_time(self, by_ns: int) -> None:
        self.source.now_ns += by_ns
        self.front.context.advance()


def decoded(texts: list[str]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(text) for text in texts]


def applied(book: dict[str, dict[str, str]], message: dict[str, Any]) -> None:
    for side in ("b", "a"):
        if message["type"] == "snapshot":
            book[side] = {}
        for price, size in message["data"][side]:
            if size == "0":
                del book[side][price]
            else:
                book[side][price] = size


ORDERS = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(90, 110), st.integers(1, 3)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(rounds=st.lists(ORDERS, max_size=6), depth=st.sampled_from([1, 50]))
def test_snapshot_and_deltas_add_up_to_the_book(
    rounds: list[list[tuple[Side, int, int]]], depth: int
) -> None:
    box = Box()
    topic = make_topic(box.front, f"orderbook.{depth}.BTCUSDT")
    assert topic is not None
    book: dict[str, dict[str, str]] = {}
    for message in decoded(topic.first()):
        applied(book, message)
    last = message["data"]["u"]
    for orders in rounds:
        for order in orders:
            box.place(*order)
        for message in decoded(topic.look()):
            applied(book, message)
            assert message["data"]["u"] == last + 1
            last = message["data"]["u"]
        told = box.exchange.depth("BTC/USDT", depth)
        for side, levels in (("b", told.bids), ("a", told.asks)):
            assert book[side] == {str(price): str(quantity) for price, quantity in levels}


def test_a_late_subscriber_gets_the_book_that_all_know() -> None:
    box = Box()
    topic = make_topic(box.front, "orderbook.50.BTCUSDT")
    assert topic is not None
    topic.first()
    box.place(Side.BUY, 99, 1)
    (delta,) = decoded(topic.look())
    (snapshot,) = decoded(topic.first())
    assert snapshot["type"] == "snapshot"
    assert snapshot["data"]["u"] == delta["data"]["u"]
    assert snapshot["data"]["b"] == [["99", "1"]]


def test_nothing_is_told_where_nothing_changed_save_the_best_price_again() -> None:
    box = Box()
    deep, best = (make_topic(box.front, f"orderbook.{n}.BTCUSDT") for n in (50, 1))
    assert deep is not None
    assert best is not None
    deep.first()
    best.first()
    assert deep.look() == best.look() == []
    box.pass_time(3_000_000_000)
    assert deep.look() == []
    (again,) = decoded(best.look())
    assert again["type"] == "snapshot"


def test_trades_are_told_once_and_name_the_taker() -> None:
    box = Box()
    topic = make_topic(box.front, "publicTrade.BTCUSDT")
    assert isinstance(topic, TradeTopic)
    box.exchange.subscribe(
        lambda each: topic.waiting.append(each.trade) if isinstance(each, Traded) else None
    )
    box.place(Side.SELL, 100, 2)
    box.place(Side.BUY, 100, 1)
    (message,) = decoded(topic.look())
    assert [(each["S"], each["p"], each["v"]) for each in message["data"]] == [("Buy", "100", "1")]
    assert topic.look() == []


def test_a_kline_is_confirmed_once_when_it_is_closed() -> None:
    box = Box()
    topic = make_topic(box.front, "kline.1.BTCUSDT")
    assert isinstance(topic, KlineTopic)
    assert topic.first() == topic.look() == []
    box.place(Side.SELL, 100, 2)
    box.place(Side.BUY, 100, 1)
    told = decoded(topic.look())
    box.pass_time(MINUTE)
    told += decoded(topic.look())
    told += decoded(topic.look())
    rows = [message["data"][0] for message in told]
    starts = [(row["start"], row["confirm"]) for row in rows]
    first = START // 1_000_000
    assert starts == [
        (first, False),
        (first, True),
        (first + 60_000, False),
        (first + 60_000, False),
    ]
    assert rows[1]["end"] == first + 59_999


def test_a_ticker_is_told_when_it_changed() -> None:
    box = Box()
    topic = make_topic(box.front, "tickers.BTCUSDT")
    assert isinstance(topic, TickerTopic)
    assert len(topic.first()) == 1
    assert topic.look() == []
    box.place(Side.SELL, 100, 2)
    box.place(Side.BUY, 100, 1)
    (message,) = decoded(topic.look())
    assert message["data"]["lastPrice"] == "100"


@pytest.mark.parametrize(
    "name",
    [
        "orderbook.7.BTCUSDT",
        "orderbook.BTCUSDT",
        "kline.7.BTCUSDT",
        "publicTrade.XYZUSDT",
        "tickers",
        "",
        "liquidation.BTCUSDT",
    ],
)
def test_unknown_topics_are_none(name: str) -> None:
    assert make_topic(Box().front, name) is None
