"""What Binance and Bybit say, in our words; and what we say, in theirs."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueRejected,
    VenueTraded,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.execution.settings import VenueName
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.build import DIALECTS
from goalkick.execution.venues.bybit import BybitDialect
from goalkick.execution.venues.dialect import Confirmed, Dialect, Ended, Foreign, Found, Lost, Told

D = Decimal
BOTH = [BinanceDialect(), BybitDialect()]


def named(dialect: Dialect) -> str:
    return dialect.name


class Answering:
    """Stands in for ccxt's client: gives each call its answer, and keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(params: Mapping[str, Any] | None = None) -> Any:
            self.asked.append((name, dict(params or {})))
            given = self.answers[name]
            return given.pop(0) if isinstance(given, list) else given

        return answer


def order(**fields: Any) -> PlaceOrder:
    given = {
        "time_ns": 1,
        "client_order_id": ClientOrderId("gk-1"),
        "instrument": InstrumentId("x:BTC/USDT"),
        "side": Side.BUY,
        "quantity": D("0.010"),
        "kind": OrderKind.MARKET,
    }
    return PlaceOrder(**{**given, **fields})


LIMIT = {"kind": OrderKind.LIMIT, "limit_price": D("90.5")}
STOP_LIMIT = {"kind": OrderKind.STOP_LIMIT, "limit_price": D(111), "stop_price": D(110)}


def test_every_venue_that_can_be_chosen_has_a_dialect_of_that_name() -> None:
    assert {name: made().name for name, made in DIALECTS.items()} == {
        name: name for name in get_args(VenueName)
    }


@pytest.mark.parametrize("dialect", BOTH, ids=named)
def test_what_is_of_no_concern_says_nothing(dialect: Dialect) -> None:
    messages: list[Any] = [[], "pong", {}, {"op": "pong"}, {"event": {"e": "x"}}, {"data": 1}]
    for message in messages:
        assert not dialect.hear(message)


@pytest.mark.parametrize("dialect", BOTH, ids=named)
def test_an_address_of_our_own_replaces_all_of_the_venues(dialect: Dialect) -> None:
    api = {
        "public": "https://a",
        "private": "https://b",
        "other": {"x": "https://c"},
        "ws": {"private": {"contract": "wss://d"}, "ws-api": {"spot": "wss://e"}},
    }
    text = str(dialect.move(api, "http://127.0.0.1:1234"))
    assert "http://127.0.0.1:1234" in text
    assert "ws://127.0.0.1:1234" in text
    assert not [name for name in "abcde" if f"//{name}" in text]


# --- Binance: news


def report(**fields: Any) -> dict[str, Any]:
    given = {
        "e": "executionReport",
        "s": "BTCUSDT",
        "c": "gk-1",
        "C": "",
        "S": "BUY",
        "o": "LIMIT",
        "q": "1",
        "p": "90",
        "x": "NEW",
        "X": "NEW",
        "i": 7,
        "l": "0",
        "z": "0",
        "L": "0",
        "n": "0",
        "N": None,
        "T": 1_700_000_000_000,
        "t": -1,
        "r": "NONE",
    }
    return {"subscriptionId": 0, "event": {**given, **fields}}


TRADE = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.4", "z": "0.4", "L": "89.5", "t": 3}


def test_binance_tells_a_trade_with_its_fee_in_a_third_currency() -> None:
    (told,) = BinanceDialect().hear(report(**TRADE, n="0.0002", N="BNB"))
    assert isinstance(told, Told)
    assert told.event == VenueTraded(
        time_ns=1_700_000_000_000_000_000,
        client_order_id=ClientOrderId("gk-1"),
        instrument=InstrumentId("BTCUSDT"),
        trade_id="3",
        venue_time_ns=1_700_000_000_000_000_000,
        side=Side.BUY,
        quantity=D("0.4"),
        price=D("89.5"),
        fee=D("0.0002"),
        fee_currency="BNB",
        slippage=D(0),
        venue_order_id="7",
    )


