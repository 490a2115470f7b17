"""Real clients, unmodified, pointed at the exchange in a box; nothing can dial out."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro as ccxtpro

with warnings.catch_warnings():
    # python-binance imports what its own dependency has declared old.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager
    from binance.ws.websocket_api import WebsocketAPI

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there: what is not served here must fail, not reach a real exchange."""


def websocket(url: str) -> str:
    """The WebSocket address of a server."""
    return url.replace("http", "ws", 1)


def emulator_binance(rest: str, key: str = "", secret: str = "", **extra: Any) -> Any:
    """`ccxt.pro.binance` that talks to a Binance front end.

    Args:
        rest: its address, such as `http://127.0.0.1:8080`.
        key: API key; "" for public data only.
        secret: of the key; a PEM for Ed25519.
        extra: further configuration of ccxt; `options` are merged.
    """
    options = {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        "fetchCurrencies": False,
        "adjustForTimeDifference": True,
        "recvWindow": 5_000,
        "fetchTradesMethod": "publicGetTrades",
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        **extra.pop("options", {}),
    }
    exchange = ccxtpro.binance(
        {
            "apiKey": key,
            "secret": secret,
            "timeout": 5_000,
            "timeout_on_exit": 0,
            "enableRateLimit": True,
            "newUpdates": True,
            "aiohttp_trust_env": False,
            "streaming": {"keepAlive": 10_000},
            "options": options,
            **extra,
        }
    )
    exchange.urls["api"] = _pointed(exchange.urls["api"], rest)
    return exchange


def _pointed(api: dict[str, Any], rest: str) -> dict[str, Any]:
    pinned = _pin(api)
    streams = websocket(rest) + "/stream/ws"
    pinned.update(
        public=rest + "/api/v3",
        private=rest + "/api/v3",
        v1=rest + "/api/v1",
        sapi=rest + "/sapi/v1",
        sapiV2=rest + "/sapi/v2",
        sapiV3=rest + "/sapi/v3",
        sapiV4=rest + "/sapi/v4",
    )
    pinned["ws"].update(spot=streams, margin=streams)
    pinned["ws"]["ws-api"]["spot"] = websocket(rest) + "/ws-api/v3"
    return pinned


def _pin(node: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _pin(value) if isinstance(value, dict) else NOWHERE for name, value in node.items()
    }


@asynccontextmanager
async def ccxt_binance(
    rest: str, key: str = "", secret: str = "", **extra: Any
) -> AsyncIterator[Any]:
    """The same with its markets loaded, closed at the end."""
    exchange = emulator_binance(rest, key, secret, **extra)
    try:
        await exchange.load_markets()
        yield exchange
    finally:
        await exchange.close()


@asynccontextmanager
async def python_binance(
    rest: str, key: str | None = None, secret: str | None = None
) -> AsyncIterator[tuple[AsyncClient, BinanceSocketManager]]:
    """`python-binance`'s client and socket manager; only their addresses are changed."""
    client = AsyncClient(key, secret)
    client.API_URL = rest + "/api"
    client.MARGIN_API_URL = rest + "/sapi"
    client.ws_api = WebsocketAPI(url=websocket(rest) + "/ws-api/v3")
    client.ws_api.TIMEOUT = 1
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = websocket(rest) + "/"
    try:
        yield client, sockets
    finally:
        await client.close_connection()
