"""Bybit over HTTP through unmodified ccxt: every call of the unified API that spot has."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest
from ccxt.pro import bybit

from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.engine.model import Kind, NewOrder, Phase, Side
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import HOUSE
from tests.conformance.conftest import KEY, SECRET, ccxt_bybit, quiet_settings

Make = Callable[..., bybit]
BTC = "BTC/USDT"


async def test_markets_have_the_rules_of_the_listings(
    venue: VenueServer, bybit_client: Make
) -> None:
    markets = await bybit_client().load_markets()
    assert set(markets) == set(venue.exchange.listings)
    btc = markets[BTC]
    assert btc["active"]
    assert btc["precision"] == {"amount": 1e-05, "price": 0.01}
    assert btc["limits"]["amount"] == {"min": 1e-05, "max": 9000.0}
    assert btc["limits"]["cost"]["min"] == 5.0


async def test_coins_are_named(bybit_client: Make) -> None:
    currencies = await bybit_client().fetch_currencies()
    assert {"BTC", "ETH", "BNB", "USDT"} <= set(currencies)


async def test_a_halted_market_is_not_active(venue: VenueServer, bybit_client: Make) -> None:
    venue.exchange.set_phase(BTC, Phase.HALT)
    client = bybit_client()
    markets = await client.load_markets()
    assert not markets[BTC]["active"]
    with pytest.raises(ccxt.InvalidOrder, match="170157"):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000)


async def test_time_is_the_venues_clock(venue: VenueServer, bybit_client: Make) -> None:
    venue.clock.skew(3_600_000_000_000)
    assert await bybit_client().fetch_time() == pytest.approx(venue.clock.now_ms(), abs=1_000)


async def test_candles_are_the_exchanges(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    rows = await client.fetch_ohlcv(BTC, "1m", limit=50)
    candles = venue.exchange.candles(BTC, 60_000_000_000)[-50:]
    assert [row[0] for row in rows] == [each.open_ns // 1_000_000 for each in candles]
    assert [Decimal(str(row[4])) for row in rows] == [each.close for each in candles]


@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h", "1d", "1w", "1M"])
async def test_candles_of_all_lengths_end_at_the_same_close(
    venue: VenueServer, bybit_client: Make, timeframe: str
) -> None:
    rows = await bybit_client().fetch_ohlcv(BTC, timeframe)
    assert rows[-1][4] == float(venue.exchange.candles(BTC, 60_000_000_000)[-1].close)


async def test_candles_of_a_span(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    newest = (await client.fetch_ohlcv(BTC, "1m", limit=1))[0][0]
    since = newest - 10 * 60_000
    rows = await client.fetch_ohlcv(BTC, "1m", since=since, limit=5)
    assert [row[0] for row in rows] == [since + n * 60_000 for n in range(5)]


async def test_book_trades_and_ticker_agree_with_the_engine(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    await client.create_order(BTC, "market", "buy", 0.1)
    book = await client.fetch_order_book(BTC, 5)
    depth = venue.exchange.depth(BTC, 5)
    assert [Decimal(str(price)) for price, _ in book["bids"]] == [price for price, _ in depth.bids]
    assert [Decimal(str(q)) for _, q in book["asks"]] == [quantity for _, quantity in depth.asks]
    (trade,) = await client.fetch_trades(BTC)
    assert (trade["side"], trade["amount"]) == ("buy", 0.1)
    ticker = await client.fetch_ticker(BTC)
    assert (ticker["bid"], ticker["last"]) == (book["bids"][0][0], trade["price"])
    assert set(await client.fetch_tickers()) == set(venue.exchange.listings)


async def test_balance_and_fees(bybit_client: Make) -> None:
    client = bybit_client()
    await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    balance = await client.fetch_balance()
    assert balance["USDT"] == {"free": 995_000, "used": 5_000, "total": 1_000_000, "debt": 0}
    fees = await client.fetch_trading_fee(BTC)
    assert (fees["maker"], fees["taker"]) == (0.001, 0.001)


async def test_an_acknowledged_order_has_its_ids_and_nothing_else(bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})
    assert (order["clientOrderId"], order["status"], order["price"]) == ("one", None, None)
    found = await client.fetch_order(order["id"], BTC, {"acknowledged": True})
    assert (found["status"], found["price"], found["filled"]) == ("open", 50_000, 0)


async def test_an_order_is_found_by_its_client_id_open_or_ended(bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})
    (found,) = await client.fetch_open_orders(BTC, params={"orderLinkId": "one"})
    assert found["id"] == order["id"]
    await client.cancel_order(order["id"], BTC)
    assert await client.fetch_open_orders(BTC) == []
    (ended,) = await client.fetch_open_orders(BTC, params={"orderLinkId": "one"})
    assert ended["status"] == "canceled"


async def test_fills_are_those_of_the_ledger(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.5, 60_012)
    fills = await client.fetch_my_trades(BTC)
    known = venue.exchange.fills("main")
    assert len(known) == 2
    assert {fill["id"] for fill in fills} == {str(fill.execution_id) for fill in known}
    assert sum(fill["amount"] for fill in fills) == 0.5
    assert all(fill["order"] == order["id"] for fill in fills)
    assert {fill["fee"]["currency"] for fill in fills} == {"BTC"}
    assert sum(Decimal(str(fill["fee"]["cost"])) for fill in fills) == sum(f.fee for f in known)


@pytest.mark.parametrize(
    ("kind", "side", "amount", "price", "params", "status", "filled"),
    [
        ("limit", "buy", 0.1, 50_000, {}, "open", 0),
        ("limit", "buy", 0.1, 60_100, {}, "closed", 0.1),
        ("limit", "buy", 0.1, 50_000, {"timeInForce": "IOC"}, "canceled", 0),
        ("limit", "buy", 1.0, 60_006, {"timeInForce": "IOC"}, "closed", 0.3233),
        ("limit", "buy", 1.0, 60_006, {"timeInForce": "FOK"}, "canceled", 0),
        ("limit", "buy", 0.1, 50_000, {"postOnly": True}, "open", 0),
        ("market", "buy", 0.1, None, {}, "closed", 0.1),
        ("market", "sell", 0.1, None, {}, "closed", 0.1),
        ("market", "buy", 1, None, {"cost": 6_000.6}, "closed", 0.1),
        ("limit", "sell", 0.1, 59_000, {"triggerPrice": 59_500}, "open", 0),
        ("market", "buy", 0.1, None, {"triggerPrice": 60_500}, "open", 0),
    ],
)
async def test_each_kind_of_order(
    bybit_client: Make,
    kind: Any,
    side: Any,
    amount: float,
    price: float | None,
    params: dict[str, Any],
    status: str,
    filled: float,
) -> None:
    client = bybit_client()
    await client.create_order(BTC, "market", "buy", 0.01)
    order = await client.create_order(BTC, kind, side, amount, price, params)
    found = await client.fetch_order(order["id"], BTC, {"acknowledged": True})
    assert (found["status"], found["filled"]) == (status, filled)


async def test_a_trigger_becomes_a_trade_when_the_price_passes_it(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    await client.create_order(BTC, "market", "buy", 0.01)
    order = await client.create_order(BTC, "market", "buy", 0.1, None, {"triggerPrice": 60_020})
    venue.exchange.place(
        HOUSE,
        NewOrder(
            instrument=BTC,
            side=Side.BUY,
            kind=Kind.LIMIT,
            quantity=Decimal(2),
            price=Decimal(60_024),
        ),
    )
    found = await client.fetch_order(order["id"], BTC, {"acknowledged": True})
    assert (found["status"], found["filled"]) == ("closed", 0.1)


@pytest.mark.parametrize(
    ("order", "error", "code"),
    [
        ((BTC, "limit", "buy", 100, 50_000), ccxt.InsufficientFunds, "170131"),
        ((BTC, "limit", "buy", 0.00009, 50_000), ccxt.InvalidOrder, "170140"),
        ((BTC, "limit", "buy", 9_001, 50_000), ccxt.InvalidOrder, "170135"),
        ((BTC, "limit", "buy", 0.01, 2_000_000), ccxt.InvalidOrder, "170132"),
        ((BTC, "limit", "buy", 0.01, 600_000), ccxt.InvalidOrder, "170193"),
        ((BTC, "limit", "sell", 0.01, 1_000), ccxt.InvalidOrder, "170194"),
        ((BTC, "limit", "buy", 0.1, 60_010, {"postOnly": True}), ccxt.InvalidOrder, "170218"),
        ((BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "a b"}), ccxt.BadRequest, "170130"),
    ],
)
async def test_refusals_become_ccxts_errors(
    bybit_client: Make, order: tuple[Any, ...], error: type[Exception], code: str
) -> None:
    client = bybit_client()
    with pytest.raises(error, match=code):
        await client.create_order(*order)


async def test_a_client_id_is_taken_once_even_after_its_order_ended(bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})
    await client.cancel_order(order["id"], BTC)
    with pytest.raises(ccxt.InvalidOrder, match="170141"):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})


async def test_cancel_and_cancel_all(bybit_client: Make) -> None:
    client = bybit_client()
    orders = [await client.create_order(BTC, "limit", "buy", 0.01, 50_000) for _ in range(3)]
    await client.cancel_order(orders[0]["id"], BTC)
    with pytest.raises(ccxt.OrderNotFound, match="170213"):
        await client.cancel_order(orders[0]["id"], BTC)
    assert len(await client.cancel_all_orders(BTC)) == 2
    assert await client.cancel_all_orders(BTC) == []
    ended = await client.fetch_canceled_orders(BTC)
    assert {order["id"] for order in ended} == {order["id"] for order in orders}


async def test_pages_go_on_where_they_stopped(bybit_client: Make) -> None:
    client = bybit_client()
    orders = [await client.create_order(BTC, "limit", "buy", 0.01, 50_000 - n) for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while cursor != "":
        asked = {"category": "spot", "symbol": "BTCUSDT", "limit": 2}
        reply = await client.private_get_v5_order_realtime(
            {**asked, **({"cursor": cursor} if cursor else {})}
        )
        seen += [row["orderId"] for row in reply["result"]["list"]]
        cursor = reply["result"]["nextPageCursor"]
    assert seen == [order["id"] for order in reversed(orders)]


@pytest.mark.parametrize(
    ("options", "error", "code"),
    [
        ({"apiKey": "nobody"}, ccxt.AuthenticationError, "10003"),
        ({"secret": "wrong"}, ccxt.AuthenticationError, "10004"),
    ],
)
async def test_wrong_keys_are_refused(
    bybit_client: Make, options: dict[str, str], error: type[Exception], code: str
) -> None:
    client = bybit_client(**options)
    with pytest.raises(error, match=code):
        await client.fetch_balance()


@pytest.mark.parametrize("by_s", [-20, 20])
async def test_a_clock_that_is_off_is_refused_until_it_is_asked(
    venue: VenueServer, bybit_client: Make, by_s: int
) -> None:
    venue.clock.skew(by_s * 1_000_000_000)
    client = bybit_client()
    with pytest.raises(ccxt.InvalidNonce, match="10002"):
        await client.fetch_balance()
    await client.load_time_difference()
    await client.fetch_balance()


async def test_a_revoked_key_reads_nothing_and_a_reading_key_trades_nothing(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    key = venue.context.accounts.find(KEY)
    assert key is not None
    await client.load_markets()
    venue.context.accounts.add(type(key)(key=KEY, secret=SECRET, account="main", can_trade=False))
    with pytest.raises(ccxt.PermissionDenied, match="10005"):
        await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    await client.fetch_balance()
    venue.context.accounts.revoke(KEY)
    with pytest.raises(ccxt.AuthenticationError, match="10003"):
        await client.fetch_balance()


async def test_too_many_requests_of_an_account_and_of_an_address() -> None:
    settings = BybitSettings(orders_per_second=3, requests_per_5s=20)
    async with VenueServer(quiet_settings(bybit=settings)) as venue:
        client = ccxt_bybit(venue)
        try:
            await client.load_markets()
            orders = (client.create_order(BTC, "limit", "buy", 0.01, 50_000 - n) for n in range(9))
            results = await asyncio.gather(*orders, return_exceptions=True)
            assert any(isinstance(each, ccxt.RateLimitExceeded) for each in results)
            times = await asyncio.gather(
                *(client.fetch_time() for _ in range(60)), return_exceptions=True
            )
            assert isinstance(times[-1], ccxt.RateLimitExceeded)
            assert "10018" in str(times[-1])
        finally:
            await client.close()


async def test_quota_headers_and_envelope(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    await client.fetch_balance()
    headers = client.last_response_headers
    assert headers["X-Bapi-Limit"] == "50"
    assert headers["X-Bapi-Limit-Status"] == "49"
    assert int(headers["X-Bapi-Limit-Reset-Timestamp"]) >= venue.clock.now_ms() - 1_000


async def test_errors_have_http_200_and_unknown_paths_404(venue: VenueServer) -> None:
    async with aiohttp.ClientSession(venue.bybit_url) as session:
        path = "/v5/market/kline?category=spot&symbol=XYZUSDT&interval=1"
        async with session.get(path) as reply:
            body = await reply.json()
            assert (reply.status, body["retCode"]) == (200, 10001)
            assert set(body) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
        async with session.get("/v5/nothing") as reply:
            assert reply.status == 404


async def test_requests_are_logged_with_account_and_code(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(BTC, "limit", "buy", 100, 50_000)
    (entry,) = venue.context.requests.entries(method="order/create")
    assert (entry.account, entry.code, entry.status) == ("main", "170131", 200)
    assert entry.params["qty"] == "100"