BINANCE_NEWS: Sequence[tuple[dict[str, Any], list[Any]]] = [
    ({}, [VenueAccepted]),
    ({**TRADE, "X": "FILLED"}, [VenueTraded, Ended(ClientOrderId("gk-1"), "BTCUSDT", True)]),
    ({"x": "REJECTED", "X": "REJECTED", "r": "NO_REASON"}, [VenueRejected]),
    # A cancel has a name of its own.
    (
        {"x": "CANCELED", "X": "CANCELED", "c": "web-9", "C": "gk-1"},
        [Ended(ClientOrderId("gk-1"), "BTCUSDT")],
    ),
    ({"x": "EXPIRED", "X": "EXPIRED"}, [Ended(ClientOrderId("gk-1"), "BTCUSDT")]),
    (
        {"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"},
        [Ended(ClientOrderId("gk-1"), "BTCUSDT")],
    ),
    ({"c": "web-1"}, [VenueExternalOrder]),
    ({**TRADE, "c": "web-1"}, [VenueExternalTrade]),
    ({"c": "web-2", "x": "CANCELED", "X": "CANCELED", "C": "web-1"}, []),
    ({"e": "eventStreamTerminated"}, [Lost("the venue says eventStreamTerminated")]),
    ({"e": "serverShutdown"}, [Lost("the venue says serverShutdown")]),
]


def plainly(news: Sequence[Any]) -> list[Any]:
    """The kinds of what is told, and all else as it is."""
    return [type(n.event) if isinstance(n, Told | Foreign) else n for n in news]


@pytest.mark.parametrize(("fields", "told"), BINANCE_NEWS)
def test_what_binance_says(fields: dict[str, Any], told: list[Any]) -> None:
    assert plainly(BinanceDialect().hear(report(**fields))) == told


def test_binance_confirms_the_private_stream() -> None:
    message = {"id": "1", "status": 200, "result": {"subscriptionId": 0}}
    assert list(BinanceDialect().hear(message)) == [Confirmed()]


# --- Bybit: news


def bybit_row(**fields: Any) -> dict[str, Any]:
    given = {
        "category": "spot",
        "symbol": "BTCUSDT",
        "orderId": "7",
        "orderLinkId": "gk-1",
        "side": "Sell",
        "orderType": "Limit",
        "price": "90",
        "qty": "1",
        "cumExecQty": "0",
        "orderStatus": "New",
        "rejectReason": "EC_NoError",
        "createdTime": "1700000000000",
        "updatedTime": "1700000000000",
    }
    return {**given, **fields}


def execution(**fields: Any) -> dict[str, Any]:
    given = {
        "category": "spot",
        "symbol": "BTCUSDT",
        "orderId": "7",
        "orderLinkId": "gk-1",
        "side": "Sell",
        "execId": "e-3",
        "execPrice": "89.5",
        "execQty": "0.4",
        "execFee": "0.0002",
        "feeCurrency": "BNB",
        "execType": "Trade",
        "execTime": "1700000000000",
    }
    return {**given, **fields}


def test_bybit_tells_a_trade_with_its_fee_in_a_third_currency() -> None:
    (told,) = BybitDialect().hear({"topic": "execution", "data": [execution()]})
    assert isinstance(told, Told)
    assert told.event == VenueTraded(
        time_ns=1_700_000_000_000_000_000,
        client_order_id=ClientOrderId("gk-1"),
        instrument=InstrumentId("BTCUSDT"),
        trade_id="e-3",
        venue_time_ns=1_700_000_000_000_000_000,
        side=Side.SELL,
        quantity=D("0.4"),
        price=D("89.5"),
        fee=D("0.0002"),
        fee_currency="BNB",
        slippage=D(0),
        venue_order_id="7",
    )


GONE = Ended(ClientOrderId("gk-1"), "BTCUSDT")
BYBIT_NEWS: Sequence[tuple[dict[str, Any], list[Any]]] = [
    ({}, [VenueAccepted]),
    ({"orderStatus": "Untriggered"}, [VenueAccepted]),
    ({"orderStatus": "Rejected", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}, [VenueRejected]),
    ({"orderStatus": "Cancelled"}, [GONE]),
    ({"orderStatus": "PartiallyFilledCanceled"}, [GONE]),
    ({"orderStatus": "Deactivated"}, [GONE]),
    ({"orderStatus": "Filled"}, [Ended(ClientOrderId("gk-1"), "BTCUSDT", True)]),
    ({"orderLinkId": ""}, [VenueExternalOrder]),
    ({"orderLinkId": "", "orderStatus": "Cancelled"}, []),
    ({"category": "linear"}, []),
]


