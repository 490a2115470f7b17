"""The WebSocket API, frame by frame: sessions, signatures, limits, user data, and its faults."""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance.signing import sign, ws_payload
from goalkick.venue.engine.model import Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, KEY, OTHER, Box, binance_box
from tests.conformance.raw_binance import RawBinance, RawSocket

PATH = "/ws-api/v3"
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "90",
}


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with binance_box() as running:
        running.quote()
        yield running


@pytest.fixture
async def raw(box: Box) -> AsyncIterator[RawBinance]:
    async with RawBinance(box.url, KEY.key, KEY.secret) as client:
        yield client


@pytest.fixture
async def socket(raw: RawBinance) -> AsyncIterator[RawSocket]:
    async with raw.socket(PATH) as opened:
        yield opened


def now_ms() -> int:
    return int(time.time() * 1000)


def signed(key: ApiKey = KEY, /, **params: Any) -> dict[str, Any]:
    """Parameters with key, time and signature."""
    sent = {"apiKey": key.key, "timestamp": now_ms(), **params}
    texts = {name: str(value) for name, value in sent.items()}
    return {**sent, "signature": sign(key.secret, ws_payload(texts))}


def error_of(reply: dict[str, Any]) -> tuple[int, int, str]:
    return reply["status"], reply["error"]["code"], reply["error"]["msg"]


async def test_public_requests_are_answered_with_what_they_cost(socket: RawSocket) -> None:
    reply = await socket.ask("time")
    assert abs(reply["result"]["serverTime"] - now_ms()) < 1_000
    (weight,) = reply["rateLimits"]
    assert (weight["rateLimitType"], weight["count"]) == ("REQUEST_WEIGHT", 3), "2 to connect"
    assert (await socket.ask("v3/ping"))["result"] == {}
    depth = await socket.ask("depth", symbol="BTCUSDT", limit=1)
    assert depth["result"]["bids"] == [["99.00000000", "1.00000000"]]
    tickers = await socket.ask("ticker.price", symbols=["BTCUSDT", "币安人生USDT"])
    assert len(tickers["result"]) == 2


async def test_rate_limits_can_be_hidden(raw: RawBinance) -> None:
    async with raw.socket(PATH + "?returnRateLimits=false") as socket:
        assert "rateLimits" not in await socket.ask("ping")
        assert "rateLimits" in await socket.ask("ping", returnRateLimits=True)
    async with raw.socket(PATH) as socket:
        assert "rateLimits" not in await socket.ask("ping", returnRateLimits=False)


async def test_order_counts_are_told_with_orders(socket: RawSocket) -> None:
    reply = await socket.ask("order.place", **signed(**LIMIT))
    assert [row["rateLimitType"] for row in reply["rateLimits"]] == [
        "ORDERS",
        "ORDERS",
        "REQUEST_WEIGHT",
    ]
    assert reply["result"]["status"] == "NEW"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("{bad", (400, -1135, "Invalid JSON Request")),
        ("[]", (400, -1135, "Invalid JSON Request")),
        ('{"id":1}', (400, -1135, "Invalid JSON Request")),
        ('{"id":1,"method":"order.guess"}', (400, -1020, "This operation is not supported.")),
    ],
)
async def test_what_is_no_request_is_answered_as_such(
    socket: RawSocket, message: str, error: Any
) -> None:
    await socket.send(message)
    assert error_of(await socket.next()) == error


async def test_checks_come_in_the_same_order_as_over_rest(socket: RawSocket, box: Box) -> None:
    async def refused(**params: Any) -> int:
        return error_of(await socket.ask("order.place", **params))[1]

    good = signed(**LIMIT)
    assert await refused(**LIMIT, timestamp=now_ms()) == -2014
    assert await refused(**{**good, "apiKey": "u" * 64}) == -2015
    assert await refused(**signed(symbol="BTCUSDT")) == -1102
    assert await refused(**signed(**LIMIT, postOnly="true")) == -1104
    assert await refused(**{**good, "quantity": "0.2"}) == -1022
    assert await refused(**signed(**LIMIT, timestamp=now_ms() - 6_000)) == -1021
    assert box.exchange.orders("main", BTC) == []


async def test_numbers_are_signed_as_they_were_written(socket: RawSocket) -> None:
    params = signed(**{**LIMIT, "price": "90.10", "quantity": "0.10"})
    text = str(params).replace("'", '"').replace('"90.10"', "90.10").replace('"0.10"', "0.10")
    await socket.send(f'{{"id":7,"method":"order.place","params":{text}}}')
    assert (await socket.next(id=7))["status"] == 200


