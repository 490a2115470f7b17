"""Faults through Bybit: each strikes as its row of the catalogue says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest
from aiohttp import WSMsgType
from ccxt.pro import bybit

from goalkick.venue.control import Control, Overrides
from goalkick.venue.engine.model import Kind, NewOrder, Side
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import HOUSE
from tests.conformance.test_bybit_streams import login

Make = Callable[..., bybit]
BTC = "BTC/USDT"
BOOK = "orderbook.50.BTCUSDT"


def start(venue: VenueServer, name: str, **changes: Any) -> None:
    Control(venue.context, venue.pump).start_preset(name, Overrides(**changes))


def move_book(venue: VenueServer, price: int) -> None:
    venue.context.advance()
    venue.exchange.place(
        HOUSE,
        NewOrder(
            instrument=BTC,
            side=Side.BUY,
            kind=Kind.LIMIT,
            quantity=Decimal("0.1"),
            price=Decimal(price),
        ),
    )


class Talk:
    """A WebSocket, by hand."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        await self.socket.send_json(message)
        return await self.hear()

    async def hear(self, within_s: float = 5) -> dict[str, Any]:
        text = await self.socket.receive_str(timeout=within_s)
        message: dict[str, Any] = json.loads(text)
        return message

    async def is_silent(self) -> bool:
        """Whether nothing comes for a while."""
        try:
            await self.socket.receive(timeout=0.3)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def dial(venue: VenueServer, path: str) -> AsyncIterator[Talk]:
    url = venue.bybit_url.replace("http", "ws", 1) + path
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(url, autoping=False, autoclose=False)
        try:
            yield Talk(socket)
        finally:
            # A half-open venue answers no close frame; nothing is left to wait for.
            if socket._response.connection is not None:
                socket._response.connection.close()


@asynccontextmanager
async def book(venue: VenueServer) -> AsyncIterator[Talk]:
    """A subscription to a book, after its snapshot."""
    async with dial(venue, "/v5/public/spot") as talk:
        await talk.ask({"op": "subscribe", "args": [BOOK]})
        assert (await talk.hear())["type"] == "snapshot"
        yield talk


@asynccontextmanager
async def user(venue: VenueServer, *topics: str) -> AsyncIterator[Talk]:
    """A subscription to user topics."""
    async with dial(venue, "/v5/private") as talk:
        assert (await talk.ask(login(venue.clock.now_ms() + 10_000)))["success"]
        assert (await talk.ask({"op": "subscribe", "args": list(topics)}))["success"]
        yield talk


def place(venue: VenueServer, price: int, link: str = "") -> None:
    venue.context.advance()
    venue.exchange.place(
        "main",
        NewOrder(
            instrument=BTC,
            side=Side.BUY,
            kind=Kind.LIMIT,
            quantity=Decimal("0.1"),
            price=Decimal(price),
            client_order_id=link,
        ),
    )


async def test_f1_reset_and_close_end_a_connection(venue: VenueServer) -> None:
    async with book(venue) as talk:
        start(venue, "F1")
        message = await talk.socket.receive(timeout=5)
        assert (message.type, talk.socket.close_code) == (WSMsgType.CLOSED, 1006) or (
            message.type in (WSMsgType.ERROR, WSMsgType.CLOSED)
        )
    async with book(venue) as talk:
        start(venue, "F1-close")
        message = await talk.socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_f2_a_half_open_connection_says_nothing_and_answers_nothing(
    venue: VenueServer,
) -> None:
    async with book(venue) as talk:
        start(venue, "F2")
        await talk.socket.ping()
        await talk.socket.send_json({"op": "ping"})
        move_book(venue, 59_995)
        assert await talk.is_silent()
        assert not talk.socket.closed


async def test_f3_the_reply_comes_after_the_events(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    await client.load_markets()
    async with user(venue, "order") as talk:
        start(venue, "F3", params={"seconds": 0.2})
        order = asyncio.ensure_future(client.create_order(BTC, "limit", "buy", 0.1, 50_000))
        event = await talk.hear()
        assert not order.done()
        assert (await order)["id"] == event["data"][0]["orderId"]


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        ("F4", {}, ccxt.ExchangeNotAvailable),
        ("F4-slow", {"params": {"seconds": 1.0}}, ccxt.RequestTimeout),
        ("F4-5xx", {}, ccxt.ExchangeNotAvailable),
    ],
)
async def test_f4_an_order_whose_reply_is_lost_was_placed_once(
    venue: VenueServer,
    bybit_client: Make,
    name: str,
    changes: dict[str, Any],
    error: type[Exception],
) -> None:
    client = bybit_client(timeout=400)
    await client.load_markets()
    start(venue, name, **changes)
    with pytest.raises(error):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})
    assert [each.client_order_id for each in venue.exchange.open_orders("main")] == ["one"]


