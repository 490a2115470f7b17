"""A session of pybit, Bybit's own client library, unmodified.

It knows no other address than Bybit's: names are resolved to the venue here, over TLS with the
venue's own authority, and no name leaves the machine.
"""

import asyncio
import queue
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import (
    HTTP,
    WebSocket,
    WebSocketTrading,
)

from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings

NAMES = ("stream.venue.com", "localhost", "127.0.0.1")
KEYS = {"api_key": KEY, "api_secret": SECRET}
PLACE = {"domain": "venue", "tld": "com"}
ORDER = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit"}


@pytest.fixture
async def tls_venue(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VenueServer]:
    """A venue over TLS that all names lead to."""
    folder = tmp_path_factory.mktemp("ca")
    tls = {"enabled": True, "folder": folder, "names": NAMES}
    async with VenueServer(quiet_settings(tls=tls, front_ends=["bybit"])) as venue:
        port = urlsplit(venue.bybit_url).port
        known = socket.getaddrinfo

        def resolve(host: Any, _: Any, *more: Any, **options: Any) -> Any:
            return known("127.0.0.1", port, *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(folder / "ca.pem"))
        yield venue


def listening(venue: VenueServer, *places: str) -> Callable[[], None]:
    """Returns what waits until the venue has taken subscriptions to all of these places."""
    wanted, all_taken = set(places), threading.Event()

    def note(_: Fault, where: str) -> None:
        wanted.discard(where)
        if not wanted:
            all_taken.set()

    # A delay of nothing changes nothing, and is told of.
    venue.faults.on_strike = note
    watch = Fault(name="watch", point=Point.SUBSCRIBE, action=Action.DELAY, count=None)
    venue.faults.arm(watch)

    def wait() -> None:
        assert all_taken.wait(5)

    return wait


async def in_thread(run: Callable[[], None]) -> None:
    """pybit blocks; the venue lives in this loop."""
    await asyncio.wait_for(asyncio.to_thread(run), 30)


def http(venue: VenueServer) -> HTTP:
    session = HTTP(**KEYS)
    session.endpoint = venue.bybit_url
    session.client.verify = str(venue.settings.tls.folder / "ca.pem")
    return session


class Heard:
    """Messages of a stream."""

    def __init__(self) -> None:
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def __call__(self, message: dict[str, Any]) -> None:
        self._messages.put(message)

    def next(self) -> dict[str, Any]:
        return self._messages.get(timeout=5)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            message = self.next()
            if holds(message):
                return message
        raise AssertionError("expected a message that never came")


async def test_queries(tls_venue: VenueServer) -> None:
    def run() -> None:
        session = http(tls_venue)
        assert session.get_server_time()["retCode"] == 0
        info = session.get_instruments_info(category="spot", symbol="BTCUSDT")
        assert info["result"]["list"][0]["priceFilter"]["tickSize"] == "0.01"
        klines = session.get_kline(category="spot", symbol="BTCUSDT", interval=1, limit=10)
        starts = [int(row[0]) for row in klines["result"]["list"]]
        assert starts == sorted(starts, reverse=True)
        assert len(starts) == 10
        wallet = session.get_wallet_balance(accountType="UNIFIED", coin="USDT")
        assert wallet["result"]["list"][0]["coin"][0]["walletBalance"] == "1000000"
        assert session.get_fee_rates(category="spot")["result"]["list"]

    await in_thread(run)


async def test_an_orders_life(tls_venue: VenueServer) -> None:
    def run() -> None:
        session = http(tls_venue)
        placed = session.place_order(**ORDER, qty="0.1", price="50000", orderLinkId="one")
        number = placed["result"]["orderId"]
        found = session.get_open_orders(category="spot", orderLinkId="one")["result"]["list"]
        assert [(row["orderId"], row["orderStatus"]) for row in found] == [(number, "New")]
        session.cancel_order(category="spot", symbol="BTCUSDT", orderId=number)
        history = session.get_order_history(category="spot", orderId=number)["result"]["list"]
        assert [row["orderStatus"] for row in history] == ["Cancelled"]
        with pytest.raises(InvalidRequestError, match="170213"):
            session.cancel_order(category="spot", symbol="BTCUSDT", orderId=number)
        session.place_order(**ORDER, qty="0.1", price="60010")
        fills = session.get_executions(category="spot")["result"]["list"]
        assert [row["execPrice"] for row in fills] == ["60006"]

    await in_thread(run)


async def test_streams_and_orders_over_the_socket(tls_venue: VenueServer) -> None:
    wait_until_listening = listening(
        tls_venue, "stream:publicTrade.BTCUSDT", "user:order", "user:execution"
    )

    def run() -> None:
        public = WebSocket("spot", **PLACE, testnet=False)
        private = WebSocket("private", **PLACE, testnet=False, **KEYS, private_auth_expire=10)
        trading = WebSocketTrading(**PLACE, testnet=False, **KEYS, private_auth_expire=10)
        books, trades, orders, fills, replies = (Heard() for _ in range(5))
        try:
            public.orderbook_stream(50, "BTCUSDT", books)
            public.trade_stream("BTCUSDT", trades)
            private.order_stream(orders)
            private.execution_stream(fills)
            assert books.next()["data"]["b"][0][0] == "59994"
            wait_until_listening()
            http(tls_venue).place_order(**ORDER, qty="0.1", price="50000", orderLinkId="first")
            trading.place_order(replies, **ORDER, qty="0.1", price="60010", orderLinkId="two")
            assert replies.next()["data"]["orderLinkId"] == "two"
            filled = orders.until(lambda m: m["data"][0]["orderStatus"] == "Filled")
            assert filled["data"][0]["orderLinkId"] == "two"
            assert fills.next()["data"][0]["execPrice"] == "60006"
            assert trades.next()["data"][0]["S"] == "Buy"
            trading.cancel_order(replies, category="spot", symbol="BTCUSDT", orderLinkId="first")
            assert replies.next()["retCode"] == 0
            orders.until(lambda m: m["data"][0]["orderStatus"] == "Cancelled")
        finally:
            for connection in (public, private, trading):
                connection.exit()

    await in_thread(run)