async def test_symbols_beyond_ascii_are_signed_as_they_are(socket: RawSocket) -> None:
    reply = await socket.ask("openOrders.status", **signed(symbol="币安人生USDT"))
    assert reply["result"] == []


async def test_user_data_is_subscribed_once_an_account(socket: RawSocket, box: Box) -> None:
    method = "userDataStream.subscribe.signature"
    assert (await socket.ask(method, **signed()))["result"] == {"subscriptionId": 0}
    again = await socket.ask(method, **signed())
    assert error_of(again)[1:] == (-2035, "User Data Stream subscription already active.")
    assert (await socket.ask(method, **signed(OTHER)))["result"] == {"subscriptionId": 1}
    box.make(Side.BUY, 90, account="other")
    told = await socket.next()
    assert told["subscriptionId"] == 1
    assert (told["event"]["e"], told["event"]["x"]) == ("executionReport", "NEW")
    assert (await socket.next())["subscriptionId"] == 1
    listed = await socket.ask("session.subscriptions")
    assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]


async def test_an_unsubscribed_account_is_told_and_then_silent(socket: RawSocket, box: Box) -> None:
    await socket.ask("userDataStream.subscribe.signature", **signed())
    await socket.send({"id": 5, "method": "userDataStream.unsubscribe"})
    assert (await socket.next(subscriptionId=0))["event"]["e"] == "eventStreamTerminated"
    assert (await socket.next(id=5))["result"] == {}
    box.make(Side.BUY, 90, account="main")
    assert (await socket.ask("session.status"))["result"]["userDataStream"] is False
    ended = await socket.ask("userDataStream.unsubscribe")
    assert error_of(ended)[1:] == (-2036, "User Data Stream subscription not active.")


async def test_an_order_is_told_from_new_to_filled_with_the_balances(
    socket: RawSocket, box: Box
) -> None:
    await socket.ask("userDataStream.subscribe.signature", **signed())
    await socket.ask("order.place", **signed(**{**LIMIT, "price": "101"}))
    kinds = []
    await socket.ask("ping")
    box.exchange.deposit("main", "BNB", box.exchange.balances("other")["BTC"].free)
    while "balanceUpdate" not in kinds:
        event = (await socket.next(subscriptionId=0))["event"]
        kinds.append(event["e"])
    assert kinds[-1] == "balanceUpdate"
    assert (event["a"], event["d"]) == ("BNB", "10.00000000")


async def test_events_precede_the_reply_on_one_socket(socket: RawSocket) -> None:
    await socket.ask("userDataStream.subscribe.signature", **signed())
    await socket.send({"id": 9, "method": "order.place", "params": signed(**LIMIT)})
    event = (await socket.next())["event"]
    assert (event["x"], event["X"], event["w"]) == ("NEW", "NEW", True)
    position = (await socket.next())["event"]
    assert position["e"] == "outboundAccountPosition"
    assert position["B"] == [{"a": "USDT", "f": "99991.00000000", "l": "9.00000000"}]
    assert (await socket.next(id=9))["status"] == 200


def ed25519(box: Box) -> tuple[Ed25519PrivateKey, str]:
    """A new key of account main, and its name."""
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    box.context.accounts.add(ApiKey(key="e" * 64, account="main", public_key=pem.decode()))
    return private, "e" * 64


async def test_a_session_needs_no_further_signatures(socket: RawSocket, box: Box) -> None:
    private, name = ed25519(box)
    params = {"apiKey": name, "timestamp": str(now_ms())}
    signature = base64.b64encode(private.sign(ws_payload(params).encode())).decode()
    refused = await socket.ask("userDataStream.subscribe")
    assert error_of(refused)[1] == -1002
    logon = await socket.ask("session.logon", **params, signature=signature)
    assert logon["result"]["apiKey"] == name
    placed = await socket.ask("order.place", **LIMIT, timestamp=now_ms())
    assert placed["result"]["status"] == "NEW"
    late = await socket.ask("order.place", **LIMIT, timestamp=now_ms() - 6_000)
    assert error_of(late)[1] == -1021, "the time is checked all the same"
    subscribed = await socket.ask("userDataStream.subscribe")
    assert subscribed["result"] == {"subscriptionId": 0}

    await socket.send({"id": 3, "method": "session.logout"})
    assert (await socket.next(subscriptionId=0))["event"]["e"] == "eventStreamTerminated"
    assert (await socket.next(id=3))["result"]["apiKey"] is None
    out = await socket.ask("order.place", **LIMIT, timestamp=now_ms())
    assert error_of(out)[1] == -2014


