"""Bybit's dead-man timer: orders end when nobody of the account is there any more."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import ccxt
import pytest
from ccxt.pro import bybit

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.server import VenueServer
from tests.conformance.test_bybit_streams import login

Make = Callable[..., bybit]
WINDOW_S = 40
BEATS_S = 20
"""After so long without a word a connection counts as gone."""


class Presence:
    """A private connection that may listen to the timer's topic."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> Any:
        await self.socket.send_json(message)
        return await self.socket.receive_json(timeout=5)


async def present(venue: VenueServer, session: aiohttp.ClientSession, topic: str) -> Presence:
    socket = await session.ws_connect(venue.bybit_url.replace("http", "ws", 1) + "/v5/private")
    there = Presence(socket)
    assert (await there.say(**login(venue.clock.now_ms() + 10_000)))["success"]
    assert (await there.say(op="subscribe", args=[topic]))["success"]
    return there


def pass_by(venue: VenueServer, seconds: float) -> None:
    venue.clock.step(round(seconds * NS_PER_SECOND))


async def gone(venue: VenueServer) -> None:
    """Waits until the venue has noticed that nobody is there."""
    async with asyncio.timeout(5):
        while venue.context.shown["dead_man"]()["main"]["gone_ns"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def stays_open(client: bybit) -> bool:
    """Whether the order is open after the timer has had time to look at the clock."""
    await asyncio.sleep(0.1)
    found: Any = await client.fetch_open_orders("BTC/USDT")
    return bool(found)


@pytest.fixture
async def client(bybit_client: Make) -> bybit:
    """An account with an open order and a window."""
    made = bybit_client()
    made.options["recvWindow"] = 600_000  # the venue's clock is stepped, ours is not
    await made.load_markets()
    await made.create_order("BTC/USDT", "limit", "buy", 0.01, 50_000)
    await made.private_post_v5_order_disconnected_cancel_all(
        {"product": "SPOT", "timeWindow": WINDOW_S}
    )
    return made


async def test_orders_end_a_window_after_the_last_connection_is_gone(
    venue: VenueServer, client: bybit
) -> None:
    async with aiohttp.ClientSession() as session:
        first = await present(venue, session, "dcp.spot")
        second = await present(venue, session, "dcp.spot")
        beside = await present(venue, session, "order")
        await first.socket.close()
        pass_by(venue, WINDOW_S - 30)
        await second.say(op="ping")
        assert await stays_open(client)
        await second.socket.close()
        await gone(venue)
        pass_by(venue, WINDOW_S - 1)
        assert await stays_open(client)
        pass_by(venue, 1)
        told = await beside.socket.receive_json(timeout=5)
    assert told["topic"] == "order"
    assert (told["data"][0]["orderStatus"], told["data"][0]["cancelType"]) == (
        "Cancelled",
        "CancelByDCP",
    )
    assert not await stays_open(client)


async def test_who_is_there_and_says_nothing_is_gone_until_it_pings_again(
    venue: VenueServer, client: bybit
) -> None:
    async with aiohttp.ClientSession() as session:
        there = await present(venue, session, "dcp.spot")
        pass_by(venue, BEATS_S + WINDOW_S - 1)
        await there.say(op="ping")
        pass_by(venue, BEATS_S + WINDOW_S - 1)
        assert await stays_open(client)
        pass_by(venue, 1)
        assert not await stays_open(client)


async def test_who_comes_back_in_time_keeps_its_orders(venue: VenueServer, client: bybit) -> None:
    async with aiohttp.ClientSession() as session:
        there = await present(venue, session, "dcp.spot")
        await there.socket.close()
        await gone(venue)
        pass_by(venue, WINDOW_S - 1)
        back = await present(venue, session, "dcp.spot")
        pass_by(venue, BEATS_S - 1)
        await back.say(op="ping")
        assert await stays_open(client)


async def test_nobody_is_missed_who_never_listened(venue: VenueServer, client: bybit) -> None:
    async with aiohttp.ClientSession() as session:
        there = await present(venue, session, "order")
        await there.socket.close()
        pass_by(venue, 10 * WINDOW_S)
        assert await stays_open(client)


async def test_a_window_for_another_product_is_none_for_spot(
    venue: VenueServer, bybit_client: Make
) -> None:
    client = bybit_client()
    await client.load_markets()
    await client.private_post_v5_order_disconnected_cancel_all({"timeWindow": WINDOW_S})
    told: Any = await client.private_get_v5_account_query_dcp_info()
    assert told["result"] == {"dcpInfos": []}
    assert venue.context.shown["dead_man"]() == {}


async def test_the_window_is_told_to_the_account_and_by_the_control_api(
    venue: VenueServer, client: bybit
) -> None:
    told: Any = await client.private_get_v5_account_query_dcp_info()
    assert told["result"]["dcpInfos"] == [
        {"product": "SPOT", "dcpStatus": "ON", "timeWindow": str(WINDOW_S)}
    ]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{venue.control_url}/dead-man") as reply,
    ):
        shown = await reply.json()
    assert shown == {
        "main": {"window_ns": WINDOW_S * NS_PER_SECOND, "connections": 0, "gone_ns": None}
    }


@pytest.mark.parametrize("window", [2, 301, "soon", None])
async def test_a_window_is_3_to_300_seconds(bybit_client: Make, window: Any) -> None:
    client = bybit_client()
    with pytest.raises(ccxt.BadRequest):
        await client.private_post_v5_order_disconnected_cancel_all(
            {"product": "SPOT", "timeWindow": window}
        )
