"""The REST door, asked with raw bytes: security, errors, limits, windows, replacements."""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance.signing import sign
from goalkick.venue.clock import VenueClock
from goalkick.venue.engine.model import Phase, Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, KEY, Box, binance_box
from tests.conformance.raw_binance import RawBinance, Reply

BAD_KEY = (401, -2014, "API-key format invalid.")
UNKNOWN_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
OLD = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
EARLY = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with binance_box() as running:
        running.quote()
        yield running


@pytest.fixture
async def raw(box: Box) -> AsyncIterator[RawBinance]:
    async with RawBinance(box.url, KEY.key, KEY.secret) as client:
        yield client


def now_ms() -> int:
    return int(time.time() * 1000)


async def test_the_key_is_judged_before_all_else(raw: RawBinance) -> None:
    name = "GET /api/v3/account"
    assert (await raw.send(name)).error == BAD_KEY
    assert (await raw.send(name, key="not a key!")).error == BAD_KEY
    assert (await raw.send(name, key="u" * 64)).error == UNKNOWN_KEY


async def test_what_is_missing_is_told_before_the_signature(raw: RawBinance) -> None:
    reply = await raw.send("GET /api/v3/account", "signature=ff", key=KEY.key)
    assert reply.error[1:] == (
        -1102,
        "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
    )
    reply = await raw.send("GET /api/v3/account", "timestamp=1", key=KEY.key)
    assert reply.error[2].startswith("Mandatory parameter 'signature'")


async def test_the_signature_is_judged_before_the_time(raw: RawBinance) -> None:
    reply = await raw.send("GET /api/v3/account", "timestamp=1&signature=ff", key=KEY.key)
    assert reply.error == BAD_SIGNATURE


@pytest.mark.parametrize(
    ("shift_ms", "window", "expected"),
    [
        (-4_000, None, None),
        (-6_000, None, OLD),
        (-6_000, 10_000, None),
        (-300, 200, OLD),
        (800, None, None),
        (1_500, None, EARLY),
    ],
)
async def test_requests_must_come_in_time(
    raw: RawBinance, shift_ms: int, window: int | None, expected: Any
) -> None:
    params = {} if window is None else {"recvWindow": window}
    reply = await raw.signed("GET /api/v3/account", params, at_ms=now_ms() + shift_ms)
    assert (reply.status, expected) == (200, None) or reply.error == expected


async def test_query_and_body_are_signed_together_as_sent(raw: RawBinance, box: Box) -> None:
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=0.1&price=90&newClientOrderId=split&timestamp={now_ms()}"
    signed = f"{body}&signature={sign(KEY.secret, query + body)}"
    name = "POST /api/v3/order"
    assert (await raw.send(name, query, signed, key=KEY.key)).body["clientOrderId"] == "split"
    other = f"{body}&signature={sign(KEY.secret, query + '&' + body)}"
    assert (await raw.send(name, query, other, key=KEY.key)).error == BAD_SIGNATURE


async def test_encoded_bytes_are_not_encoded_anew(raw: RawBinance) -> None:
    for symbol in (quote("币安人生USDT"), quote("币安人生USDT").lower().replace("usdt", "USDT")):
        query = f"symbol={symbol}&timestamp={now_ms()}"
        reply = await raw.send(
            "GET /api/v3/openOrders",
            f"{query}&signature={sign(KEY.secret, query)}",
            key=KEY.key,
        )
        assert (reply.status, reply.body) == (200, [])


async def test_an_ed25519_key_signs_in_base64(raw: RawBinance, box: Box) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    box.context.accounts.add(ApiKey(key="e" * 64, account="main", public_key=pem.decode()))
    query = f"timestamp={now_ms()}"
    signature = quote(base64.b64encode(private.sign(query.encode())).decode(), safe="")
    reply = await raw.send("GET /api/v3/account", f"{query}&signature={signature}", key="e" * 64)
    assert reply.status == 200


