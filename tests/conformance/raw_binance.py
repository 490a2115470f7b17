"""Requests and frames as bytes, for what no well-behaved client sends."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL


@dataclass(frozen=True)
class Reply:
    """What a raw request was answered with."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> tuple[int, int, str]:
        """HTTP status, code and text."""
        return self.status, self.body["code"], self.body["msg"]


class RawBinance:
    """Requests as bytes, so that each can be wrong in its own way; an async context manager."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._key = key
        self._secret = secret
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(
        self, name: str, query: str = "", body: str = "", *, key: str | None = None
    ) -> Reply:
        """Sends a request, such as `GET /api/v3/time`, exactly so."""
        method, _, path = name.partition(" ")
        url = URL(f"{self._url}{path}{'?' + query if query else ''}", encoded=True)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        if key is not None:
            headers["X-MBX-APIKEY"] = key
        async with self._session.request(
            method, url, data=body.encode() or None, headers=headers
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            told = msgspec.json.decode(text) if is_json else text
            return Reply(response.status, told, response.headers)

    async def signed(
        self,
        name: str,
        params: Mapping[str, object] = MappingProxyType({}),
        *,
        key: str | None = None,
        at_ms: int | None = None,
    ) -> Reply:
        """Sends a signed request, parameters in the query."""
        sent = {**params, "timestamp": int(time.time() * 1000) if at_ms is None else at_ms}
        query = urlencode(sent)
        signature = hmac.new(self._secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return await self.send(
            name, f"{query}&signature={signature}", key=self._key if key is None else key
        )

    async def order(self, **params: object) -> Reply:
        """Places an order: a small limit buy far from the market, but for `params`."""
        usual = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.1",
            "price": "90",
        }
        chosen = {k: v for k, v in {**usual, **params}.items() if v is not None}
        return await self.signed("POST /api/v3/order", chosen)

    @asynccontextmanager
    async def socket(self, path: str, **options: Any) -> AsyncIterator["RawSocket"]:
        """A WebSocket."""
        url = self._url.replace("http", "ws", 1) + path
        async with self._session.ws_connect(url, **options) as connection:
            yield RawSocket(connection)


class RawSocket:
    """A WebSocket whose frames are read one by one, each within some seconds."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        """Sends JSON, or text as it is."""
        text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        await self.connection.send_str(text)

    async def frame(self, timeout_s: float = 3.0) -> aiohttp.WSMessage:
        """The next frame of any kind."""
        return await self.connection.receive(timeout_s)

    async def next(self, **fields: object) -> Any:
        """The next JSON message that has these fields."""
        while True:
            message = await self.frame()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError(f"expected a text frame, found {message!r}")
            told = msgspec.json.decode(message.data)
            if isinstance(told, dict) and fields.items() <= told.items():
                return told

    async def ask(self, method: str, **params: object) -> Any:
        """Sends a request of the WebSocket API and returns its reply."""
        await self.send({"id": method, "method": method, "params": params})
        return await self.next(id=method)
