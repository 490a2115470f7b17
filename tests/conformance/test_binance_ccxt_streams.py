"""Unmodified ccxt.pro on the market streams: each watch call, and how it goes deaf or wrong.

What ccxt does is shown here only as far as it shows what the venue does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import pytest

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS
from goalkick.venue.engine.model import Side
from goalkick.venue.faults import Action, Point
from tests.conformance.binance_box import BTC, ETH, Box, binance_box
from tests.conformance.clients import ccxt_binance

pytestmark = pytest.mark.slow

PATIENCE_S = 5.0
"""How long something that must happen may take."""
SILENCE_S = 0.4
"""How long nothing must happen before a consumer is called deaf."""


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    periods: dict[str, Any] = {
        "fast_interval": 20 * NS_PER_MS,
        "slow_interval": 40 * NS_PER_MS,
        "kline_interval": 40 * NS_PER_MS,
    }
    async with binance_box(**periods) as running:
        running.quote()
        yield running


@pytest.fixture
async def client(box: Box) -> AsyncIterator[Any]:
    options = {"ws": {"cost": 0.2}}
    async with ccxt_binance(box.url, enableRateLimit=False, options=options) as exchange:
        yield exchange


async def soon(awaited: Any) -> Any:
    """The result of what must come soon."""
    return await asyncio.wait_for(awaited, PATIENCE_S)


async def listening(box: Box, times: int = 1) -> None:
    """Waits until a client has subscribed so often since the test began."""
    async with asyncio.timeout(PATIENCE_S):
        while len(box.context.requests.entries(method="SUBSCRIBE")) < times:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def watch_for_ever(client: Any) -> None:
    """Watches a book until that fails."""
    while True:
        await client.watch_order_book(BTC)


@asynccontextmanager
async def moving(box: Box, instrument: str = BTC) -> AsyncIterator[None]:
    """Places and cancels an order over and over, so that the book has updates to tell."""

    async def move() -> None:
        while True:
            order = box.make(Side.BUY, 90, instrument=instrument)
            await asyncio.sleep(0.01)
            box.exchange.cancel("maker", instrument, order_id=order.order_id)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()


async def test_the_order_book_follows_the_venues(box: Box, client: Any) -> None:
    await soon(client.watch_order_book(BTC))
    for price in (98, 97, 96):
        box.make(Side.BUY, price, 3)
    box.make(Side.BUY, None, 2)
    expected = box.exchange.depth(BTC)
    book = await soon(client.watch_order_book(BTC))
    while book["nonce"] < expected.update_id:
        book = await soon(client.watch_order_book(BTC))
    assert [tuple(row) for row in book["bids"]] == [(float(p), float(q)) for p, q in expected.bids]
    assert [tuple(row) for row in book["asks"]] == [(float(p), float(q)) for p, q in expected.asks]


async def test_books_of_several_symbols_share_a_connection(box: Box, client: Any) -> None:
    for instrument in (BTC, ETH, BTC):
        async with moving(box, instrument):
            while (await soon(client.watch_order_book_for_symbols([BTC, ETH])))["symbol"] != (
                instrument
            ):
                pass
    assert box.context.faults.sockets() == ["socket:stream"]


async def test_a_lost_update_is_a_checksum_error_and_mends(box: Box, client: Any) -> None:  # F9
    await soon(client.watch_order_book(BTC))
    box.arm(Point.FRAME, "stream:btcusdt@depth@100ms", Action.DROP)
    async with moving(box):
        with pytest.raises(ccxt.ChecksumError):
            await soon(watch_for_ever(client))
        mended = await soon(client.watch_order_book(BTC))
    assert mended["bids"][0] == [99.0, 1.0]


async def test_a_repeated_update_does_no_harm(box: Box, client: Any) -> None:  # F9
    await soon(client.watch_order_book(BTC))
    box.arm(Point.FRAME, "stream:btcusdt@depth@100ms", Action.DUPLICATE)
    box.make(Side.BUY, 90, 1)
    await soon(client.watch_order_book(BTC))
    box.make(Side.BUY, 90, 1)
    book = await soon(client.watch_order_book(BTC))
    while book["nonce"] < box.exchange.depth(BTC).update_id:
        book = await soon(client.watch_order_book(BTC))
    assert [90.0, 2.0] in [list(row) for row in book["bids"]]


async def test_a_snapshot_that_is_refused_is_ddos_protection(box: Box, client: Any) -> None:  # F10
    box.arm(
        Point.REQUEST,
        "rest:GET /api/v3/depth",
        Action.ANSWER,
        count=None,
        status=429,
        body='{"code":-1003,"msg":"Too much request weight used."}',
    )
    async with moving(box):
        with pytest.raises(ccxt.DDoSProtection):
            await soon(client.watch_order_book(BTC))


async def test_trades_come_with_trade_ids_or_aggregate_ids(box: Box, client: Any) -> None:
    box.make(Side.SELL, 101)
    watching = asyncio.create_task(client.watch_trades(BTC))
    joined = asyncio.create_task(client.watch_trades(ETH, params={"name": "aggTrade"}))
    box.quote(instrument=ETH)
    box.make(Side.SELL, 101, instrument=ETH)
    await listening(box, 2)
    box.make(Side.BUY, None, 2)
    box.make(Side.BUY, None, 2, instrument=ETH)
    single, aggregate = await soon(watching), await soon(joined)
    assert [trade["id"] for trade in single] == ["1"]
    assert [(trade["id"], trade["amount"]) for trade in aggregate] == [("1", 2.0)]


async def test_candles_are_pushed_while_they_are_open_and_when_they_close(  # C8
    box: Box, client: Any
) -> None:
    box.make(Side.BUY, None)
    first = await soon(client.watch_ohlcv(BTC, "1m"))
    assert first[-1][1:] == [101.0, 101.0, 101.0, 101.0, 1.0]
    box.context.clock.step(NS_PER_MINUTE)
    later = await soon(client.watch_ohlcv(BTC, "1m"))
    while later[-1][0] == first[-1][0]:
        later = await soon(client.watch_ohlcv(BTC, "1m"))
    assert later[-1][0] == first[-1][0] + 60_000


async def test_tickers_of_one_and_all_symbols(box: Box, client: Any) -> None:
    box.make(Side.BUY, None)
    mini = await soon(client.watch_ticker(BTC, {"name": "miniTicker"}))
    assert (mini["last"], mini["bid"]) == (101.0, None)
    full = await soon(client.watch_ticker(ETH, {"name": "ticker"}))
    assert (full["symbol"], full["ask"]) == (ETH, None)
    quotes = asyncio.create_task(client.watch_bids_asks([BTC]))
    await listening(box, 3)
    box.make(Side.BUY, 99)
    assert (await soon(quotes))[BTC]["bidVolume"] == 2.0


async def test_all_tickers_at_once(box: Box, client: Any) -> None:
    box.make(Side.BUY, None)
    every = await soon(client.watch_tickers())
    assert every[BTC]["last"] == 101.0


async def test_a_dropped_connection_is_told_at_once_and_dialled_anew(  # F1
    box: Box, client: Any
) -> None:
    for times, action in enumerate((Action.RESET, Action.CLOSE), start=1):
        watching = asyncio.create_task(client.watch_trades(BTC))
        await listening(box, times)
        box.arm(Point.NOW, "socket:stream", action, count=None)
        with pytest.raises(ccxt.NetworkError):
            await soon(watching)
    watching = asyncio.create_task(client.watch_trades(BTC))
    await listening(box, 3)
    box.make(Side.BUY, None)
    assert len(await soon(watching)) == 1


async def test_a_half_open_connection_is_noticed_by_keep_alive_only(box: Box) -> None:  # D9, F2
    async with ccxt_binance(box.url, streaming={"keepAlive": 200}) as client:
        watching = asyncio.create_task(client.watch_trades(BTC))
        await listening(box)
        box.arm(Point.NOW, "socket:stream", Action.HALF_OPEN, count=None)
        box.make(Side.BUY, None)
        with pytest.raises(ccxt.RequestTimeout):
            await soon(watching)


@pytest.mark.parametrize("text", ["{bad", "[]"])
async def test_a_bad_frame_makes_ccxt_deaf_until_keep_alive(  # D1, F19
    box: Box, text: str
) -> None:
    async with ccxt_binance(box.url, streaming={"keepAlive": 300}) as client:
        watching = asyncio.create_task(client.watch_trades(BTC))
        await listening(box)
        box.arm(Point.FRAME, "stream:*", Action.CORRUPT, text=text, keep=True)
        box.make(Side.BUY, None)
        with pytest.raises(Exception) as raised:  # noqa: PT011 - which one depends on the frame
            await soon(watching)
        assert not isinstance(raised.value, TimeoutError)


async def test_a_refused_subscription_raises_once_and_is_never_asked_for_again(  # D11
    box: Box, client: Any
) -> None:
    box.arm(Point.SUBSCRIBE, "stream:btcusdt@trade", Action.REJECT)
    with pytest.raises(ccxt.BaseError):
        await soon(client.watch_trades(BTC))
    watching = asyncio.create_task(client.watch_trades(BTC))
    box.make(Side.BUY, None)
    await asyncio.wait([watching], timeout=SILENCE_S)
    assert not watching.done(), "deaf"
    watching.cancel()


async def test_a_lost_acknowledgement_leaves_trades_flowing_and_the_book_unborn(  # D10
    box: Box, client: Any
) -> None:
    box.arm(Point.SUBSCRIBE, "stream:*", Action.LOSE_ACK, count=2)
    trades = asyncio.create_task(client.watch_trades(BTC))
    book = asyncio.create_task(client.watch_order_book(BTC))
    await listening(box, 2)
    box.make(Side.BUY, None)
    assert len(await soon(trades)) == 1
    await asyncio.wait([book], timeout=SILENCE_S)
    assert not book.done(), "never starts"
    book.cancel()


async def test_shutdown_notices_are_ignored_by_ccxt(box: Box, client: Any) -> None:  # D5
    watching = asyncio.create_task(client.watch_trades(BTC))
    await listening(box)
    box.arm(Point.NOW, "socket:stream", Action.SHUTDOWN, count=None, grace_s=0.05)
    with pytest.raises(ccxt.NetworkError):
        await soon(watching)


async def test_a_limited_book_loses_levels_as_they_are_consumed(
    box: Box, client: Any
) -> None:  # C1
    await soon(client.watch_order_book(BTC, 3))
    for _ in range(2):
        box.make(Side.BUY, None)
    book = await soon(client.watch_order_book(BTC, 3))
    while book["nonce"] < box.exchange.depth(BTC).update_id:
        book = await soon(client.watch_order_book(BTC, 3))
    assert len(book["asks"]) == 1
    assert len(box.exchange.depth(BTC, 3).asks) == 3


async def test_slow_consumers_lose_trades_that_the_venue_sent(box: Box) -> None:  # C3
    options = {"tradesLimit": 5}
    async with ccxt_binance(box.url, options=options) as client:
        watching = asyncio.create_task(client.watch_trades(BTC))
        await listening(box)
        box.make(Side.BUY, None, "0.1")
        await soon(watching)
        for _ in range(12):
            box.make(Side.BUY, None, "0.1")
        watching = asyncio.create_task(client.watch_trades(BTC))
        await asyncio.sleep(0.1)
        box.make(Side.BUY, None, "0.1")
        seen = [trade["id"] for trade in await soon(watching)]
        assert len(seen) <= 5
        assert len(box.exchange.trades(BTC)) == 14


async def test_a_refused_handshake_is_a_network_error(box: Box, client: Any) -> None:  # F11
    box.arm(
        Point.HANDSHAKE,
        "socket:stream",
        Action.ANSWER,
        status=429,
        headers={"Retry-After": "1"},
    )
    with pytest.raises(ccxt.NetworkError):
        await soon(client.watch_trades(BTC))


async def test_without_checksums_a_gap_freezes_the_book_for_ever(box: Box) -> None:  # D8
    options = {"watchOrderBook": {"checksum": False}}
    async with ccxt_binance(box.url, options=options) as client:
        await soon(client.watch_order_book(BTC))
        box.arm(Point.FRAME, "stream:btcusdt@depth@100ms", Action.DROP)
        async with moving(box):
            task = asyncio.create_task(watch_for_ever(client))
            await asyncio.wait([task], timeout=SILENCE_S)
            frozen = client.orderbooks[BTC]["nonce"]
            await asyncio.wait([task], timeout=SILENCE_S)
            assert client.orderbooks[BTC]["nonce"] == frozen
            assert box.exchange.depth(BTC).update_id > frozen + 10
            task.cancel()


async def test_a_connection_that_dies_after_its_handshake_raises_at_once(  # WS4
    box: Box, client: Any
) -> None:
    box.arm(Point.HANDSHAKE, "socket:stream", Action.CLOSE)
    with pytest.raises((ccxt.NetworkError, ConnectionError)):
        await soon(client.watch_trades(BTC))
