"""`python-binance`, unmodified, through a whole session."""

import asyncio
from typing import Any

import pytest

from goalkick.common.values.time import NS_PER_MS
from tests.conformance.binance_box import BTC, KEY, binance_box
from tests.conformance.clients import python_binance

pytestmark = pytest.mark.filterwarnings("ignore:websockets")


def _quick(socket: Any) -> Any:
    """A socket that ends soon after it is told to: it looks whether it should only so often."""
    socket.TIMEOUT = 0.2
    return socket


async def _next(socket: Any, **fields: object) -> Any:
    async with asyncio.timeout(5):
        while True:
            message = await socket.recv()
            if fields.items() <= message.items():
                return message


async def test_a_session_from_rules_to_cancel() -> None:
    async with (
        binance_box(fast_interval=20 * NS_PER_MS, slow_interval=40 * NS_PER_MS) as box,
        python_binance(box.url, KEY.key, KEY.secret) as (client, sockets),
    ):
        box.quote()
        info = await client.get_exchange_info()
        assert [one["symbol"] for one in info["symbols"]][:2] == ["BTCUSDT", "ETHUSDT"]
        assert info["rateLimits"][0]["limit"] == 6_000
        assert (await client.get_symbol_info("BTCUSDT"))["baseAsset"] == "BTC"

        async with (
            _quick(sockets.depth_socket("BTCUSDT")) as depth,
            _quick(sockets.trade_socket("BTCUSDT")) as trades,
            _quick(sockets.multiplex_socket(["btcusdt@aggTrade", "btcusdt@ticker"])) as joined,
            _quick(sockets.user_socket()) as user,
        ):
            order = await client.create_order(
                symbol="BTCUSDT",
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                quantity="0.5",
                price="101",
                newClientOrderId="mine",
            )
            assert (order["status"], order["fills"][0]["tradeId"]) == ("FILLED", 1)
            fill = await _next(user, e="executionReport", x="TRADE")
            assert (fill["i"], fill["c"], fill["t"]) == (order["orderId"], "mine", 1)
            assert (await _next(user, e="outboundAccountPosition"))["B"]
            assert (await _next(trades, e="trade"))["t"] == 1
            assert (await _next(joined, stream="btcusdt@aggTrade"))["data"]["a"] == 1
            update = await _next(depth, e="depthUpdate")
            assert update["u"] == box.exchange.depth(BTC).update_id

        kline = (await client.get_klines(symbol="BTCUSDT", interval="1m"))[0]
        assert kline[4:6] == ["101.00000000", "0.50000000"]
        resting = await client.create_order(
            symbol="BTCUSDT",
            side="SELL",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.1",
            price="120",
        )
        assert len(await client.get_open_orders(symbol="BTCUSDT")) == 1
        done = await client.cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])
        assert done["status"] == "CANCELED"
        assert len(await client.get_my_trades(symbol="BTCUSDT")) == 1
        assert (await client.get_asset_balance("BTC"))["free"] == "10.49950000"


async def test_refusals_carry_code_and_text() -> None:
    from binance.exceptions import BinanceAPIException

    async with (
        binance_box() as box,
        python_binance(box.url, KEY.key, KEY.secret) as (client, _),
    ):
        with pytest.raises(BinanceAPIException) as raised:
            await client.get_order(symbol="BTCUSDT", orderId=1)
        assert (raised.value.code, raised.value.message) == (-2013, "Order does not exist.")