async def test_a_revoked_key_is_nobodys_and_a_reading_key_cannot_trade(
    raw: RawBinance, box: Box
) -> None:
    reader = ApiKey(key=KEY.key, secret=KEY.secret, account="main", can_trade=False)
    box.context.accounts.add(reader)
    assert (await raw.signed("GET /api/v3/account")).status == 200
    assert (await raw.order()).error == UNKNOWN_KEY
    box.context.accounts.revoke(KEY.key)
    assert (await raw.signed("GET /api/v3/account")).error == UNKNOWN_KEY


async def test_unknown_parameters_are_refused(raw: RawBinance) -> None:
    reply = await raw.order(postOnly="true")
    assert reply.error[1] == -1104
    reply = await raw.send("GET /api/v3/time", "x=1")
    assert reply.error == (
        400,
        -1104,
        "Not all sent parameters were read; read '0' parameter(s) but was sent '1'.",
    )


async def test_a_parameter_must_not_come_twice(raw: RawBinance) -> None:
    reply = await raw.send("GET /api/v3/depth", "symbol=BTCUSDT&symbol=BTCUSDT")
    assert reply.error == (400, -1101, "Duplicate values for a parameter detected.")


@pytest.mark.parametrize(
    ("params", "code", "msg"),
    [
        ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "LATER"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        (
            {"timeInForce": None},
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            {"type": "LIMIT_MAKER"},
            -1106,
            "Parameter 'timeInForce' sent when not required.",
        ),
        (
            {"type": "MARKET", "timeInForce": None},
            -1106,
            "Parameter 'price' sent when not required.",
        ),
        (
            {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None},
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        (
            {"type": "MARKET", "timeInForce": None, "price": None, "quoteOrderQty": "10"},
            -1128,
            "Combination of optional parameters invalid.",
        ),
        (
            {"icebergQty": "0.1"},
            -2010,
            "Iceberg orders are not supported for this symbol.",
        ),
        ({"price": "90.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "0.00"}, -1013, "Filter failure: PRICE_FILTER"),
        (
            {"type": "MARKET", "timeInForce": None, "price": None, "quantity": "101"},
            -1013,
            "Filter failure: MARKET_LOT_SIZE",
        ),
        (
            {"quantity": "5000"},
            -2010,
            "Account has insufficient balance for requested action.",
        ),
        (
            {"type": "LIMIT_MAKER", "timeInForce": None, "price": "102"},
            -2010,
            "Order would immediately match and take.",
        ),
    ],
)
async def test_orders_are_refused_in_binances_words(
    raw: RawBinance, box: Box, params: dict[str, Any], code: int, msg: str
) -> None:
    box.make(Side.BUY, None)  # a last price, which some rules need
    reply = await raw.order(**params)
    assert reply.error == (400, code, msg)
    assert box.exchange.open_orders("main") == []


async def test_client_ids_must_differ_among_open_orders_only(raw: RawBinance) -> None:
    assert (await raw.order(newClientOrderId="one")).status == 200
    again = await raw.order(newClientOrderId="one")
    assert again.error == (400, -2010, "Duplicate order sent.")
    await raw.signed("DELETE /api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "one"})
    assert (await raw.order(newClientOrderId="one")).status == 200


async def test_a_closed_market_takes_no_orders(raw: RawBinance, box: Box) -> None:
    order = (await raw.order()).body["orderId"]
    box.exchange.set_phase(BTC, Phase.CANCEL_ONLY)
    assert (await raw.order()).error == (400, -1013, "Market is closed.")
    info = await raw.send("GET /api/v3/exchangeInfo", "symbol=BTCUSDT")
    assert info.body["symbols"][0]["status"] == "CANCEL_ONLY"
    done = await raw.signed("DELETE /api/v3/order", {"symbol": "BTCUSDT", "orderId": order})
    assert done.body["status"] == "CANCELED"


async def test_what_is_not_there_cannot_be_asked_for_or_cancelled(raw: RawBinance) -> None:
    gone = {"symbol": "BTCUSDT", "orderId": 99}
    reply = await raw.signed("GET /api/v3/order", gone)
    assert reply.error == (400, -2013, "Order does not exist.")
    assert (await raw.signed("DELETE /api/v3/order", gone)).error == UNKNOWN_ORDER
    reply = await raw.signed("DELETE /api/v3/openOrders", {"symbol": "BTCUSDT"})
    assert reply.error == UNKNOWN_ORDER
    reply = await raw.signed("GET /api/v3/order", {"symbol": "BTCUSDT"})
    assert reply.error[2] == (
        "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
    )


async def test_cancels_can_be_restricted(raw: RawBinance) -> None:
    order = (await raw.order()).body["orderId"]
    params = {"symbol": "BTCUSDT", "orderId": order}
    reply = await raw.signed(
        "DELETE /api/v3/order", {**params, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    )
    assert reply.error == (400, -2011, "Order was not canceled due to cancel restrictions.")
    reply = await raw.signed("DELETE /api/v3/order", {**params, "cancelRestrictions": "ONLY_NEW"})
    assert reply.status == 200


def replacement(order_id: int, **params: object) -> dict[str, object]:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.1",
        "price": "91",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrderId": order_id,
        **params,
    }


async def replace(raw: RawBinance, order_id: int, **params: object) -> Reply:
    return await raw.signed("POST /api/v3/order/cancelReplace", replacement(order_id, **params))


async def test_a_replacement_succeeds_fails_or_half_of_it_does(raw: RawBinance) -> None:
    order = (await raw.order()).body["orderId"]
    done = await replace(raw, order)
    assert done.status == 200
    assert (done.body["cancelResult"], done.body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert done.body["cancelResponse"]["orderId"] == order

    stopped = await replace(raw, order)
    assert stopped.error == (400, -2022, "Order cancel-replace failed.")
    assert stopped.body["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert stopped.body["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}

    placed = await replace(raw, order, cancelReplaceMode="ALLOW_FAILURE")
    assert placed.error == (409, -2021, "Order cancel-replace partially failed.")
    assert placed.body["data"]["newOrderResponse"]["status"] == "NEW"

    new = placed.body["data"]["newOrderResponse"]["orderId"]
    cancelled = await replace(raw, new, quantity="5000")
    assert cancelled.error[0] == 409
    assert cancelled.body["data"]["cancelResult"] == "SUCCESS"
    assert cancelled.body["data"]["newOrderResponse"]["code"] == -2010


async def test_a_market_order_by_quote_spends_it(raw: RawBinance) -> None:
    reply = await raw.order(
        type="MARKET", timeInForce=None, price=None, quantity=None, quoteOrderQty="50.5"
    )
    assert (reply.body["status"], reply.body["executedQty"]) == ("FILLED", "0.50000000")
    assert reply.body["fills"][0]["commissionAsset"] == "BTC"


async def test_a_market_order_for_more_than_there_is_expires(raw: RawBinance) -> None:
    reply = await raw.order(type="MARKET", timeInForce=None, price=None, quantity="7")
    assert (reply.body["status"], reply.body["executedQty"]) == ("EXPIRED", "5.00000000")
    assert reply.body["expiryReason"] == "INSUFFICIENT_LIQUIDITY"


async def test_self_trades_are_prevented_as_asked(raw: RawBinance) -> None:
    await raw.order(price="100")
    reply = await raw.order(
        side="SELL", price="100", quantity="0.1", selfTradePreventionMode="EXPIRE_TAKER"
    )
    assert reply.body["status"] == "EXPIRED_IN_MATCH"
    assert reply.body["fills"] == []


async def test_a_stop_waits_and_a_late_one_is_refused(raw: RawBinance, box: Box) -> None:
    box.make(Side.BUY, None)
    stop = {"type": "STOP_LOSS", "timeInForce": None, "price": None, "side": "SELL"}
    late = await raw.order(**stop, stopPrice="150")
    assert late.error == (400, -2010, "Stop price would trigger immediately.")
    placed = await raw.order(**stop, stopPrice="99.5", newOrderRespType="RESULT")
    assert (placed.body["status"], placed.body["stopPrice"]) == ("NEW", "99.50000000")
    box.make(Side.SELL, None)
    reply = await raw.signed(
        "GET /api/v3/order", {"symbol": "BTCUSDT", "orderId": placed.body["orderId"]}
    )
    assert reply.body["status"] == "FILLED"


async def test_a_test_order_changes_nothing(raw: RawBinance, box: Box) -> None:
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "1",
    }
    assert (await raw.signed("POST /api/v3/order/test", params)).body == {}
    rates = await raw.signed(
        "POST /api/v3/order/test", {**params, "computeCommissionRates": "true"}
    )
    assert rates.body["standardCommissionForOrder"]["taker"] == "0.00100000"
    assert box.exchange.orders("main", BTC) == []


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ("/api/v3/ping", 1),
        ("/api/v3/exchangeInfo", 20),
        ("/api/v3/depth?symbol=BTCUSDT", 5),
        ("/api/v3/depth?symbol=BTCUSDT&limit=500", 25),
        ("/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        ("/api/v3/depth?symbol=BTCUSDT&limit=5000", 250),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m", 2),
        ("/api/v3/trades?symbol=BTCUSDT", 25),
        ("/api/v3/aggTrades?symbol=BTCUSDT", 4),
        ("/api/v3/ticker/24hr?symbol=BTCUSDT", 2),
        ("/api/v3/ticker/24hr", 80),
        ('/api/v3/ticker/24hr?symbols=["BTCUSDT"]', 2),
        ("/api/v3/ticker/price", 4),
        ("/api/v3/ticker/bookTicker?symbol=BTCUSDT", 2),
    ],
)
async def test_each_request_has_its_weight(raw: RawBinance, query: str, weight: int) -> None:
    path, _, rest = query.partition("?")
    reply = await raw.send(f"GET {path}", rest)
    assert reply.status == 200
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def noon_clock() -> VenueClock:
    """Stands still at the beginning of a minute, so that no window ends under a test."""
    clock = VenueClock()
    clock.set(clock.now_ns() // NS_PER_MINUTE * NS_PER_MINUTE)
    clock.drift(0)
    return clock


async def test_signed_weights_and_order_counts_are_told() -> None:
    clock = noon_clock()
    async with binance_box(clock) as box, RawBinance(box.url, KEY.key, KEY.secret) as raw:
        at = clock.now_ms()
        reply = await raw.signed("POST /api/v3/order", limit("90"), at_ms=at)
        assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        assert reply.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert reply.headers["X-MBX-ORDER-COUNT-1D"] == "1"
        used = 1
        mine = {"symbol": "BTCUSDT", "orderId": reply.body["orderId"]}
        for name, params, weight in (
            ("account", {}, 20),
            ("openOrders", {"symbol": "BTCUSDT"}, 6),
            ("openOrders", {}, 80),
            ("allOrders", {"symbol": "BTCUSDT"}, 20),
            ("myTrades", {"symbol": "BTCUSDT"}, 20),
            ("myTrades", mine, 5),
            ("order", mine, 4),
            ("rateLimit/order", {}, 40),
        ):
            used += weight
            told = await raw.signed(f"GET /api/v3/{name}", params, at_ms=at)
            assert told.headers["X-MBX-USED-WEIGHT-1M"] == str(used), name
            assert "X-MBX-ORDER-COUNT-10S" not in told.headers


async def test_too_much_weight_is_refused_then_banned_then_forgiven() -> None:
    clock = noon_clock()
    async with (
        binance_box(clock, weight_limit=40, ban_patience=2) as box,
        RawBinance(box.url, KEY.key, KEY.secret) as raw,
    ):
        for _ in range(2):
            assert (await raw.send("GET /api/v3/exchangeInfo")).status == 200
        refused = await raw.send("GET /api/v3/ping")
        assert refused.error == (
            429,
            -1003,
            "Too much request weight used; current limit is 40 request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        )
        assert refused.headers["Retry-After"] == "60"
        await raw.send("GET /api/v3/ping")
        banned = await raw.send("GET /api/v3/ping")
        until_ms = clock.now_ms() + 120_000
        assert banned.error == (
            418,
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
        )
        assert banned.headers["Retry-After"] == "120"
        clock.step(120 * NS_PER_SECOND)
        assert (await raw.send("GET /api/v3/ping")).status == 200


async def test_too_many_orders_are_refused_until_some_trade() -> None:
    clock = noon_clock()
    async with binance_box(clock, orders_per_10s=2) as box:
        box.quote()
        async with RawBinance(box.url, KEY.key, KEY.secret) as raw:
            at = clock.now_ms()
            for price in ("90", "91"):
                assert (
                    await raw.signed("POST /api/v3/order", limit(price), at_ms=at)
                ).status == 200
            refused = await raw.signed("POST /api/v3/order", limit("92"), at_ms=at)
            assert refused.error == (
                429,
                -1015,
                "Too many new orders; current limit is 2 orders per 10 SECOND.",
            )
            assert refused.headers["Retry-After"] == "10"
            for _ in range(5):
                box.make(Side.SELL, None)  # the maker's own bids first
            for _ in range(2):
                box.make(Side.SELL, "91", "0.1")  # a second fill gives nothing back
            assert (await raw.signed("POST /api/v3/order", limit("92"), at_ms=at)).status == 200
            counts = await raw.signed("GET /api/v3/rateLimit/order", at_ms=at)
            assert [(row["interval"], row["count"]) for row in counts.body] == [
                ("SECOND", 2),
                ("DAY", 2),
            ]


def limit(price: str) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.2",
        "price": price,
    }


async def test_what_does_not_exist_is_404_and_what_was_withdrawn_is_410(
    raw: RawBinance, box: Box
) -> None:
    assert (await raw.send("GET /api/v3/nothing")).status == 404
    assert (await raw.send("PATCH /api/v3/order")).status == 404
    for method in ("POST", "PUT", "DELETE"):
        assert (await raw.send(f"{method} /api/v3/userDataStream")).status == 410
    logged = [entry.status for entry in box.context.requests.entries()]
    assert logged == [404, 404, 410, 410, 410]


async def test_requests_are_logged_without_secrets(raw: RawBinance, box: Box) -> None:
    await raw.signed("GET /api/v3/openOrders", {"symbol": "BTCUSDT"})
    await raw.order(symbol="NOPEUSDT")
    good, bad = box.context.requests.entries()
    assert (good.method, good.account, good.status) == ("GET /api/v3/openOrders", "main", 200)
    assert set(good.params) == {"symbol", "timestamp"}
    assert (bad.status, bad.code) == (400, "-1121")


async def test_klines_follow_their_window(raw: RawBinance, box: Box) -> None:
    box.make(Side.BUY, None)
    box.context.clock.step(5 * NS_PER_MINUTE)
    base = {"symbol": "BTCUSDT", "interval": "1m"}

    async def opens(**params: int) -> list[int]:
        query = "&".join(f"{name}={value}" for name, value in {**base, **params}.items())
        return [row[0] for row in (await raw.send("GET /api/v3/klines", query)).body]

    rows = await opens()
    assert len(rows) == 6
    assert await opens(limit=2) == rows[-2:]
    assert await opens(startTime=rows[1], limit=2) == rows[1:3]
    assert await opens(startTime=rows[1] + 1, limit=1) == rows[2:3]
    assert await opens(endTime=rows[3], limit=2) == rows[2:4]
    assert await opens(startTime=rows[1], endTime=rows[3]) == rows[1:4]
    reply = await raw.send("GET /api/v3/klines", "symbol=BTCUSDT&interval=7m")
    assert reply.error == (400, -1120, "Invalid interval.")


async def test_aggregates_and_trades_have_ids_of_their_own(raw: RawBinance, box: Box) -> None:
    for _ in range(2):
        box.make(Side.SELL, 101, 1)
    box.make(Side.BUY, None, 3)
    box.make(Side.SELL, None)
    trades = (await raw.send("GET /api/v3/trades", "symbol=BTCUSDT")).body
    joined = (await raw.send("GET /api/v3/aggTrades", "symbol=BTCUSDT")).body
    assert [one["id"] for one in trades] == [1, 2, 3, 4]
    assert [(one["a"], one["f"], one["l"]) for one in joined] == [(1, 1, 3), (2, 4, 4)]
    since = (await raw.send("GET /api/v3/aggTrades", "symbol=BTCUSDT&fromId=2")).body
    assert since == joined[1:]
    mixed = await raw.send("GET /api/v3/aggTrades", "symbol=BTCUSDT&fromId=2&startTime=1")
    assert mixed.error[1] == -1128
    at = joined[0]["T"]
    window = f"symbol=BTCUSDT&startTime={at}&endTime={at}"
    assert (await raw.send("GET /api/v3/aggTrades", window)).body[0]["a"] == 1
    old = await raw.send("GET /api/v3/historicalTrades", "symbol=BTCUSDT&fromId=2&limit=2")
    assert [one["id"] for one in old.body] == [2, 3]


async def test_history_may_not_span_more_than_a_day(raw: RawBinance) -> None:
    day_ms = 86_400_000
    for name in ("allOrders", "myTrades"):
        reply = await raw.signed(
            f"GET /api/v3/{name}", {"symbol": "BTCUSDT", "startTime": 1, "endTime": day_ms + 2}
        )
        assert reply.error == (400, -1127, "More than 24 hours between startTime and endTime.")


async def test_tickers_are_one_or_many_as_they_are_asked_for(raw: RawBinance) -> None:
    one = (await raw.send("GET /api/v3/ticker/24hr", "symbol=BTCUSDT")).body
    some = (await raw.send("GET /api/v3/ticker/24hr", 'symbols=["BTCUSDT","ETHUSDT"]')).body
    every = (await raw.send("GET /api/v3/ticker/24hr", "type=MINI")).body
    assert one["bidPrice"] == "99.00000000"
    assert [row["symbol"] for row in some] == ["BTCUSDT", "ETHUSDT"]
    assert "bidPrice" not in every[0]
    both = await raw.send("GET /api/v3/ticker/price", 'symbol=BTCUSDT&symbols=["ETHUSDT"]')
    assert both.error == (400, -1128, "Combination of optional parameters invalid.")


@pytest.mark.parametrize(("point", "executed"), [(Point.REQUEST, 0), (Point.ACCEPTED, 1)])
async def test_a_lost_reply_tells_nothing_about_what_was_done(
    raw: RawBinance, box: Box, point: Point, executed: int
) -> None:
    box.arm(point, "rest:POST /api/v3/order", Action.LOSE_REPLY)
    with pytest.raises(aiohttp.ClientError):
        await raw.order()
    assert len(box.exchange.orders("main", BTC)) == executed
    (entry,) = box.context.requests.entries()
    assert (entry.status, entry.fault) == ((200, "") if executed else (0, "test"))


async def test_a_stale_snapshot_and_a_late_order_query(raw: RawBinance, box: Box) -> None:
    box.arm(Point.REQUEST, "rest:GET /api/v3/depth", Action.STALE, behind=3)
    fresh = box.exchange.depth(BTC).update_id
    old = await raw.send("GET /api/v3/depth", "symbol=BTCUSDT")
    assert old.body["lastUpdateId"] == fresh - 3
    order = (await raw.order()).body["orderId"]
    box.arm(Point.REQUEST, "rest:GET /api/v3/order", Action.STALE)
    params = {"symbol": "BTCUSDT", "orderId": order}
    assert (await raw.signed("GET /api/v3/order", params)).error[1] == -2013
    assert (await raw.signed("GET /api/v3/order", params)).status == 200
