"""The control API over HTTP: JSON in, JSON out, one line for what is wrong."""

from typing import Any

import aiohttp
import pytest

from goalkick.venue.server import VenueServer


async def ask(venue: VenueServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, venue.control_url + path, json=body) as reply,
    ):
        return reply.status, await reply.json()


async def test_lists_what_it_can_do(venue: VenueServer) -> None:
    status, calls = await ask(venue, "GET", "/")
    assert status == 200
    assert {"POST /faults", "POST /presets/{name}", "GET /ledger"} <= set(calls)


async def test_arms_a_fault_and_a_preset(venue: VenueServer) -> None:
    fault = {"name": "F9", "point": "frame", "action": "drop", "where": "stream:*", "count": 2}
    status, armed = await ask(venue, "POST", "/faults", fault)
    assert status == 200
    status, started = await ask(venue, "POST", "/presets/F4", {"skip": 1})
    assert started["preset"]["name"] == "F4"
    status, listed = await ask(venue, "GET", "/faults")
    assert [each["fault"]["name"] for each in listed] == ["F9", "F4"]
    assert listed[1]["fault"]["skip"] == 1
    assert await ask(venue, "DELETE", f"/faults?number={armed['number']}") == (
        200,
        {"cleared": 1},
    )
    assert await ask(venue, "DELETE", "/faults") == (200, {"cleared": 1})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        (
            "POST",
            "/faults",
            {"name": "x", "point": "frame", "action": "drop", "wher": 1},
            400,
            "wher",
        ),
        ("POST", "/faults", {"name": "x"}, 400, "point"),
        ("POST", "/presets/F99", None, 400, "F99"),
        ("POST", "/presets/F1", {"sometimes": True}, 400, "sometimes"),
        ("GET", "/requests?colour=red", None, 400, "colour"),
        ("POST", "/flow", {"paused": "maybe"}, 400, "paused"),
        ("GET", "/nothing", None, 404, "GET / lists all calls"),
        ("PUT", "/faults", None, 405, "PUT /faults"),
        (
            "POST",
            "/orders",
            {"instrument": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "0.001"},
            409,
            "price_filter",
        ),
        (
            "POST",
            "/orders",
            {
                "instrument": "BTC/USDT",
                "side": "buy",
                "quantity": "1",
                "price": "1",
                "account": "x",
            },
            400,
            "x",
        ),
    ],
)
async def test_refuses_in_one_line(
    venue: VenueServer, method: str, path: str, body: Any, status: int, text: str
) -> None:
    found, answer = await ask(venue, method, path, body)
    assert found == status
    assert text in answer["error"]
    assert "\n" not in answer["error"]


async def test_shows_requests_and_the_ledger(venue: VenueServer) -> None:
    async with aiohttp.ClientSession(venue.bybit_url) as session:
        await (await session.get("/v5/market/time")).read()
    _, log = await ask(venue, "GET", "/requests?front_end=bybit&method=time")
    assert [entry["method"] for entry in log["requests"]] == ["GET /v5/market/time"]
    order = {"instrument": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "60010"}
    _, placed = await ask(venue, "POST", "/orders", {**order, "account": "main"})
    assert placed["executed"] == "0.1"
    _, ledger = await ask(venue, "GET", "/ledger")
    assert "main" in str(ledger)
    assert (await ask(venue, "DELETE", "/requests"))[1] == {"total": log["total"]}


async def test_moves_the_clock_of_the_front_ends(venue: VenueServer) -> None:
    await ask(venue, "POST", "/clock", {"skew_s": 100})
    _, clock = await ask(venue, "GET", "/clock")
    async with aiohttp.ClientSession(venue.bybit_url) as session:
        reply = await (await session.get("/v5/market/time")).json()
    assert reply["time"] == pytest.approx(clock["now_ns"] // 1_000_000, abs=2_000)


async def test_tells_how_it_is(venue: VenueServer) -> None:
    assert await ask(venue, "GET", "/healthz") == (200, {"alive": True})
    async with aiohttp.ClientSession(venue.control_url) as session:
        text = await (await session.get("/metrics")).text()
    assert "goalkick_venue_requests_total 0\n" in text