async def test_a_session_ends_with_its_key(socket: RawSocket, box: Box) -> None:
    private, name = ed25519(box)
    params = {"apiKey": name, "timestamp": str(now_ms())}
    signature = base64.b64encode(private.sign(ws_payload(params).encode())).decode()
    await socket.ask("session.logon", **params, signature=signature)
    box.context.accounts.revoke(name)
    assert error_of(await socket.ask("account.status", timestamp=now_ms()))[1] == -2015


async def test_hmac_keys_cannot_log_on(socket: RawSocket) -> None:
    assert error_of(await socket.ask("session.logon", **signed()))[1] == -4056


async def test_weights_are_shared_with_rest_and_a_ban_ends_the_connection() -> None:
    async with (
        binance_box(weight_limit=25, ban_patience=0) as box,
        RawBinance(box.url, KEY.key, KEY.secret) as raw,
        raw.socket(PATH) as socket,
    ):
        assert (await raw.send("GET /api/v3/exchangeInfo")).status == 200
        banned = await socket.ask("exchangeInfo")
        assert error_of(banned)[:2] == (418, -1003)
        assert banned["error"]["data"]["retryAfter"] > banned["error"]["data"]["serverTime"]
        assert (await socket.frame()).type is WSMsgType.CLOSE


@pytest.mark.parametrize(
    ("point", "action", "executed", "answered"),
    [
        (Point.REQUEST, Action.LOSE_REPLY, 0, False),
        (Point.ACCEPTED, Action.LOSE_REPLY, 1, False),
        (Point.REQUEST, Action.ANSWER, 0, True),
        (Point.ACCEPTED, Action.ANSWER, 1, True),
        (Point.ACCEPTED, Action.DELAY, 1, True),
    ],
)
async def test_replies_are_lost_or_changed_as_they_are_told_to(  # F5
    socket: RawSocket, box: Box, point: Point, action: Action, executed: int, answered: bool
) -> None:
    body = '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
    box.arm(point, "wsapi:order.place", action, body=body, status=500, seconds=0.02)
    await socket.send({"id": 1, "method": "order.place", "params": signed(**LIMIT)})
    await socket.send({"id": 2, "method": "ping"})
    first = await socket.next()
    assert first["id"] == (1 if answered else 2)
    if action is Action.ANSWER:
        assert (first["status"], first["error"]["code"]) == (500, -1000)
    assert len(box.exchange.orders("main", BTC)) == executed


@pytest.mark.parametrize("action", [Action.REJECT, Action.LOSE_ACK])
async def test_subscriptions_to_user_data_fail_as_they_are_told_to(  # D2, D3
    socket: RawSocket, box: Box, action: Action
) -> None:
    box.arm(Point.SUBSCRIBE, "user:subscribe", action)
    method = "userDataStream.subscribe.signature"
    await socket.send({"id": 1, "method": method, "params": signed()})
    status = await socket.ask("session.status")
    if action is Action.REJECT:
        status = {"result": {"userDataStream": False}}
    assert status["result"]["userDataStream"] is (action is Action.LOSE_ACK)
    box.make(Side.BUY, 90, account="main")
    if action is Action.LOSE_ACK:
        assert (await socket.next(subscriptionId=0))["event"]["x"] == "NEW"


async def test_a_terminated_stream_is_told_and_the_socket_lives(  # D4
    socket: RawSocket, box: Box
) -> None:
    await socket.ask("userDataStream.subscribe.signature", **signed())
    box.arm(Point.NOW, "socket:user", Action.TERMINATE, count=None)
    assert (await socket.next(subscriptionId=0))["event"]["e"] == "eventStreamTerminated"
    assert (await socket.ask("ping"))["status"] == 200


async def test_an_order_that_is_accepted_cannot_be_found_at_once(  # F21
    socket: RawSocket, box: Box
) -> None:
    placed = await socket.ask("order.place", **signed(**LIMIT))
    box.arm(Point.REQUEST, "wsapi:order.status", Action.STALE)
    mine = {"symbol": "BTCUSDT", "orderId": placed["result"]["orderId"]}
    assert error_of(await socket.ask("order.status", **signed(**mine)))[1] == -2013
    assert (await socket.ask("order.status", **signed(**mine)))["status"] == 200
