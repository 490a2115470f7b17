"""A Binance on loopback with history: candles, trades by id, funding; faults on demand."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def at_ms(text: str) -> int:
    """Milliseconds of an ISO time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class ArchiveServer:
    """Has every minute from its listing to its clock, and a trade every second.

    Attributes:
        url: where it listens.
        now_ms: its clock; the bar that it lies in is reported as it stands.
        listed_ms: open of its first bar, and time of trade 0.
        missing: opens (ms) of candles that it does not have.
        shy: opens that it leaves out the first time it is asked for them.
        spoilt: opens whose candle has its high below its low.
        missing_ids: aggregate trades that it does not have.
        faults: what the next requests meet: an HTTP status, or a text as the body.
        requests: path and query of every request, in order.
        dies_after: requests after which everything fails with 500.
        used: weight that it says is used.
    """

    def __init__(self, now: str = "2024-03-05T12:00:30", listed: str = "2024-01-31T22:00") -> None:
        self.url = ""
        self.now_ms = at_ms(now)
        self.listed_ms = at_ms(listed)
        self.missing: set[int] = set()
        self.shy: set[int] = set()
        self.spoilt: set[int] = set()
        self.missing_ids: set[int] = set()
        self.faults: deque[int | str] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.dies_after: int | None = None
        self.used = 1

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ArchiveServer"]:
        app = web.Application(middlewares=[self._meddle])
        app.router.add_get("/api/v3/time", self._time)
        app.router.add_get("/api/v3/exchangeInfo", self._info)
        app.router.add_get("/api/v3/klines", self._klines)
        app.router.add_get("/api/v3/aggTrades", self._aggregates)
        app.router.add_get("/fapi/v1/time", self._time)
        app.router.add_get("/fapi/v1/exchangeInfo", self._futures_info)
        app.router.add_get("/fapi/v1/fundingRate", self._funding)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    def asked(self, path: str) -> list[dict[str, str]]:
        """Queries of the requests whose path ends so."""
        return [query for where, query in self.requests if where.endswith(path)]

    @web.middleware
    async def _meddle(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.query)))
        headers = {"X-MBX-USED-WEIGHT-1M": str(self.used), "Retry-After": "0"}
        if self.dies_after is not None and len(self.requests) > self.dies_after:
            return web.Response(status=500, text="down")
        if self.faults and request.path.endswith(("klines", "aggTrades", "fundingRate")):
            fault = self.faults.popleft()
            if isinstance(fault, int):
                return web.Response(status=fault, text="{}", headers=headers)
            return web.Response(text=fault, headers=headers)
        response: web.StreamResponse = await handler(request)
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.used)
        return response

    async def _time(self, request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self.now_ms})

    async def _info(self, request: web.Request) -> web.Response:
        limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 60_000,
            }
        ]
        return web.json_response(
            {"rateLimits": limits, "symbols": [_symbol("BTC"), _symbol("ETH")]}
        )

    async def _futures_info(self, request: web.Request) -> web.Response:
        perpetual = {
            **_symbol("BTC"),
            "contractType": "PERPETUAL",
            "marginAsset": "USDT",
            "deliveryDate": 4133404800000,
            "underlyingType": "COIN",
        }
        return web.json_response({"symbols": [perpetual]})

    async def _klines(self, request: web.Request) -> web.Response:
        query = request.query
        step = {"1m": MINUTE_MS, "1h": HOUR_MS}[query["interval"]]
        start = max(int(query["startTime"]), self.listed_ms)
        end = min(int(query.get("endTime", self.now_ms)), self.now_ms)
        rows: list[list[Any]] = []
        for open_ms in range(start + -start % step, end + 1, step):
            if len(rows) == int(query.get("limit", 500)):
                break
            if open_ms in self.missing:
                continue
            if open_ms in self.shy:
                self.shy.remove(open_ms)
                continue
            rows.append(kline(open_ms, step, spoilt=open_ms in self.spoilt))
        return web.json_response(rows)

    async def _aggregates(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", 500))
        count = (self.now_ms - self.listed_ms) // 1000
        first = int(request.query.get("fromId", count - limit))
        ids = (number for number in range(first, count) if number not in self.missing_ids)
        rows = [self.aggregate(number) for number, _ in zip(ids, range(limit), strict=False)]
        return web.json_response(rows)

    def aggregate(self, number: int) -> dict[str, Any]:
        """The aggregate trade of a second: one of each kind in turn."""
        return {
            "a": number,
            "p": f"{40_000 + number % 7}.10000000",
            "q": f"0.{number % 1000 + 1:08d}",
            "f": 2 * number,
            "l": 2 * number + 1,
            "T": self.listed_ms + 1000 * number,
            "m": bool(number % 2),
            "M": True,
        }

    async def _funding(self, request: web.Request) -> web.Response:
        eight = 8 * HOUR_MS
        start = max(int(request.query["startTime"]), self.listed_ms)
        opens = range(start + -start % eight, self.now_ms, eight)
        limit = int(request.query["limit"])
        rows = [
            {"symbol": "BTCUSDT", "fundingRate": "0.00010000", "fundingTime": time_ms + 3}
            for time_ms in opens[:limit]
            if time_ms not in self.missing
        ]
        return web.json_response(rows)


def kline(open_ms: int, step: int, *, spoilt: bool = False) -> list[Any]:
    """A candle as Binance sends it."""
    price = 100 + open_ms // step % 50
    high, low = f"{price}.90000000", f"{price}.00000000"
    if spoilt:
        high, low = low, high
    return [
        open_ms, f"{price}.10000000", high, low, f"{price}.50000000", "0.12345678",
        open_ms + step - 1, "12.3", 7, "0.1", "0.2", "0",
    ]  # fmt: skip


def _symbol(base: str) -> dict[str, Any]:
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
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.01",
                "maxPrice": "1e6",
                "tickSize": "0.01",
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": "0.00001",
                "maxQty": "9000",
                "stepSize": "0.00001",
            },
            {"filterType": "MIN_NOTIONAL", "notional": "5", "minNotional": "5"},
        ],
    }