@pytest.mark.parametrize(("fields", "told"), BYBIT_NEWS)
def test_what_bybit_says_of_orders(fields: dict[str, Any], told: list[Any]) -> None:
    message = {"topic": "order", "data": [bybit_row(**fields)]}
    assert plainly(BybitDialect().hear(message)) == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"orderLinkId": "web"}, [VenueExternalTrade]),
        ({"execType": "Funding"}, []),
        ({"category": "linear"}, []),
    ],
)
def test_what_bybit_says_of_trades(fields: dict[str, Any], told: list[Any]) -> None:
    message = {"topic": "execution.spot", "data": [execution(**fields)]}
    assert plainly(BybitDialect().hear(message)) == told


def test_bybit_confirms_the_private_stream_or_refuses_it() -> None:
    dialect = BybitDialect()
    assert list(dialect.hear({"op": "subscribe", "success": True})) == [Confirmed()]
    (lost,) = dialect.hear({"op": "subscribe", "success": False, "ret_msg": "no such topic"})
    assert isinstance(lost, Lost)
    assert "no such topic" in lost.reason


# --- how orders are written


BINANCE_WIRE: Sequence[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"type": "MARKET"}),
    (LIMIT, {"type": "LIMIT", "price": "90.5", "timeInForce": "GTC"}),
    (
        {**LIMIT, "time_in_force": TimeInForce.IMMEDIATE},
        {"type": "LIMIT", "price": "90.5", "timeInForce": "IOC"},
    ),
    (
        {**LIMIT, "time_in_force": TimeInForce.ALL_OR_NOTHING},
        {"type": "LIMIT", "price": "90.5", "timeInForce": "FOK"},
    ),
    (
        {**LIMIT, "time_in_force": TimeInForce.POST_ONLY},
        {"type": "LIMIT_MAKER", "price": "90.5"},
    ),
    (
        {"kind": OrderKind.STOP, "stop_price": D(110)},
        {"type": "STOP_LOSS", "stopPrice": "110"},
    ),
    (
        STOP_LIMIT,
        {"type": "STOP_LOSS_LIMIT", "stopPrice": "110", "price": "111", "timeInForce": "GTC"},
    ),
    (
        {"kind": OrderKind.TAKE_PROFIT, "stop_price": D(80)},
        {"type": "TAKE_PROFIT", "stopPrice": "80"},
    ),
    (
        {"kind": OrderKind.TAKE_PROFIT_LIMIT, "stop_price": D(80), "limit_price": D(81)},
        {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "80", "price": "81", "timeInForce": "GTC"},
    ),
]


@pytest.mark.parametrize(("fields", "wire"), BINANCE_WIRE)
async def test_how_an_order_is_written_to_binance(
    fields: dict[str, Any], wire: dict[str, str]
) -> None:
    answer = {"orderId": 7, "transactTime": 1, "status": "NEW", "executedQty": "0", "fills": []}
    client = Answering(private_post_order=answer)
    told = await BinanceDialect().place(client, order(**fields), "BTCUSDT")
    assert [type(event) for event in told] == [VenueAccepted]
    common = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.01",
        "newClientOrderId": "gk-1",
        "newOrderRespType": "FULL",
    }
    assert client.asked == [("private_post_order", {**common, **wire})]


BYBIT_WIRE: Sequence[tuple[dict[str, Any], dict[str, str]]] = [
    # Without the unit a market buy would be of so much quote currency.
    ({}, {"orderType": "Market", "marketUnit": "baseCoin"}),
    (LIMIT, {"orderType": "Limit", "price": "90.5", "timeInForce": "GTC"}),
    (
        {**LIMIT, "time_in_force": TimeInForce.POST_ONLY},
        {"orderType": "Limit", "price": "90.5", "timeInForce": "PostOnly"},
    ),
    (
        {"kind": OrderKind.STOP, "stop_price": D(110)},
        {
            "orderType": "Market",
            "marketUnit": "baseCoin",
            "triggerPrice": "110",
            "orderFilter": "StopOrder",
        },
    ),
    (
        STOP_LIMIT,
        {
            "orderType": "Limit",
            "price": "111",
            "timeInForce": "GTC",
            "triggerPrice": "110",
            "orderFilter": "StopOrder",
        },
    ),
]


