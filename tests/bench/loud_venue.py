"""A venue that says a lot, in a process of its own: as much as is asked for, and nothing matched.

It speaks Binance's public protocol as far as a feed listens to it. The exchange in a box does all
that an exchange does for each message, and so cannot say as many.
"""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from goalkick.common.values.time import NS_PER_MS

LEVELS: Final = 100
"""Of each side of a book."""
_TURN: Final = ("trade", "bookTicker") * 20 + ("depth",) * 9 + ("kline",)
"""What is said of an instrument, turn by turn: mostly trades and best prices."""
_TICK_S: Final = 0.002
_PRICE: Final = 60_000
_MINUTE_MS: Final = 60_000


@contextlib.contextmanager
def loud_venue(instruments: int, rate: float) -> Iterator[str]:
    """A running venue; its address.

    Args:
        instruments: how many it lists, see `name_of`.
        rate: messages a second, of all of them together, once somebody listens.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, instruments, rate), daemon=True)
    process.start()
    try:
        yield str(ours.recv())
    finally:
        process.kill()
        process.join()


def name_of(number: int) -> str:
    """ccxt's unified name of an instrument."""
    return f"C{number:03}/USDT"


def _serve(pipe: Connection, instruments: int, rate: float) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(pipe, instruments, rate))


async def _run(pipe: Connection, instruments: int, rate: float) -> None:
    venue = _Venue(instruments)
    runner = web.AppRunner(venue.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await venue.talk(rate)


class _Coin:
    """One instrument."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.trades = 0
        self.updates = 1_000
        self.turns = 0

    def say(self, kind: str, now_ms: int) -> Mapping[str, Any]:
        self.turns += 1
        if kind == "trade":
            self.trades += 1
            return {
                "e": "trade", "E": now_ms, "s": self.symbol, "t": self.trades, "T": now_ms,
                "p": f"{_PRICE + self.turns % 7}.00000000", "q": "0.01000000",
                "m": self.turns % 2 == 0, "M": True,
            }  # fmt: skip
        if kind == "bookTicker":
            return {
                "u": self.updates, "s": self.symbol, "b": f"{_PRICE - 1}.00000000",
                "B": f"{1 + self.turns % 9}.00000000", "a": f"{_PRICE + 1}.00000000",
                "A": "1.00000000",
            }  # fmt: skip
        if kind == "depth":
            first, self.updates = self.updates + 1, self.updates + 3
            return {
                "e": "depthUpdate", "E": now_ms, "s": self.symbol, "U": first, "u": self.updates,
                "b": self._levels(-1), "a": self._levels(1),
            }  # fmt: skip
        return self.kline(now_ms, now_ms - now_ms % _MINUTE_MS, ended=False)

    def kline(self, now_ms: int, open_ms: int, *, ended: bool) -> Mapping[str, Any]:
        price = f"{_PRICE}.00000000"
        return {
            "e": "kline", "E": now_ms, "s": self.symbol,
            "k": {
                "t": open_ms, "T": open_ms + _MINUTE_MS - 1, "s": self.symbol, "i": "1m",
                "o": price, "c": price, "h": price, "l": price, "v": "1", "n": 1, "x": ended,
                "q": price, "V": "1",
            },
        }  # fmt: skip

    def book(self) -> Mapping[str, Any]:
        rows = {
            side: [[f"{_PRICE + sign * (1 + far)}.00000000", "1.00000000"] for far in range(LEVELS)]
            for side, sign in (("bids", -1), ("asks", 1))
        }
        return {"lastUpdateId": self.updates, **rows}

    def _levels(self, sign: int) -> list[list[str]]:
        first, quantity = self.turns % 50, f"{1 + self.turns % 9}.00000000"
        return [
            [f"{_PRICE + sign * (1 + far)}.00000000", quantity] for far in range(first, first + 5)
        ]


class _Venue:
    """What it lists, and who listens to what."""

    def __init__(self, instruments: int) -> None:
        self._coins = [_Coin(name_of(each).replace("/", "")) for each in range(instruments)]
        self._by_symbol = {coin.symbol: coin for coin in self._coins}
        self._heard_by: dict[tuple[str, str], web.WebSocketResponse] = {}
        self._all_heard = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._listing)
        app.router.add_get("/api/v3/depth", self._depth)
        app.router.add_get("/api/v3/klines", self._klines)
        app.router.add_get("/stream/{rest:.*}", self._stream)
        return app

    async def talk(self, rate: float) -> None:
        """Says so many messages a second for ever; late is late, and none is left out."""
        await self._all_heard.wait()
        began_s, said, minute_ms = time.monotonic(), 0, _now_ms() // _MINUTE_MS
        while True:
            due = int((time.monotonic() - began_s) * rate)
            for number in range(said, due):
                coin = self._coins[number % len(self._coins)]
                kind = _TURN[number // len(self._coins) % len(_TURN)]
                await self._tell(coin, kind, coin.say(kind, _now_ms()))
            said = max(said, due)
            if (now_ms := _now_ms()) // _MINUTE_MS > minute_ms:
                for coin in self._coins:
                    closed = coin.kline(now_ms, minute_ms * _MINUTE_MS, ended=True)
                    await self._tell(coin, "kline", closed)
                minute_ms = now_ms // _MINUTE_MS
            await asyncio.sleep(_TICK_S)

    async def _tell(self, coin: _Coin, kind: str, message: Mapping[str, Any]) -> None:
        socket = self._heard_by.get((coin.symbol, kind))
        if socket is not None and not socket.closed:
            with contextlib.suppress(ConnectionError):
                await socket.send_str(orjson.dumps(message).decode())

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            asked = orjson.loads(message.data)
            for stream in asked.get("params", ()):
                symbol, _, kind = stream.partition("@")
                kind = kind.partition("_")[0].partition("@")[0]
                self._heard_by[symbol.upper(), kind] = socket
            if len(self._heard_by) == len(set(_TURN)) * len(self._coins):
                self._all_heard.set()
            await socket.send_json({"result": None, "id": asked["id"]})
        return socket

    async def _listing(self, request: web.Request) -> web.Response:
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000", "minPrice": "0.01000000",
             "maxPrice": "1000000.00000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000",
             "maxQty": "9000.00000000"},
        ]  # fmt: skip
        symbols = [
            {
                "symbol": coin.symbol, "status": "TRADING", "baseAsset": coin.symbol[:4],
                "quoteAsset": "USDT", "isSpotTradingAllowed": True, "permissions": ["SPOT"],
                "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT"],
                "filters": filters,
            }
            for coin in self._coins
        ]  # fmt: skip
        return web.json_response({"symbols": symbols, "serverTime": _now_ms()})

    async def _depth(self, request: web.Request) -> web.Response:
        return web.json_response(self._by_symbol[request.query["symbol"]].book())

    async def _klines(self, request: web.Request) -> web.Response:
        first = int(request.query["startTime"])
        rows = [
            [at, "1", "1", "1", "1", "1", at + _MINUTE_MS - 1, "1", 1, "1", "1", "0"]
            for at in range(first - first % _MINUTE_MS, _now_ms(), _MINUTE_MS)
        ]
        return web.json_response(rows[:1_000])


def _now_ms() -> int:
    return time.time_ns() // NS_PER_MS