async def test_f5_an_order_over_the_socket_is_placed_and_not_answered(
    venue: VenueServer,
) -> None:
    now = venue.clock.now_ms()
    order = {
        "op": "order.create",
        "reqId": "1",
        "header": {"X-BAPI-TIMESTAMP": str(now)},
        "args": [
            {
                "category": "spot",
                "symbol": "BTCUSDT",
                "side": "Buy",
                "orderType": "Limit",
                "qty": "0.1",
                "price": "50000",
            }
        ],
    }
    async with dial(venue, "/v5/trade") as talk:
        await talk.ask(login(now + 10_000))
        start(venue, "F5")
        await talk.socket.send_json(order)
        assert await talk.is_silent()
        assert (await talk.ask(order))["retCode"] == 0
        assert len(venue.exchange.open_orders("main")) == 2
        start(venue, "F5-reset")
        await talk.socket.send_json(order)
        await talk.socket.receive(timeout=5)
        assert talk.socket.closed
    assert len(venue.exchange.open_orders("main")) == 3


async def test_f6_a_fill_is_told_twice(venue: VenueServer) -> None:
    async with user(venue, "execution") as talk:
        start(venue, "F6")
        place(venue, 60_010)
        assert await talk.hear() == await talk.hear()


async def test_f7_events_change_places(venue: VenueServer) -> None:
    async with user(venue, "order") as talk:
        start(venue, "F7")
        place(venue, 50_000, "one")
        place(venue, 50_001, "two")
        links = [(await talk.hear())["data"][0]["orderLinkId"] for _ in range(2)]
        assert links == ["two", "one"]


async def test_f7_an_event_that_nothing_follows_is_told_in_the_end(venue: VenueServer) -> None:
    async with user(venue, "order") as talk:
        start(venue, "F7", params={"seconds": 0.1})
        place(venue, 50_000, "one")
        assert (await talk.hear())["data"][0]["orderLinkId"] == "one"


async def test_f8_events_are_lost_and_then_the_socket(venue: VenueServer) -> None:
    async with user(venue, "order") as talk:
        start(venue, "F8")
        for number in range(4):
            place(venue, 50_000 + number)
        message = await talk.socket.receive(timeout=5)
        assert message.type is not WSMsgType.TEXT


async def test_f9_a_depth_update_is_lost_or_repeated(venue: VenueServer) -> None:
    async with book(venue) as talk:
        move_book(venue, 59_995)
        first = (await talk.hear())["data"]["u"]
        struck = asyncio.Event()
        venue.faults.on_strike = lambda *_: struck.set()
        start(venue, "F9")
        move_book(venue, 59_996)
        await asyncio.wait_for(struck.wait(), 5)
        start(venue, "F9-repeat")
        move_book(venue, 59_997)
        numbers = [(await talk.hear())["data"]["u"] for _ in range(2)]
        assert numbers == [first + 2, first + 2]


async def test_f9_a_snapshot_has_numbers_of_earlier(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    asked = {"category": "spot", "symbol": "BTCUSDT"}
    start(venue, "F9-stale", params={"behind": 10})
    books = [await client.public_get_v5_market_orderbook(asked) for _ in range(2)]
    old, new = (int(each["result"]["u"]) for each in books)
    assert new - old == 10


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("F10", ccxt.RateLimitExceeded),
        ("F10-5xx", ccxt.ExchangeNotAvailable),
        ("F12", ccxt.ExchangeNotAvailable),
        ("F12-502", ccxt.ExchangeNotAvailable),
        ("F12-504", ccxt.RequestTimeout),
        ("F14", ccxt.ExchangeError),
    ],
)
async def test_f10_to_f14_replies_that_are_errors(
    venue: VenueServer, bybit_client: Make, name: str, error: type[Exception]
) -> None:
    client = bybit_client()
    await client.load_markets()
    start(venue, name)
    with pytest.raises(error):
        await client.fetch_order_book(BTC)
    venue.faults.clear()
    await client.fetch_order_book(BTC)


@pytest.mark.parametrize("name", ["F12-empty", "F12-html", "F12-text"])
async def test_f12_a_reply_that_is_no_json_looks_like_an_empty_book(
    venue: VenueServer, bybit_client: Make, name: str
) -> None:
    client = bybit_client()
    await client.load_markets()
    start(venue, name)
    try:
        found = await client.fetch_order_book(BTC)
    except (ccxt.BaseError, AttributeError, TypeError):
        return
    assert found["bids"] == []