@pytest.mark.parametrize(("fields", "wire"), BYBIT_WIRE)
async def test_how_an_order_is_written_to_bybit(
    fields: dict[str, Any], wire: dict[str, str]
) -> None:
    client = Answering(
        private_post_v5_order_create={"time": 1, "result": {"orderId": "7"}},
        public_get_v5_market_tickers={"result": {"list": [{"lastPrice": "100"}]}},
    )
    told = await BybitDialect().place(client, order(**fields), "BTCUSDT")
    assert [type(event) for event in told] == [VenueAccepted]
    common = {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "qty": "0.01",
        "orderLinkId": "gk-1",
    }
    assert client.asked[-1] == ("private_post_v5_order_create", {**common, **wire})


@pytest.mark.parametrize(
    ("side", "kind", "stop"),
    [
        (Side.BUY, OrderKind.STOP, 99),
        (Side.SELL, OrderKind.STOP, 101),
        (Side.BUY, OrderKind.TAKE_PROFIT, 101),
        (Side.SELL, OrderKind.TAKE_PROFIT, 99),
        (Side.SELL, OrderKind.TAKE_PROFIT, 100),
    ],
)
async def test_a_stop_that_bybit_would_take_for_a_take_profit_is_not_sent(
    side: Side, kind: OrderKind, stop: int
) -> None:
    client = Answering(public_get_v5_market_tickers={"result": {"list": [{"lastPrice": "100"}]}})
    wanted = order(side=side, kind=kind, stop_price=D(stop))
    with pytest.raises(InvalidDataError, match="the last price 100"):
        await BybitDialect().place(client, wanted, "BTCUSDT")
    assert [name for name, _ in client.asked] == ["public_get_v5_market_tickers"]


@pytest.mark.parametrize("dialect", BOTH, ids=named)
def test_a_post_only_order_that_waits_for_a_price_is_lacking(dialect: Dialect) -> None:
    assert dialect.lacks(order(**STOP_LIMIT, time_in_force=TimeInForce.POST_ONLY))
    assert not dialect.lacks(order(**STOP_LIMIT))
    assert not dialect.lacks(order(**LIMIT, time_in_force=TimeInForce.POST_ONLY))


async def test_binance_tells_the_end_only_if_it_told_all_trades() -> None:
    answer = {
        "orderId": 7,
        "transactTime": 1,
        "status": "EXPIRED",
        "executedQty": "0.004",
        "fills": [
            {
                "qty": "0.004",
                "price": "90",
                "commission": "0.1",
                "commissionAsset": "USDT",
                "tradeId": 3,
            }
        ],
    }
    told = await BinanceDialect().place(Answering(private_post_order=answer), order(), "BTCUSDT")
    assert [type(event) for event in told] == [VenueAccepted, VenueTraded, VenueClosed]
    answer["executedQty"] = "0.005"
    told = await BinanceDialect().place(Answering(private_post_order=answer), order(), "BTCUSDT")
    assert [type(event) for event in told] == [VenueAccepted, VenueTraded]


# --- what errors say


REFUSED = {
    "binance": [-1003, -1013, -1015, -1021, -1022, -1100, -1121, -2010, -2015],
    "bybit": [10001, 10002, 10003, 10006, 10018, 170121, 170131, 170140, 170213, 170218],
}
DOUBTFUL = {
    "binance": [-1000, -1001, -1006, -1007, -1008, -1016, 0, 1, 200],
    "bybit": [0, 5004, 10000, 10014, 10016, 170001, 170007, 170032, 170141, 170146, 170149, 110072],
}


