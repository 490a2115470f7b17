"""A Binance on loopback: exchangeInfo and klines, with faults on demand."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

MINUTE_MS = 60_000


class BinanceRest:
    """Says about every minute that it knows of what a real one would say.

    Attributes:
        url: where it listens.
        now_ms: its clock; the minute that it lies in is reported as it stands, unclosed.
        missing: opens (ms) of candles that it does not have.
        faults: what the next requests for candles meet: an HTTP status, or a text as the body.
        info_faults: HTTP statuses that the next requests for the rules meet.
        requests: query of every request for candles.
        silent: symbols that it has no candles of.
        volume: of every candle.
    """

    def __init__(self, now_ms: int) -> None:
        self.url = ""
        self.now_ms = now_ms
        self.missing: set[int] = set()
        self.faults: deque[int | str] = deque()
        self.info_faults: deque[int] = deque()
        self.requests: list[dict[str, str]] = []
        self.silent: set[str] = set()
        self.volume = "0.12345678"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["BinanceRest"]:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._exchange_info)
        app.router.add_get("/api/v3/klines", self._klines)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    async def _exchange_info(self, request: web.Request) -> web.Response:
        if self.info_faults:
            return web.Response(status=self.info_faults.popleft(), text="down")
        return web.json_response({"symbols": [_symbol("BTC", "0.01"), _symbol("ETH", "0.10")]})

    async def _klines(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.requests.append(query)
        if self.faults:
            fault = self.faults.popleft()
            if isinstance(fault, str):
                return web.Response(text=fault, content_type="application/json")
            return web.Response(status=fault, text="{}", content_type="application/json")
        if query["symbol"] in self.silent:
            return web.json_response([])
        limit = int(query.get("limit", 500))
        latest = self.now_ms - self.now_ms % MINUTE_MS
        first = int(query.get("startTime", latest - (limit - 1) * MINUTE_MS))
        first += -first % MINUTE_MS
        opens = (t for t in range(first, latest + 1, MINUTE_MS) if t not in self.missing)
        rows = [kline(t, self.volume) for t in islice(opens, limit)]
        return web.json_response(rows)


def price_at(open_ms: int) -> int:
    """Whole price of the candle that opens then."""
    return 100 + open_ms // MINUTE_MS % 50


def kline(open_ms: int, volume: str) -> list[Any]:
    """A candle as Binance sends it."""
    price = price_at(open_ms)
    return [
        open_ms, f"{price}.10000000", f"{price}.90000000", f"{price}.00000000",
        f"{price}.50000000", volume, open_ms + MINUTE_MS - 1, "12.3", 7, "0.1", "0.2", "0",
    ]  # fmt: skip


def _symbol(base: str, tick: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1e6", "tickSize": tick},
            {
                "filterType": "LOT_SIZE",
                "minQty": "0.00001000",
                "maxQty": "9000.00000000",
                "stepSize": "0.00001000",
            },
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.0"},
        ],
    }
