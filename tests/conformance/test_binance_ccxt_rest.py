"""Unmodified ccxt over REST: each unified call, each kind of order, each error, as measured."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.engine.model import Candle, Phase, Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, KEY, LIFE, Box, binance_box
from tests.conformance.clients import ccxt_binance

pytestmark = pytest.mark.slow


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with binance_box() as running:
        running.quote()
        yield running


@pytest.fixture
async def client(box: Box) -> AsyncIterator[Any]:
    async with ccxt_binance(box.url, KEY.key, KEY.secret, enableRateLimit=False) as exchange:
        yield exchange


def last_params(box: Box, method: str) -> dict[str, str]:
    """What the newest request of a method carried, without what all signed ones carry."""
    sent = box.context.requests.entries(method=method)[-1].params
    return {name: sent[name] for name in sent if name not in ("timestamp", "recvWindow")}


# Markets.


async def test_markets_are_one_request_and_keep_the_rules(box: Box, client: Any) -> None:
    methods = [entry.method for entry in box.context.requests.entries()]
    assert sorted(methods) == ["GET /api/v3/exchangeInfo", "GET /api/v3/time"]
    market = client.market(BTC)
    assert (market["active"], market["spot"], market["margin"]) == (True, True, False)
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert market["limits"]["amount"] == {"min": 0.00001, "max": 9_000.0}
    assert market["limits"]["market"] == {"min": 0.0, "max": 100.0}
    assert market["limits"]["cost"] == {"min": 5.0, "max": 9_000_000.0}
    assert client.market(LIFE)["id"] == "币安人生USDT"


async def test_a_halted_market_is_inactive_once_markets_are_loaded_again(
    box: Box, client: Any
) -> None:
    box.exchange.set_phase(BTC, Phase.BREAK)
    assert client.market(BTC)["active"] is True
    await client.load_markets(True)
    assert client.market(BTC)["active"] is False


async def test_default_markets_need_only_what_is_served(box: Box) -> None:
    options = {"fetchCurrencies": True, "fetchMargins": True}
    async with ccxt_binance(box.url, KEY.key, KEY.secret, options=options) as exchange:
        assert BTC in exchange.markets
        assert "BTC" in exchange.currencies
    statuses = {entry.status for entry in box.context.requests.entries()}
    assert statuses == {200}


# Market data.


async def test_market_data_of_a_traded_symbol(box: Box, client: Any) -> None:
    box.make(Side.BUY, None, "0.5")
    assert abs(await client.fetch_time() - client.milliseconds()) < 1_000
    book = await client.fetch_order_book(BTC)
    assert (book["bids"][0], book["asks"][0]) == ([99.0, 1.0], [101.0, 0.5])
    assert (book["timestamp"], book["nonce"]) == (None, 11)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["last"], ticker["bid"], ticker["ask"]) == (101.0, 99.0, 101.0)
    assert set(await client.fetch_tickers([BTC, LIFE])) == {BTC, LIFE}
    assert len(await client.fetch_tickers()) == 3
    assert (await client.fetch_bids_asks([BTC]))[BTC]["askVolume"] == 0.5
    (trade,) = await client.fetch_trades(BTC)
    assert (trade["id"], trade["side"], trade["amount"]) == ("1", "buy", 0.5)


async def test_trades_have_aggregate_ids_by_default_and_trade_ids_when_asked(  # C10
    box: Box, client: Any
) -> None:
    for _ in range(2):
        box.make(Side.SELL, 101)
    box.make(Side.BUY, None, 3)
    by_trade = await client.fetch_trades(BTC)
    client.options["fetchTradesMethod"] = "publicGetAggTrades"
    by_aggregate = await client.fetch_trades(BTC)
    assert [one["id"] for one in by_trade] == ["1", "2", "3"]
    assert [one["id"] for one in by_aggregate] == ["1"]
    since = await client.fetch_trades(BTC, since=by_aggregate[0]["timestamp"])
    assert [one["id"] for one in since] == ["1"]


async def test_the_last_candle_is_not_closed(box: Box, client: Any) -> None:
    box.make(Side.BUY, None)
    box.context.clock.step(3 * NS_PER_MINUTE)
    rows = await client.fetch_ohlcv(BTC, "1m")
    assert len(rows) == 4
    assert rows[-1][0] + 60_000 > box.context.clock.now_ms()
    assert rows[-1][1:] == [101.0, 101.0, 101.0, 101.0, 0.0]
    assert await client.fetch_ohlcv(BTC, "1m", since=rows[1][0], limit=2) == rows[1:3]


async def test_status_and_fees(client: Any) -> None:
    assert (await client.fetch_status())["status"] == "ok"
    fees = await client.fetch_trading_fees()
    assert (fees[BTC]["maker"], fees[BTC]["taker"]) == (0.001, 0.001)


# Orders.


async def test_an_order_lives_and_ends(box: Box, client: Any) -> None:
    order = await client.create_order(BTC, "limit", "buy", 0.1, 90, {"newClientOrderId": "mine"})
    assert (order["status"], order["clientOrderId"]) == ("open", "mine")
    assert last_params(box, "POST /api/v3/order") == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.1",
        "price": "90",
        "timeInForce": "GTC",
        "newClientOrderId": "mine",
        "newOrderRespType": "FULL",
    }
    (open_order,) = await client.fetch_open_orders(BTC)
    assert open_order["id"] == order["id"]
    by_client_id = await client.fetch_order(None, BTC, {"origClientOrderId": "mine"})
    assert by_client_id["id"] == order["id"]
    cancelled = await client.cancel_order(order["id"], BTC)
    assert cancelled["status"] == "canceled"
    assert cancelled["clientOrderId"] != "mine"  # C12
    assert cancelled["info"]["origClientOrderId"] == "mine"
    assert (await client.fetch_orders(BTC))[0]["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(order["id"], BTC)


async def test_a_fill_is_in_the_answer_the_order_the_trades_and_the_balance(
    box: Box, client: Any
) -> None:
    order = await client.create_order(BTC, "limit", "buy", 0.5, 101)
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.5, 101.0)
    assert order["fee"] == {"currency": "BTC", "cost": 0.0005}
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["takerOrMaker"], trade["cost"]) == (order["id"], "taker", 50.5)
    assert "clientOrderId" not in trade["info"]  # C11
    assert (await client.fetch_order_trades(order["id"], BTC)) == [trade]
    balance = await client.fetch_balance()
    ledger = box.exchange.balances("main")
    assert Decimal(str(balance["BTC"]["free"])) == ledger["BTC"].free == Decimal("10.4995")
    fetched = await client.fetch_order(order["id"], BTC)
    assert (fetched["status"], fetched["fee"]) == ("closed", None)


@pytest.mark.parametrize(
    ("kind", "side", "price", "params", "wire"),
    [
        ("limit", "buy", 90, {"timeInForce": "IOC"}, {"type": "LIMIT", "timeInForce": "IOC"}),
        ("limit", "buy", 90, {"timeInForce": "FOK"}, {"type": "LIMIT", "timeInForce": "FOK"}),
        ("limit", "buy", 90, {"postOnly": True}, {"type": "LIMIT_MAKER"}),
        ("limit", "buy", 90, {"timeInForce": "PO"}, {"type": "LIMIT_MAKER"}),
        ("market", "buy", None, {}, {"type": "MARKET", "quantity": "0.1"}),
        ("market", "buy", 101, {}, {"type": "MARKET", "quoteOrderQty": "10.1"}),
        ("market", "buy", None, {"cost": 20}, {"type": "MARKET", "quoteOrderQty": "20"}),
        (
            "market",
            "sell",
            None,
            {"stopLossPrice": 95},
            {"type": "STOP_LOSS", "stopPrice": "95"},
        ),
        (
            "limit",
            "sell",
            94,
            {"triggerPrice": 95},
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "95", "timeInForce": "GTC"},
        ),
        (
            "market",
            "sell",
            None,
            {"takeProfitPrice": 110},
            {"type": "TAKE_PROFIT", "stopPrice": "110"},
        ),
        (
            "limit",
            "sell",
            111,
            {"takeProfitPrice": 110},
            {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "110", "timeInForce": "GTC"},
        ),
        (
            "limit",
            "buy",
            90,
            {"selfTradePrevention": "EXPIRE_BOTH"},
            {"selfTradePreventionMode": "EXPIRE_BOTH"},
        ),
    ],
)
async def test_each_kind_of_order_arrives_as_measured(
    box: Box,
    client: Any,
    kind: str,
    side: str,
    price: float | None,
    params: dict[str, Any],
    wire: dict[str, str],
) -> None:
    box.make(Side.BUY, None, "0.1")
    order = await client.create_order(BTC, kind, side, 0.1, price, params)
    sent = last_params(box, "POST /api/v3/order")
    assert wire.items() <= sent.items()
    assert sent["newOrderRespType"] == "FULL"
    assert ("timeInForce" in sent) == (
        "timeInForce" in wire or sent["type"] in ("LIMIT", "STOP_LOSS_LIMIT")
    )
    kept = box.exchange.order("main", BTC, order_id=int(order["id"]))
    assert kept.kind.name == sent["type"]


async def test_without_a_client_id_ccxt_sends_its_brokers(box: Box, client: Any) -> None:
    await client.create_order(BTC, "limit", "buy", 0.1, 90)
    assert last_params(box, "POST /api/v3/order")["newClientOrderId"].startswith("x-TKT5PX2F")


async def test_test_orders_edits_and_cancelling_all(box: Box, client: Any) -> None:
    await client.create_order(BTC, "limit", "buy", 0.1, 90, {"test": True})
    assert box.exchange.orders("main", BTC) == []
    order = await client.create_order(BTC, "limit", "buy", 0.1, 90)
    edited = await client.edit_order(order["id"], BTC, "limit", "buy", 0.2, 91)
    assert (edited["amount"], edited["price"]) == (0.2, 91.0)
    assert [one.status for one in box.exchange.orders("main", BTC)] == ["cancelled", "new"]
    assert len(await client.cancel_all_orders(BTC)) == 1
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_all_orders(BTC)


async def test_what_is_left_of_a_market_or_ioc_order_expires(box: Box, client: Any) -> None:
    order = await client.create_order(BTC, "limit", "buy", 2, 101, {"timeInForce": "IOC"})
    assert (order["status"], order["filled"]) == ("expired", 1.0)
    order = await client.create_order(BTC, "market", "buy", 9)
    assert (order["status"], order["filled"]) == ("expired", 4.0)


# Errors.


@pytest.mark.parametrize(
    ("kind", "amount", "price", "params", "error", "code"),
    [
        ("limit", 0.01, 90, {}, ccxt.BadRequest, -1013),  # NOTIONAL
        ("limit", 0.1, 1, {}, ccxt.InvalidOrder, -1013),  # PERCENT_PRICE_BY_SIDE
        ("limit", 9_001, 90, {}, ccxt.InvalidOrder, -1013),  # LOT_SIZE
        ("market", 101, None, {}, ccxt.InvalidOrder, -1013),  # MARKET_LOT_SIZE
        ("limit", 5_000, 90, {}, ccxt.InsufficientFunds, -2010),
        ("limit", 0.1, 102, {"postOnly": True}, ccxt.OrderImmediatelyFillable, -2010),
        ("market", 0.1, None, {"stopLossPrice": 150}, ccxt.OrderImmediatelyFillable, -2010),
        ("limit", 0.1, 90, {"unknown": 1}, ccxt.BadRequest, -1104),
    ],
)
async def test_refused_orders_raise_as_measured(
    box: Box,
    client: Any,
    kind: str,
    amount: float,
    price: float | None,
    params: dict[str, Any],
    error: type[Exception],
    code: int,
) -> None:
    box.make(Side.BUY, None, "0.1")
    side = "sell" if "stopLossPrice" in params else "buy"
    with pytest.raises(error) as raised:
        await client.create_order(BTC, kind, side, amount, price, params)
    assert type(raised.value) is error
    assert box.context.requests.entries()[-1].code == str(code)


async def test_a_duplicate_is_an_invalid_order(client: Any) -> None:
    params = {"newClientOrderId": "one"}
    await client.create_order(BTC, "limit", "buy", 0.1, 90, params)
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await client.create_order(BTC, "limit", "buy", 0.1, 90, params)


async def test_closed_markets_and_unknown_symbols(box: Box, client: Any) -> None:
    box.exchange.set_phase(BTC, Phase.HALT)
    with pytest.raises(ccxt.MarketClosed):
        await client.create_order(BTC, "limit", "buy", 0.1, 90)
    box.exchange.delist(BTC)
    with pytest.raises(ccxt.BadSymbol):
        await client.fetch_order_book(BTC)


async def test_wrong_keys_signatures_and_clocks(box: Box, client: Any) -> None:
    async with ccxt_binance(box.url, KEY.key, "wrong") as other:
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await other.fetch_balance()
    async with ccxt_binance(box.url, "u" * 64, KEY.secret) as other:
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await other.fetch_balance()
    box.context.clock.step(30 * NS_PER_SECOND)
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_balance()
    await client.load_time_difference()
    assert (await client.fetch_balance())["BTC"]["free"] == 10.0


async def test_a_missing_order_is_not_found(client: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await client.fetch_order("99", BTC)


async def test_limits_raise_ddos_protection_and_tell_when_to_come_back() -> None:
    async with (
        binance_box(weight_limit=30, ban_patience=1) as box,
        ccxt_binance(box.url, enableRateLimit=False) as client,
    ):
        for status in ("429", "418"):
            with pytest.raises(ccxt.DDoSProtection, match=status):
                await client.fetch_tickers()
            assert int(client.last_response_headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, "", ccxt.ExchangeNotAvailable),
        (502, "<html>bad gateway</html>", ccxt.ExchangeNotAvailable),
        (403, "<html>firewall</html>", ccxt.ExchangeNotAvailable),
        (
            408,
            '{"code":-1007,"msg":"Timeout waiting for response from backend server."}',
            ccxt.RequestTimeout,
        ),
        (504, "", ccxt.RequestTimeout),
        (503, '{"code":1,"msg":"System is under maintenance."}', ccxt.OnMaintenance),
        (
            500,
            '{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
            ccxt.OperationFailed,
        ),
        (
            500,
            '{"code":-1006,"msg":"An unexpected response was received from the message bus. '
            'Execution status unknown."}',
            ccxt.OperationFailed,
        ),
        (400, '{"code":-1121,"msg":"Invalid symbol."}', ccxt.BadSymbol),
        # On the real host names ccxt makes other errors of these: it has a table of its own.
        (503, '{"code":-1008,"msg":"Server is currently overloaded."}', ccxt.ExchangeError),
        (
            400,
            '{"code":-1004,"msg":"Server is busy, please wait and try again"}',
            ccxt.OperationRejected,
        ),
        (400, '{"code":-2008,"msg":"Invalid Api-Key ID."}', ccxt.ExchangeError),
    ],
)
async def test_failures_of_the_venue_raise_as_measured(
    box: Box, client: Any, status: int, body: str, error: type[Exception]
) -> None:
    box.arm(
        Point.REQUEST,
        "rest:GET /api/v3/depth",
        Action.ANSWER,
        status=status,
        body=body,
        content_type="application/json" if body.startswith("{") else "text/html",
    )
    with pytest.raises(error) as raised:
        await client.fetch_order_book(BTC)
    assert isinstance(raised.value, error)


async def test_a_page_instead_of_json_is_an_empty_book_to_ccxt(box: Box, client: Any) -> None:
    box.arm(Point.REQUEST, "rest:GET /api/v3/depth", Action.ANSWER, status=200, body="<html>")
    assert (await client.fetch_order_book(BTC))["bids"] == []


async def test_unknown_paths_look_retryable_to_ccxt(box: Box, client: Any) -> None:
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await client.public_get_ticker_tradingday({"symbol": "BTCUSDT"})
    assert box.context.requests.entries()[-1].status == 404


async def test_an_order_that_was_accepted_can_be_found_by_its_client_id(  # F4
    box: Box, client: Any
) -> None:
    box.arm(Point.ACCEPTED, "rest:POST /api/v3/order", Action.RESET)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await client.create_order(BTC, "limit", "buy", 0.1, 90, {"newClientOrderId": "lost"})
    found = await client.fetch_order(None, BTC, {"origClientOrderId": "lost"})
    assert (found["status"], len(box.exchange.orders("main", BTC))) == ("open", 1)


async def test_a_client_id_is_free_again_after_its_order_filled(box: Box, client: Any) -> None:
    params = {"newClientOrderId": "again"}
    for _ in range(2):
        await client.create_order(BTC, "market", "buy", 0.1, None, params)
    assert [one.client_order_id for one in box.exchange.orders("main", BTC)] == ["again"] * 2


async def test_an_ed25519_key_signs_over_rest_and_socket(box: Box) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    box.context.accounts.add(ApiKey(key="e" * 64, account="main", public_key=public.decode()))
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with ccxt_binance(box.url, "e" * 64, secret) as client:
        assert (await client.fetch_balance())["BTC"]["free"] == 10.0
        assert (await client.create_order(BTC, "limit", "buy", 0.1, 90))["status"] == "open"
        order = await client.create_order_ws(BTC, "limit", "buy", 0.1, 91)
        assert order["status"] == "open"


async def test_history_is_paged_in_windows(box: Box, client: Any) -> None:
    start_ns = box.context.clock.now_ns() // NS_PER_MINUTE * NS_PER_MINUTE - 1_500 * NS_PER_MINUTE
    price = Decimal(100)
    box.exchange.load_candles(
        BTC,
        [
            Candle(
                open_ns=start_ns + n * NS_PER_MINUTE,
                open=price,
                high=price,
                low=price,
                close=price,
                volume=Decimal(n),
            )
            for n in range(1_500)
        ],
    )
    since = start_ns // 1_000_000
    params = {"paginate": True, "paginationCalls": 2}
    rows = await client.fetch_ohlcv(BTC, "1m", since, None, params)
    assert [row[5] for row in rows[:1_500]] == [float(n) for n in range(1_500)]
    asked = box.context.requests.entries(method="/klines")
    assert [entry.params["limit"] for entry in asked] == ["1000", "1000"]