@pytest.mark.parametrize("dialect", BOTH, ids=named)
def test_an_order_counts_as_refused_only_where_the_code_says_so_for_certain(
    dialect: Dialect,
) -> None:
    assert all(dialect.is_refusal(code, "") for code in REFUSED[dialect.name])
    assert not any(dialect.is_refusal(code, "") for code in DOUBTFUL[dialect.name])


def test_a_duplicate_on_binance_is_no_refusal_the_first_one_is_there() -> None:
    assert not BinanceDialect().is_refusal(-2010, "Duplicate order sent.")
    assert BinanceDialect().is_refusal(-2010, "Account has insufficient balance.")


# --- what became of an order


NONE: dict[str, Any] = {"result": {"list": []}}


def found(**fields: Any) -> dict[str, Any]:
    return {"result": {"list": [bybit_row(**fields)]}}


async def test_bybit_is_asked_about_orders_of_late_and_then_about_those_before() -> None:
    client = Answering(
        private_get_v5_order_realtime=NONE,
        private_get_v5_order_history=found(orderStatus="Cancelled", cancelType="CancelByUser"),
        private_get_v5_execution_list=NONE,
    )
    told = await BybitDialect().find(client, "gk-1", "BTCUSDT")
    assert told is not None
    assert (told.status, told.complete) == ("cancelled", True)
    client.answers["private_get_v5_order_history"] = NONE
    assert await BybitDialect().find(client, "gk-1", "BTCUSDT") is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"orderStatus": "PartiallyFilled"}, "open"),
        ({"orderStatus": "Filled"}, "filled"),
        ({"orderStatus": "Rejected"}, "rejected"),
        ({"orderStatus": "Cancelled", "rejectReason": "EC_PerCancelRequest"}, "cancelled"),
        ({"orderStatus": "Cancelled", "rejectReason": "EC_NoImmediateQtyToFill"}, "expired"),
        ({"orderStatus": "Cancelled", "cancelType": "CancelBySmp"}, "expired"),
        ({"orderStatus": "Deactivated"}, "expired"),
    ],
)
async def test_how_bybits_orders_stand(fields: dict[str, Any], status: str) -> None:
    client = Answering(
        private_get_v5_order_realtime=found(**fields), private_get_v5_execution_list=NONE
    )
    told = await BybitDialect().find(client, "gk-1", "BTCUSDT")
    assert told is not None
    assert told.status == status


async def test_bybits_trades_are_read_to_the_last_page_oldest_first() -> None:
    pages = [
        {"result": {"list": [execution(execId="3"), execution(execId="2")], "nextPageCursor": "c"}},
        {"result": {"list": [execution(execId="1")], "nextPageCursor": ""}},
    ]
    client = Answering(
        private_get_v5_order_realtime=found(cumExecQty="1.2"), private_get_v5_execution_list=pages
    )
    told = await BybitDialect().find(client, "gk-1", "BTCUSDT")
    assert isinstance(told, Found)
    assert [trade.trade_id for trade in told.trades] == ["1", "2", "3"]
    assert told.complete


async def test_bybits_waiting_orders_are_cancelled_among_their_own_kind() -> None:
    client = Answering(
        private_get_v5_order_realtime=[
            found(orderStatus="Untriggered", triggerPrice="110"),
            found(orderStatus="New", triggerPrice="110"),
            found(orderStatus="New"),
        ],
        private_post_v5_order_cancel={"result": {"orderId": "7"}},
    )
    for _ in range(3):
        await BybitDialect().cancel(client, "gk-1", "BTCUSDT")
    chosen = [params.get("orderFilter") for name, params in client.asked if "cancel" in name]
    assert chosen == ["StopOrder", "Order", None]


async def test_an_answer_without_an_order_is_no_answer_to_a_cancel() -> None:
    cases: list[tuple[Dialect, Answering]] = [
        (BinanceDialect(), Answering(private_delete_order={})),
        (
            BybitDialect(),
            Answering(private_get_v5_order_realtime=found(), private_post_v5_order_cancel={}),
        ),
    ]
    for dialect, client in cases:
        with pytest.raises(LookupError):
            await asyncio.wait_for(dialect.cancel(client, "gk-1", "BTCUSDT"), 1)
