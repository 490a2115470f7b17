"""Unmodified ccxt.pro on the WebSocket API: user data and orders over one socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from goalkick.common.values.money import decimal_from_float
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.engine.model import Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, KEY, Box, binance_box
from tests.conformance.clients import ccxt_binance

pytestmark = pytest.mark.slow

PATIENCE_S = 5.0
SILENCE_S = 0.4


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with binance_box() as running:
        running.quote()
        yield running


@pytest.fixture
async def client(box: Box) -> AsyncIterator[Any]:
    options = {"ws": {"cost": 0.2}}
    async with ccxt_binance(
        box.url, KEY.key, KEY.secret, enableRateLimit=False, options=options
    ) as exchange:
        yield exchange


async def soon(awaited: Any) -> Any:
    return await asyncio.wait_for(awaited, PATIENCE_S)


def subscriptions(box: Box) -> int:
    """How often somebody subscribed to user data."""
    return len(box.context.requests.entries(method="userDataStream.subscribe"))


async def watching(box: Box, *watches: Any) -> list[asyncio.Task[Any]]:
    """Tasks of watch calls, once the venue has a subscription of theirs."""
    before = subscriptions(box)
    tasks = [asyncio.create_task(watch) for watch in watches]
    async with asyncio.timeout(PATIENCE_S):
        while subscriptions(box) == before:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    return tasks


async def test_three_watchers_share_one_subscription_and_see_the_fill(
    box: Box, client: Any
) -> None:
    tasks = await watching(
        box, client.watch_orders(), client.watch_my_trades(), client.watch_balance()
    )
    await client.create_order(BTC, "limit", "buy", 0.5, 101, {"newClientOrderId": "mine"})
    orders, trades, balance = [await soon(task) for task in tasks]
    assert subscriptions(box) == 1
    assert (orders[-1]["status"], orders[-1]["clientOrderId"]) == ("closed", "mine")
    assert (trades[0]["amount"], trades[0]["fee"]) == (0.5, {"currency": "BTC", "cost": 0.0005})
    assert trades[0]["info"]["c"] == "mine"  # C11
    assert set(balance["info"]["B"][0]) == {"a", "f", "l"}
    assert "ETH" not in balance, "only assets that were touched"  # C9


async def test_a_resting_order_its_fill_and_a_cancel_are_told(box: Box, client: Any) -> None:
    (task,) = await watching(box, client.watch_orders())
    order = await client.create_order(BTC, "limit", "buy", 1, 99.5, {"newClientOrderId": "a"})
    assert (await soon(task))[0]["status"] == "open"
    box.make(Side.SELL, None, "0.4")
    part = (await soon(client.watch_orders()))[0]
    assert (part["filled"], part["status"]) == (0.4, "open")
    await client.cancel_order(order["id"], BTC)
    ended = (await soon(client.watch_orders()))[0]
    assert (ended["status"], ended["filled"]) == ("canceled", 0.4)
    assert (ended["clientOrderId"], ended["info"]["C"]) == ("a", "a")
    assert ended["info"]["c"] != "a"


async def test_deposits_are_told(box: Box, client: Any) -> None:
    (task,) = await watching(box, client.watch_balance())
    box.exchange.deposit("main", "BNB", box.exchange.balances("main")["BTC"].free)
    await soon(task)


async def test_orders_over_the_socket(box: Box, client: Any) -> None:
    order = await soon(
        client.create_order_ws(BTC, "limit", "buy", 0.1, 90, {"newClientOrderId": "ws"})
    )
    assert (order["status"], order["clientOrderId"]) == ("open", "ws")
    assert (await soon(client.fetch_order_ws(order["id"], BTC)))["id"] == order["id"]
    assert len(await soon(client.fetch_open_orders_ws(BTC))) == 1
    edited = await soon(client.edit_order_ws(order["id"], BTC, "limit", "buy", 0.2, 91))
    assert edited["amount"] == 0.2
    cancelled = await soon(client.cancel_order_ws(edited["id"], BTC))
    assert cancelled["status"] == "canceled"
    await soon(client.create_order_ws(BTC, "market", "buy", 0.1))
    assert [one["status"] for one in await soon(client.fetch_orders_ws(BTC))] == [
        "canceled",
        "canceled",
        "closed",
    ]
    assert len(await soon(client.fetch_my_trades_ws(BTC))) == 1
    assert len(await soon(client.fetch_ohlcv_ws(BTC, "1m"))) == 1
    assert len(await soon(client.fetch_trades_ws(BTC))) == 1
    await soon(client.create_order_ws(BTC, "limit", "buy", 0.1, 90))
    assert len(await soon(client.cancel_all_orders_ws(BTC))) == 1
    assert box.context.faults.sockets() == ["socket:wsapi"]


@pytest.mark.parametrize(
    "params", [{"clientOrderId": "x"}, {"postOnly": True}, {"stopLossPrice": 80}]
)
async def test_unified_parameters_leak_onto_the_wire_and_are_refused(  # WS1
    client: Any, params: dict[str, Any]
) -> None:
    with pytest.raises(ccxt.BadRequest, match="-1104"):
        await soon(client.create_order_ws(BTC, "limit", "sell", 0.1, 110, params))


@pytest.mark.parametrize(
    ("amount", "price", "params", "error"),
    [
        (0.01, 90, {}, ccxt.BadRequest),  # NOTIONAL
        (9_001, 90, {}, ccxt.BadRequest),  # LOT_SIZE: another error than over REST
        (0.1, 1, {}, ccxt.InvalidOrder),  # PERCENT_PRICE_BY_SIDE
        (5_000, 90, {}, ccxt.InsufficientFunds),
    ],
)
async def test_refusals_over_the_socket_raise_as_measured(
    box: Box,
    client: Any,
    amount: float,
    price: float,
    params: dict[str, Any],
    error: type[Exception],
) -> None:
    box.make(Side.BUY, None, "0.1")
    with pytest.raises(error) as raised:
        await soon(client.create_order_ws(BTC, "limit", "buy", amount, price, params))
    assert type(raised.value) is error


async def test_limits_over_the_socket_are_rate_limits() -> None:
    async with (
        binance_box(weight_limit=24) as box,
        ccxt_binance(box.url, KEY.key, KEY.secret) as client,
    ):
        with pytest.raises(ccxt.RateLimitExceeded):
            await soon(client.fetch_trades_ws(BTC))


async def test_a_rejected_subscription_wedges_ccxt(box: Box, client: Any) -> None:  # D2
    box.arm(Point.SUBSCRIBE, "user:subscribe", Action.REJECT)
    with pytest.raises(KeyError):
        await soon(client.watch_orders())
    task = asyncio.create_task(client.watch_orders())
    await client.create_order(BTC, "limit", "buy", 0.1, 90)
    await asyncio.wait([task], timeout=SILENCE_S)
    assert not task.done(), "deaf"
    task.cancel()


async def test_a_skewed_clock_wedges_user_data_too(box: Box, client: Any) -> None:  # D2, F13
    box.context.clock.step(60 * NS_PER_SECOND)
    with pytest.raises(KeyError):
        await soon(client.watch_orders())
    assert box.context.requests.entries(method="userDataStream")[-1].code == "-1021"


async def test_a_terminated_user_stream_is_silent(box: Box, client: Any) -> None:  # D4
    (task,) = await watching(box, client.watch_orders())
    box.arm(Point.NOW, "socket:user", Action.TERMINATE, count=None)
    await client.create_order(BTC, "limit", "buy", 0.1, 90)
    await asyncio.wait([task], timeout=SILENCE_S)
    assert not task.done(), "deaf"
    task.cancel()


async def test_a_lost_acknowledgement_of_an_order_hangs_for_ever(  # D6, F5
    box: Box, client: Any
) -> None:
    box.arm(Point.ACCEPTED, "wsapi:order.place", Action.LOSE_REPLY)
    task = asyncio.create_task(client.create_order_ws(BTC, "limit", "buy", 0.1, 90))
    await asyncio.wait([task], timeout=SILENCE_S)
    assert not task.done()
    assert len(box.exchange.open_orders("main", BTC)) == 1
    box.arm(Point.NOW, "socket:wsapi", Action.RESET, count=None)
    with pytest.raises((ccxt.NetworkError, ConnectionError)):
        await soon(task)


async def test_a_repeated_fill_is_delivered_twice_with_its_fee_doubled(  # C5, F6
    box: Box, client: Any
) -> None:
    tasks = await watching(box, client.watch_my_trades(), client.watch_orders())
    box.arm(Point.FRAME, "user:executionReport", Action.DUPLICATE, count=2)
    await client.create_order(BTC, "limit", "buy", 0.5, 101)
    trades = await soon(tasks[0])
    order = (await soon(tasks[1]))[0]
    while order["fee"] is None or order["fee"]["cost"] < 0.001:
        order = (await soon(client.watch_orders()))[0]
    assert len(trades) + len(order["trades"]) >= 3
    assert box.exchange.fills("main")[0].fee * 2 == decimal_from_float(order["fee"]["cost"])


async def test_reports_out_of_order_make_an_order_regress(box: Box, client: Any) -> None:  # C6, F7
    (task,) = await watching(box, client.watch_orders())
    box.arm(Point.FRAME, "user:executionReport", Action.SWAP)
    await client.create_order(BTC, "limit", "buy", 0.5, 101)
    seen = [(await soon(task))[0]["status"]]
    while seen[-1] == "closed":
        seen.append((await soon(client.watch_orders()))[0]["status"])
    assert seen[-1] == "open"
    assert box.exchange.orders("main", BTC)[0].status == "filled"


async def test_nothing_is_replayed_after_a_reconnect(box: Box, client: Any) -> None:  # C7, F8
    (task,) = await watching(box, client.watch_orders())
    box.arm(Point.NOW, "socket:user", Action.RESET, count=None)
    with pytest.raises(ccxt.NetworkError):
        await soon(task)
    await client.create_order(BTC, "limit", "buy", 0.1, 90, {"newClientOrderId": "missed"})
    (task,) = await watching(box, client.watch_orders())
    await client.create_order(BTC, "limit", "buy", 0.1, 91, {"newClientOrderId": "seen"})
    assert [order["clientOrderId"] for order in await soon(task)] == ["seen"]
    assert len(await client.fetch_open_orders(BTC)) == 2


async def test_late_acknowledgements_come_after_their_events(box: Box, client: Any) -> None:  # F3
    (task,) = await watching(box, client.watch_orders())
    box.arm(Point.ACCEPTED, "rest:POST /api/v3/order", Action.DELAY, seconds=0.3)
    placing = asyncio.create_task(
        client.create_order(BTC, "limit", "buy", 0.1, 101, {"newClientOrderId": "early"})
    )
    assert (await soon(task))[0]["clientOrderId"] == "early"
    assert not placing.done()
    assert (await soon(placing))["status"] == "closed"


async def test_closing_cancels_what_still_watches(box: Box) -> None:  # WS3
    async with ccxt_binance(box.url, KEY.key, KEY.secret) as client:
        (task,) = await watching(box, client.watch_orders())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_out_of_one_watcher_cancels_the_other(box: Box, client: Any) -> None:  # WS2
    (other,) = await watching(box, client.watch_orders())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.watch_orders(), 0.05)
    with pytest.raises(asyncio.CancelledError):
        await soon(other)


async def test_a_lost_acknowledgement_of_user_data_is_never_made_up_for(  # D3
    box: Box, client: Any
) -> None:
    box.arm(Point.SUBSCRIBE, "user:subscribe", Action.LOSE_ACK)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.watch_orders(), SILENCE_S)
    task = asyncio.create_task(client.watch_orders())
    await asyncio.wait([task], timeout=SILENCE_S)
    assert (task.done(), subscriptions(box)) == (False, 1), "waits, and does not ask again"
    task.cancel()


async def test_updates_between_two_calls_collapse_into_the_last(
    box: Box, client: Any
) -> None:  # C4
    (task,) = await watching(box, client.watch_orders())
    await client.create_order(BTC, "limit", "buy", 1, 99.5)
    held = (await soon(task))[0]
    for _ in range(2):
        box.make(Side.SELL, None, "0.3")
    (later,) = await soon(client.watch_orders())
    assert later["filled"] in (0.3, 0.6)
    assert len(box.exchange.fills("main")) == 2
    assert held["status"] == "open"
