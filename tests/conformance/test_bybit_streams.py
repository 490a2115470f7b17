"""Bybit's WebSockets through unmodified ccxt.pro: market data, user data, orders."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeVar

import aiohttp
import ccxt
import pytest
from ccxt.pro import bybit

from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.engine.model import Kind, NewOrder, Side
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import HOUSE
from tests.conformance.conftest import KEY, SECRET, quiet_settings

Make = Callable[..., bybit]
T = TypeVar("T")
BTC = "BTC/USDT"


async def soon(result: Awaitable[T]) -> T:
    """What comes within seconds."""
    return await asyncio.wait_for(result, 5)


def house(venue: VenueServer, side: Side, price: int, quantity: str = "0.1") -> None:
    venue.context.advance()
    venue.exchange.place(
        HOUSE,
        NewOrder(
            instrument=BTC,
            side=side,
            kind=Kind.LIMIT,
            quantity=Decimal(quantity),
            price=Decimal(price),
        ),
    )


async def test_the_book_follows_the_engine(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    book = await soon(client.watch_order_book(BTC, 50))
    assert book["bids"][0][0] == 59_994
    house(venue, Side.BUY, 60_000)
    book = await soon(client.watch_order_book(BTC, 50))
    assert book["bids"][0] == [60_000, 0.1]
    house(venue, Side.SELL, 60_000)
    book = await soon(client.watch_order_book(BTC, 50))
    depth = venue.exchange.depth(BTC, 50)
    assert [Decimal(str(price)) for price, _ in book["bids"]] == [price for price, _ in depth.bids]


async def test_best_quotes(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    quotes = await soon(client.watch_bids_asks([BTC]))
    assert (quotes[BTC]["bid"], quotes[BTC]["ask"]) == (59_994, 60_006)


async def test_trades_candles_and_tickers(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    await client.load_markets()
    await soon(client.watch_ticker(BTC))
    waiting = [
        asyncio.ensure_future(client.watch_trades(BTC)),
        asyncio.ensure_future(client.watch_ticker(BTC)),
        asyncio.ensure_future(client.watch_ohlcv(BTC, "1m")),
    ]
    async with asyncio.timeout(5):
        while not waiting[0].done():
            house(venue, Side.BUY, 60_006)
            await asyncio.sleep(0.05)
    trades, ticker, candles = await soon(asyncio.gather(*waiting))
    assert (trades[0]["side"], trades[0]["price"]) == ("buy", 60_006)
    assert ticker["last"] == 60_006
    assert candles[-1][2] >= 60_000


async def test_an_orders_life_on_the_users_stream(venue: VenueServer, bybit_client: Make) -> None:
    client, seen = bybit_client(), list[dict[str, Any]]()
    await client.load_markets()

    async def collect() -> None:
        while not seen or seen[-1]["status"] != "closed":
            seen.extend(await client.watch_orders(BTC))

    orders = asyncio.ensure_future(collect())
    trades = asyncio.ensure_future(client.watch_my_trades(BTC))
    balance = asyncio.ensure_future(client.watch_balance())
    await subscribed(venue, "user:order", "user:execution", "user:wallet")
    order = await client.create_order(BTC, "limit", "buy", 0.1, 59_998, {"clientOrderId": "one"})
    house(venue, Side.SELL, 59_998)
    await soon(orders)
    (fill,) = await soon(trades)
    assert {each["id"] for each in seen} == {order["id"]}
    assert seen[-1]["clientOrderId"] == "one"
    assert (fill["order"], fill["price"], fill["takerOrMaker"]) == (order["id"], 59_998, "maker")
    assert (await soon(balance))["USDT"]["total"] > 0
    known = venue.exchange.balances("main")["USDT"].free
    assert Decimal(str((await client.fetch_balance())["USDT"]["free"])) == known


async def subscribed(venue: VenueServer, *topics: str) -> None:
    """Waits until the venue has taken subscriptions to all of these places."""
    wanted, all_taken = set(topics), asyncio.Event()

    def note(_: Fault, where: str) -> None:
        wanted.discard(where)
        if not wanted:
            all_taken.set()

    venue.faults.on_strike = note
    # A delay of nothing changes nothing, and is told of.
    watch = Fault(name="watch", point=Point.SUBSCRIBE, action=Action.DELAY, count=None)
    number = venue.faults.arm(watch)
    await soon(all_taken.wait())
    venue.faults.clear(number)


async def test_orders_over_the_socket(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    order = await soon(client.create_order_ws(BTC, "limit", "buy", 0.1, 50_000))
    assert [str(each.order_id) for each in venue.exchange.open_orders("main")] == [order["id"]]
    await soon(client.cancel_order_ws(order["id"], BTC))
    assert venue.exchange.open_orders("main") == []
    with pytest.raises(ccxt.InsufficientFunds, match="170131"):
        await soon(client.create_order_ws(BTC, "limit", "buy", 100, 50_000))
    with pytest.raises(ccxt.OrderNotFound, match="170213"):
        await soon(client.cancel_order_ws(order["id"], BTC))


async def test_a_wrong_login_is_an_authentication_error(bybit_client: Make) -> None:
    client = bybit_client()
    await client.load_markets()
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await soon(client.watch_orders())


async def talk(venue: VenueServer, path: str, *messages: Any) -> list[dict[str, Any]]:
    """Sends messages and returns as many answers, by hand."""
    url = venue.bybit_url.replace("http", "ws", 1)
    async with aiohttp.ClientSession() as session, session.ws_connect(url + path) as socket:
        answers: list[dict[str, Any]] = []
        for message in messages:
            await socket.send_str(message if isinstance(message, str) else json.dumps(message))
            answers.append(await socket.receive_json(timeout=5))
        return answers


def login(expires: int, secret: str = SECRET) -> dict[str, Any]:
    signature = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256)
    return {"op": "auth", "args": [KEY, expires, signature.hexdigest()]}


async def test_public_answers_have_bybits_form(venue: VenueServer) -> None:
    answers = await talk(
        venue,
        "/v5/public/spot",
        {"op": "ping", "req_id": "1"},
        {"op": "subscribe", "req_id": "2", "args": ["publicTrade.BTCUSDT"]},
        {"op": "subscribe", "req_id": "3", "args": ["publicTrade.XYZUSDT"]},
        {"op": "subscribe", "req_id": "4", "args": [f"tickers.{n}" for n in range(11)]},
        {"op": "unsubscribe", "req_id": "5", "args": ["publicTrade.BTCUSDT"]},
        {"op": "dance", "args": []},
        "{bad",
    )
    assert [(each["success"], each["ret_msg"]) for each in answers] == [
        (True, "pong"),
        (True, "subscribe"),
        (False, "error:handler not found,topic:publicTrade.XYZUSDT"),
        (False, "error:args size >10"),
        (True, ""),
        (False, "error:invalid op"),
        (False, "error:invalid json"),
    ]
    assert [each.get("req_id") for each in answers[:5]] == ["1", "2", "3", "4", "5"]


async def test_private_answers_have_bybits_form(venue: VenueServer) -> None:
    later = venue.clock.now_ms() + 10_000
    answers = await talk(
        venue,
        "/v5/private",
        {"op": "subscribe", "args": ["order"]},
        login(later, "wrong"),
        login(1),
        login(later),
        {"op": "subscribe", "args": ["order", "execution", "wallet"]},
        {"op": "subscribe", "args": ["dinner"]},
        {"op": "ping"},
    )
    assert [each.get("success") for each in answers] == [
        False,
        False,
        False,
        True,
        True,
        False,
        None,
    ]
    assert answers[-1]["op"] == "pong"


async def test_trade_answers_have_bybits_form(venue: VenueServer) -> None:
    now = venue.clock.now_ms()
    order = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit"}
    place = {"op": "order.create", "reqId": "1", "args": [{**order, "qty": "1", "price": "500000"}]}
    stamped = {**place, "header": {"X-BAPI-TIMESTAMP": str(now)}}
    answers = await talk(
        venue,
        "/v5/trade",
        place,
        login(now + 10_000),
        place,
        {**place, "header": {"X-BAPI-TIMESTAMP": str(now - 6_000)}},
        {**stamped, "args": [{**order, "qty": "1", "price": "50000", "prise": "1"}]},
        {**stamped, "args": [{**order, "qty": "1", "price": "50000"}]},
        {"op": "order.dance", "reqId": "2"},
        {"op": "ping"},
    )
    codes = [each["retCode"] for each in answers]
    assert codes == [10005, 0, 10001, 10002, 10001, 0, 10404, 0]
    assert answers[5]["header"]["X-Bapi-Limit-Status"] == "18"
    assert answers[5]["data"].keys() == {"orderId", "orderLinkId"}


async def test_depth_updates_count_without_a_gap(venue: VenueServer) -> None:
    url = venue.bybit_url.replace("http", "ws", 1) + "/v5/public/spot"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
        assert (await socket.receive_json(timeout=5))["success"]
        numbers = []
        for count in range(5):
            message = await socket.receive_json(timeout=5)
            numbers.append((message["type"], message["data"]["u"]))
            house(venue, Side.BUY, 59_995 + count)
        first = numbers[0][1]
        kinds = ["snapshot"] + ["delta"] * 4
        assert numbers == [(kind, first + n) for n, kind in enumerate(kinds)]


@pytest.mark.parametrize("limits", [{"connection_lifetime": 100_000_000}, {"silence": 100_000_000}])
async def test_old_and_silent_connections_are_cut(limits: dict[str, int]) -> None:
    async with VenueServer(quiet_settings(bybit=BybitSettings(**limits))) as venue:
        url = venue.bybit_url.replace("http", "ws", 1) + "/v5/public/spot"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1001


async def test_too_many_dials_are_refused() -> None:
    settings = quiet_settings(bybit=BybitSettings(connects_per_5m=1))
    async with VenueServer(settings) as venue:
        assert len(await talk(venue, "/v5/public/spot", {"op": "ping"})) == 1
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await talk(venue, "/v5/public/spot")
        assert refused.value.status == 403
