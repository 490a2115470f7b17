"""Open orders are changed on Bybit, through unmodified ccxt and pybit: REST and trade socket."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from ccxt.pro import bybit

from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import ccxt_bybit, quiet_settings
from tests.conformance.test_bybit_streams import soon, subscribed

Make = Callable[..., bybit]
BTC = "BTC/USDT"
POST_ONLY = {"timeInForce": "PostOnly"}


def stands(venue: VenueServer, order_id: str) -> tuple[str, Decimal, Decimal | None]:
    order = venue.exchange.order("main", BTC, order_id=int(order_id))
    return str(order.status), order.quantity, order.price


@pytest.mark.parametrize(
    ("amount", "price", "quantity", "at"),
    [
        (0.05, None, "0.05", "50000"),
        (0.2, None, "0.2", "50000"),
        (None, 49_000, "0.1", "49000"),
        (0.2, 51_000.5, "0.2", "51000.5"),
    ],
)
@pytest.mark.parametrize("named", ["id", "orderLinkId"])
async def test_an_amended_order_has_its_ids_and_the_new_terms(
    venue: VenueServer,
    bybit_client: Make,
    amount: float | None,
    price: float | None,
    quantity: str,
    at: str,
    named: str,
) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "one"})
    params = {"orderLinkId": "one"} if named == "orderLinkId" else {}
    wanted = await client.edit_order(order["id"], BTC, "limit", "buy", amount, price, params)
    assert (wanted["id"], wanted["clientOrderId"]) == (order["id"], "one")
    assert stands(venue, order["id"]) == ("new", Decimal(quantity), Decimal(at))
    (found,) = await client.fetch_open_orders(BTC)
    assert (found["amount"], found["price"]) == (float(quantity), float(at))


@pytest.mark.parametrize(
    ("amount", "price", "params", "error", "code"),
    [
        (0.1, 50_000, {}, ccxt.BadRequest, "10001"),
        (None, None, {}, ccxt.BadRequest, "10001"),
        (0.1, None, {"triggerPrice": 55_000}, ccxt.BadRequest, "10001"),
        (100, None, {}, ccxt.InsufficientFunds, "170131"),
        (10_000, None, {}, ccxt.InvalidOrder, "170135"),
        (None, 400_000, {}, ccxt.InvalidOrder, "170193"),
        (0.00001, None, {}, ccxt.InvalidOrder, "170140"),
    ],
    ids=["unchanged", "nothing", "no trigger", "funds", "too many", "too dear", "too little"],
)
async def test_what_cannot_be_is_refused_and_the_order_stays(
    venue: VenueServer,
    bybit_client: Make,
    amount: float | None,
    price: float | None,
    params: dict[str, Any],
    error: type[Exception],
    code: str,
) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    with pytest.raises(error, match=code):
        await client.edit_order(order["id"], BTC, "limit", "buy", amount, price, params)
    assert stands(venue, order["id"]) == ("new", Decimal("0.1"), Decimal(50_000))


async def test_what_has_ended_or_never_was_cannot_be_amended(bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    await client.cancel_order(order["id"], BTC)
    for order_id in (order["id"], "1234567"):
        with pytest.raises(ccxt.OrderNotFound, match="170213"):
            await client.edit_order(order_id, BTC, "limit", "buy", 0.2)


async def test_no_more_than_what_is_filled_is_refused(
    venue: VenueServer, bybit_client: Make
) -> None:
    client, other = bybit_client(), bybit_client(apiKey="o" * 64, secret="t" * 64)
    order = await client.create_order(BTC, "limit", "buy", 0.1, 60_001)
    await other.create_order(BTC, "limit", "sell", 0.06, 60_001)
    with pytest.raises(ccxt.InvalidOrder, match="110064"):
        await client.edit_order(order["id"], BTC, "limit", "buy", 0.05)
    await client.edit_order(order["id"], BTC, "limit", "buy", 0.08)
    assert stands(venue, order["id"])[:2] == ("partially_filled", Decimal("0.08"))


async def test_the_stream_tells_the_new_terms_then_the_fills(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    await client.load_markets()
    watching = asyncio.ensure_future(client.watch_orders(BTC))
    await subscribed(venue, "user:order")
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    (placed,) = await soon(watching)
    assert terms(placed) == ("open", 0.1, 50_000, 0)
    await client.edit_order(order["id"], BTC, "limit", "buy", 0.2, 51_000)
    (changed,) = await soon(client.watch_orders(BTC))
    assert terms(changed) == ("open", 0.2, 51_000, 0)
    await client.edit_order(order["id"], BTC, "limit", "buy", None, 60_100)
    (filled,) = await soon(client.watch_orders(BTC))
    assert terms(filled) == ("closed", 0.2, 60_100, 0.2)
    assert {each["id"] for each in (placed, changed, filled)} == {order["id"]}


def terms(order: dict[str, Any]) -> tuple[str, float, float, float]:
    return order["status"], order["amount"], order["price"], order["filled"]


async def test_a_post_only_order_that_would_take_is_rejected(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000, POST_ONLY)
    await client.edit_order(order["id"], BTC, "limit", "buy", None, 60_100)
    assert stands(venue, order["id"])[0] == "rejected"
    (found,) = await client.fetch_open_orders(BTC, params={"orderId": order["id"]})
    assert found["status"] == "rejected"
    assert found["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"
    assert (await client.fetch_balance())["USDT"]["used"] == 0


async def test_orders_are_amended_over_the_socket(venue: VenueServer, bybit_client: Make) -> None:
    client = bybit_client()
    order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
    wanted = await client.edit_order_ws(order["id"], BTC, "limit", "buy", 0.2, 51_000)
    assert wanted["id"] == order["id"]
    assert stands(venue, order["id"]) == ("new", Decimal("0.2"), Decimal(51_000))


async def test_amendments_have_a_limit_of_their_own() -> None:
    async with VenueServer(quiet_settings(bybit=BybitSettings(amends_per_second=2))) as venue:
        client = ccxt_bybit(venue)
        try:
            order = await client.create_order(BTC, "limit", "buy", 0.1, 50_000)
            edits = (
                client.edit_order(order["id"], BTC, "limit", "buy", 0.1 + n / 100)
                for n in range(1, 9)
            )
            results = await asyncio.gather(*edits, return_exceptions=True)
            assert any(isinstance(each, ccxt.RateLimitExceeded) for each in results)
        finally:
            await client.close()