async def test_f11_a_handshake_is_refused(venue: VenueServer) -> None:
    start(venue, "F11-handshake")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with dial(venue, "/v5/public/spot"):
            pass
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "3")  # type: ignore[index]


async def test_f13_a_stepped_clock_refuses_what_was_right(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    await client.fetch_balance()
    start(venue, "F13")
    client.options["recvWindow"] = 2_000
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_balance()


async def test_f14_a_shutdown_ends_all_sockets(venue: VenueServer) -> None:
    async with book(venue) as talk:
        start(venue, "F14-shutdown", params={"grace_s": 0})
        assert (await talk.socket.receive(timeout=5)).type is WSMsgType.CLOSE


async def test_f17_steps_change_under_a_client(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    await client.load_markets()
    start(venue, "F17-rules")
    with pytest.raises(ccxt.InvalidOrder, match="170134"):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000.01)
    start(venue, "F17-delist")
    with pytest.raises(ccxt.InvalidOrder, match="170121"):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000)


async def test_f18_subscriptions_fail(venue: VenueServer) -> None:
    subscribe = {"op": "subscribe", "args": [BOOK]}
    async with dial(venue, "/v5/public/spot") as talk:
        start(venue, "F18")
        assert not (await talk.ask(subscribe))["success"]
        start(venue, "F18-ack")
        assert (await talk.ask(subscribe))["type"] == "snapshot"
    async with dial(venue, "/v5/private") as talk:
        start(venue, "F18-user")
        assert not (await talk.ask(login(venue.clock.now_ms() + 10_000)))["success"]
        start(venue, "F18-user-ack")
        await talk.socket.send_json(login(venue.clock.now_ms() + 10_000))
        assert (await talk.ask({"op": "subscribe", "args": ["order"]}))["op"] == "subscribe"


@pytest.mark.parametrize("name", ["F18-terminate", "F18-key"])
async def test_f18_a_user_stream_goes_silent_and_its_socket_lives(
    venue: VenueServer, name: str
) -> None:
    async with user(venue, "order") as talk:
        start(venue, name)
        place(venue, 50_000)
        assert await talk.is_silent()
        assert (await talk.ask({"op": "ping"}))["op"] == "pong"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("F19", ["{bad"]),
        ("F19-list", ["[]"]),
        ("F19-event", ["neverSeenBefore", "delta"]),
        ("F19-fields", ['"newField":"1"']),
    ],
)
async def test_f19_frames_are_not_what_they_should_be(
    venue: VenueServer, name: str, texts: list[str]
) -> None:
    async with book(venue) as talk:
        start(venue, name)
        move_book(venue, 59_995)
        for text in texts:
            assert text in await talk.socket.receive_str(timeout=5)


async def test_f20_a_fill_overtakes_a_cancel(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 59_998)
    struck = asyncio.Event()
    venue.faults.on_strike = lambda *_: struck.set()
    start(venue, "F20", params={"seconds": 0.2})
    cancel = asyncio.ensure_future(client.cancel_order(order["id"], BTC))
    await asyncio.wait_for(struck.wait(), 5)
    venue.exchange.place(
        HOUSE,
        NewOrder(
            instrument=BTC,
            side=Side.SELL,
            kind=Kind.LIMIT,
            quantity=Decimal("0.1"),
            price=Decimal(59_998),
        ),
    )
    with pytest.raises(ccxt.OrderNotFound):
        await cancel
    assert len(venue.exchange.fills("main")) == 1


async def test_f21_an_order_is_not_found_yet(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    start(venue, "F21")
    assert await client.fetch_open_orders(BTC) == []
    assert [each["id"] for each in await client.fetch_open_orders(BTC)] == [order["id"]]


async def test_f22_frames_behind_a_late_one_are_late_too(venue: VenueServer) -> None:
    async with book(venue) as talk:
        start(venue, "F22-burst", params={"seconds": 0.3})
        before = asyncio.get_running_loop().time()
        for price in (59_995, 59_996):
            move_book(venue, price)
        await talk.hear()
        assert asyncio.get_running_loop().time() - before >= 0.3


async def test_a_silent_client_that_pings_is_answered_unless_pongs_are_lost(
    venue: VenueServer,
) -> None:
    async with dial(venue, "/v5/public/spot") as talk:
        await talk.socket.ping(b"x")
        message = await talk.socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.PONG, b"x")
        Control(venue.context, venue.pump).start_preset("F2", Overrides(where="socket:nothing"))
        assert (await talk.ask({"op": "ping"}))["ret_msg"] == "pong"


async def test_a_request_that_a_fault_answers_is_in_the_log(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    start(venue, "F12-502")
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await client.fetch_time()
    (entry,) = venue.context.requests.entries(method="time")
    assert (entry.status, entry.fault) == (502, "F12-502")
