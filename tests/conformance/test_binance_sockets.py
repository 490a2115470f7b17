"""Sockets of the front end, frame by frame: subscribing, pace, pings, age, and their faults."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS
from goalkick.venue.engine.model import Listing, Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, ETH, KEY, LIFE, Box, binance_box
from tests.conformance.raw_binance import RawBinance, RawSocket

CLOSED = (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)
QUICK: dict[str, Any] = {"fast_interval": 20 * NS_PER_MS, "slow_interval": 40 * NS_PER_MS}
"""Periods for tests that wait for them."""


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with binance_box(**QUICK) as running:
        running.quote()
        yield running


@pytest.fixture
async def raw(box: Box) -> AsyncIterator[RawBinance]:
    async with RawBinance(box.url, KEY.key, KEY.secret) as client:
        yield client


async def subscribe(socket: RawSocket, *streams: str, number: Any = 1) -> Any:
    await socket.send({"method": "SUBSCRIBE", "params": list(streams), "id": number})
    return await socket.next(id=number)


async def until_closed(socket: RawSocket) -> aiohttp.WSMessage:
    """Reads until the connection ends; returns what ended it."""
    while (frame := await socket.frame()).type not in CLOSED:
        pass
    return frame


@pytest.mark.parametrize("path", ["/ws", "/ws/0", "/stream/ws/0", "/stream/ws/17"])
async def test_raw_paths_tell_events_as_they_are(box: Box, raw: RawBinance, path: str) -> None:
    async with raw.socket(path) as socket:
        assert await subscribe(socket, "btcusdt@trade") == {"result": None, "id": 1}
        box.make(Side.BUY, None)
        event = await socket.next()
        assert (event["e"], event["t"], event["s"]) == ("trade", 1, "BTCUSDT")


@pytest.mark.parametrize(
    "path", ["/stream?streams=btcusdt@trade/btcusdt@aggTrade", "/stream?streams=btcusdt@trade"]
)
async def test_combined_paths_tell_the_stream_with_the_event(
    box: Box, raw: RawBinance, path: str
) -> None:
    async with raw.socket(path) as socket:
        await subscribe(socket, number=7)
        box.make(Side.BUY, None)
        told = await socket.next(stream="btcusdt@trade")
        assert told["data"]["t"] == 1


async def test_a_stream_in_the_path_needs_no_subscription(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws/btcusdt@trade") as socket:
        await subscribe(socket)
        box.make(Side.BUY, None)
        assert (await socket.next())["e"] == "trade"


async def test_subscriptions_are_listed_repeated_and_taken_back(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        for _ in range(2):
            assert (await subscribe(socket, "btcusdt@trade", "btcusdt@ticker"))["result"] is None
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert (await socket.next(id=2))["result"] == ["btcusdt@trade", "btcusdt@ticker"]
        await socket.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "x"})
        assert await socket.next(id="x") == {"result": None, "id": "x"}
    async with raw.socket("/stream") as socket:
        await socket.send({"method": "GET_PROPERTY", "params": ["combined"], "id": 3})
        assert (await socket.next(id=3))["result"] is True
        await socket.send({"method": "SET_PROPERTY", "params": ["combined", False], "id": 4})
        assert (await socket.next(id=4))["result"] is None


@pytest.mark.parametrize(
    ("message", "code", "msg"),
    [
        ("{bad", 3, "Invalid JSON: expected value at line 1 column 1"),
        ('{"id":1}', 2, "Invalid request: missing field `method` at line 1 column 8"),
        (
            {"method": "LISTEN", "id": 1},
            2,
            "Invalid request: unknown variant `LISTEN`, expected one of `SUBSCRIBE`, "
            "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` "
            "at line 1 column 28",
        ),
        (
            {"method": "SUBSCRIBE", "params": []},
            2,
            "Invalid request: request ID must be an unsigned integer",
        ),
        (
            {"method": "SUBSCRIBE", "params": [], "id": 1.5},
            2,
            "Invalid request: request ID must be an unsigned integer",
        ),
        ({"method": "SET_PROPERTY", "params": ["x", 1], "id": 1}, 0, "Unknown property"),
        (
            {"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1},
            1,
            "Invalid value type: expected Boolean",
        ),
    ],
)
async def test_wrong_messages_are_answered_in_binances_words(
    raw: RawBinance, message: object, code: int, msg: str
) -> None:
    async with raw.socket("/ws") as socket:
        await socket.send(message)
        assert (await socket.next())["error"] == {"code": code, "msg": msg}


async def test_there_are_no_streams_beside_those_of_the_table(raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        assert (await subscribe(socket, "btcusdt@nothing"))["error"]["code"] == 2
        assert (await subscribe(socket, "nopeusdt@trade"))["result"] is None, "stays silent"


async def test_a_listed_symbol_wakes_its_silent_stream(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "xusdt@trade")
        box.exchange.list_instrument(Listing(instrument="X/USDT", base="X", quote="USDT"))
        box.exchange.deposit("maker", "X", box.exchange.balances("maker")["BTC"].free)
        box.make(Side.SELL, 101, instrument="X/USDT")
        box.make(Side.BUY, None, instrument="X/USDT", account="other")
        assert (await socket.next())["s"] == "XUSDT"


async def test_symbols_beyond_ascii_are_streamed(box: Box, raw: RawBinance) -> None:
    box.exchange.deposit("maker", "币安人生", box.exchange.balances("maker")["BTC"].free)
    box.make(Side.SELL, 101, instrument=LIFE)
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "币安人生usdt@trade")
        box.make(Side.BUY, None, instrument=LIFE, account="other")
        assert (await socket.next())["s"] == "币安人生USDT"


async def test_a_delisted_symbol_falls_silent_and_the_others_go_on(
    box: Box, raw: RawBinance
) -> None:
    streams = ("depth@100ms", "depth5@100ms", "ticker", "kline_1m", "bookTicker", "trade")
    names = [f"btcusdt@{one}" for one in streams]
    async with raw.socket("/ws") as socket:
        await subscribe(socket, *names, "ethusdt@depth@100ms")
        box.make(Side.BUY, 90)
        box.exchange.delist(BTC)
        for _ in range(3):
            box.make(Side.BUY, 90, instrument=ETH)
            await socket.next(e="depthUpdate", s="ETHUSDT")
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert len((await socket.next(id=2))["result"]) == 7
        await socket.send({"method": "UNSUBSCRIBE", "params": names, "id": 3})
        assert (await socket.next(id=3))["result"] is None


async def test_too_many_streams_are_refused() -> None:
    async with (
        binance_box(streams_per_connection=2) as box,
        RawBinance(box.url, "", "") as raw,
        raw.socket("/ws") as socket,
    ):
        await subscribe(socket, "btcusdt@trade", "ethusdt@trade")
        assert (await subscribe(socket, "btcusdt@depth"))["error"]["code"] == 2
        assert (await subscribe(socket, "btcusdt@trade"))["result"] is None


async def test_depth_and_snapshot_fit_together(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "btcusdt@depth@100ms")
        box.make(Side.BUY, 98, 2)
        first = await socket.next(e="depthUpdate")
        snapshot = (await raw.send("GET /api/v3/depth", "symbol=BTCUSDT")).body
        box.make(Side.SELL, 103, 2)
        second = await socket.next(e="depthUpdate")
        assert first["u"] == snapshot["lastUpdateId"]
        assert second["U"] == first["u"] + 1


async def test_all_mini_tickers_come_in_one_list_of_what_changed(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/stream?streams=!miniTicker@arr") as socket:
        first = await socket.next(stream="!miniTicker@arr")
        assert {one["s"] for one in first["data"]} == {"BTCUSDT", "ETHUSDT", "币安人生USDT"}
        box.make(Side.BUY, None)
        second = await socket.next(stream="!miniTicker@arr")
        assert [one["s"] for one in second["data"]] == ["BTCUSDT"]


async def test_the_last_kline_is_closed_in_a_quiet_market(box: Box, raw: RawBinance) -> None:
    box.make(Side.BUY, None)
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "btcusdt@kline_1m")
        present = await socket.next(e="kline")
        box.context.clock.step(NS_PER_MINUTE)
        closed = await socket.next(e="kline")
        while not closed["k"]["x"]:
            closed = await socket.next(e="kline")
        following = await socket.next(e="kline")
        assert closed["k"]["t"] == present["k"]["t"]
        assert following["k"]["t"] == present["k"]["t"] + 60_000
        assert following["k"]["o"] == closed["k"]["c"]


async def test_five_messages_a_second_and_no_more(raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        for number in range(5):
            await subscribe(socket, number=number)
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        ended = await until_closed(socket)
        assert (ended.data, ended.extra) == (1008, "Too many requests")


async def test_pings_count_and_are_answered(raw: RawBinance) -> None:
    async with raw.socket("/ws", autoping=False) as socket:
        for _ in range(5):
            await socket.connection.ping(b"mine")
            pong = await socket.frame()
            assert (pong.type, pong.data) == (WSMsgType.PONG, b"mine")
        await socket.connection.ping(b"mine")
        assert (await until_closed(socket)).data == 1008


async def test_who_does_not_answer_pings_is_disconnected() -> None:
    periods: dict[str, Any] = {"ping_interval": 20 * NS_PER_MS, "pong_timeout": 60 * NS_PER_MS}
    async with (
        binance_box(**periods, messages_per_second=1_000) as box,
        RawBinance(box.url, "", "") as raw,
    ):
        async with asyncio.timeout(5), raw.socket("/ws", autoping=False) as deaf:
            pings = 0
            while (frame := await deaf.frame()).type is WSMsgType.PING:
                pings += 1
            assert pings >= 1
            assert (frame.data, frame.extra) == (1008, "Pong timeout")
        async with raw.socket("/ws", autoping=False) as polite:
            for _ in range(8):
                ping = await polite.frame()
                assert ping.type is WSMsgType.PING
                await polite.connection.pong(ping.data)


@pytest.mark.parametrize("path", ["/ws", "/stream", "/ws-api/v3"])
async def test_a_day_old_connection_is_told_and_cut(path: str) -> None:
    periods: dict[str, Any] = {
        "connection_lifetime": 60 * NS_PER_MS,
        "shutdown_notice": 30 * NS_PER_MS,
    }
    async with (
        binance_box(**periods) as box,
        RawBinance(box.url, "", "") as raw,
        raw.socket(path) as socket,
    ):
        notice = await socket.next()
        event = notice.get("data") or notice.get("event") or notice
        assert event["e"] == "serverShutdown"
        assert (await until_closed(socket)).data == 1000


async def test_connects_and_bans_meet_the_handshake() -> None:
    async with (
        binance_box(connects_per_5m=2, weight_limit=20, ban_patience=0) as box,
        RawBinance(box.url, "", "") as raw,
    ):
        for _ in range(2):
            async with raw.socket("/ws"):
                pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with raw.socket("/ws"):
                pass
        assert refused.value.status == 429
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) >= 1
        await raw.send("GET /api/v3/exchangeInfo")
        assert (await raw.send("GET /api/v3/ping")).status == 418
        with pytest.raises(aiohttp.WSServerHandshakeError) as banned:
            async with raw.socket("/ws-api/v3"):
                pass
        assert banned.value.status == 418


async def test_a_reader_that_is_too_slow_is_cut_off() -> None:
    async with binance_box(queue_limit=50, **QUICK) as box, RawBinance(box.url, "", "") as raw:
        box.make(Side.SELL, 101, 9_000)
        async with raw.socket("/ws") as socket:
            await subscribe(socket, "btcusdt@trade")
            for _ in range(51):
                box.make(Side.BUY, 101, "0.1", account="other")
            assert (await until_closed(socket)).type in CLOSED


@pytest.mark.parametrize(
    ("action", "ends"),
    [(Action.RESET, True), (Action.CLOSE, True), (Action.REJECT, False), (Action.LOSE_ACK, False)],
)
async def test_subscriptions_fail_as_they_are_told_to(
    box: Box, raw: RawBinance, action: Action, ends: bool
) -> None:
    box.arm(Point.SUBSCRIBE, "stream:btcusdt@*", action)
    async with raw.socket("/ws") as socket:
        await socket.send({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        if ends:
            await until_closed(socket)
            return
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        first = await socket.next()
        listed = ["btcusdt@trade"] if action is Action.LOSE_ACK else []
        if action is Action.REJECT:
            assert first["error"]["code"] == 2
            first = await socket.next()
        assert first == {"result": listed, "id": 2}


async def test_frames_are_dropped_repeated_swapped_and_corrupted(box: Box, raw: RawBinance) -> None:
    where = "stream:btcusdt@trade"
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "btcusdt@trade")

        async def seen(action: Action, trades: int, frames: int, **params: Any) -> list[Any]:
            box.arm(Point.FRAME, where, action, **params)
            for _ in range(trades):
                box.make(Side.BUY, None, "0.1")
            told = [await socket.frame() for _ in range(frames)]
            return [one.data if one.data == "{bad" else one.json()["t"] for one in told]

        assert await seen(Action.DROP, 2, 1) == [2]
        assert await seen(Action.DUPLICATE, 1, 2) == [3, 3]
        assert await seen(Action.SWAP, 2, 2) == [5, 4]
        assert await seen(Action.CORRUPT, 1, 2, text="{bad", keep=True) == ["{bad", 6]


async def test_a_half_open_connection_says_nothing_and_stays(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws", autoping=False) as socket:
        await subscribe(socket, "btcusdt@trade")
        box.arm(Point.NOW, "socket:stream", Action.HALF_OPEN, count=None)
        box.make(Side.BUY, None)
        await socket.connection.ping(b"?")
        with pytest.raises(TimeoutError):
            await socket.frame(0.15)
        assert not socket.connection.closed


async def test_a_pong_can_be_withheld(box: Box, raw: RawBinance) -> None:
    box.arm(Point.PONG, "socket:stream", Action.DROP)
    async with raw.socket("/ws", autoping=False) as socket:
        await socket.connection.ping(b"lost")
        await socket.connection.ping(b"found")
        assert (await socket.frame()).data == b"found"


@pytest.mark.parametrize(
    ("action", "params", "status"),
    [(Action.ANSWER, {"status": 503}, 503), (Action.RESET, {}, None)],
)
async def test_handshakes_fail_as_they_are_told_to(
    box: Box, raw: RawBinance, action: Action, params: dict[str, Any], status: int | None
) -> None:
    box.arm(Point.HANDSHAKE, "socket:stream", action, count=None, **params)
    with pytest.raises(aiohttp.ClientError) as failed:
        async with raw.socket("/ws"):
            pass
    assert getattr(failed.value, "status", None) == status
    box.context.faults.clear()
    async with raw.socket("/ws"):
        pass


async def test_nothing_is_left_of_a_client_that_went(box: Box, raw: RawBinance) -> None:
    async with raw.socket("/ws") as socket:
        await subscribe(socket, "btcusdt@trade")
        assert box.context.faults.sockets() == ["socket:stream"]
    async with raw.socket("/ws") as later:
        await subscribe(later, "btcusdt@trade")
        assert box.context.faults.sockets() == ["socket:stream"], "the first one is gone"
