"""The command `goalkick venue` as a process: starts, says where it is, ends cleanly."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings

COMMAND = (sys.executable, "-m", "goalkick.embedded.cli", "venue")
FREE = ("--binance-port", "0", "--bybit-port", "0", "--control-port", "0")


@asynccontextmanager
async def running(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with its output in pipes; ended in any case."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode()


async def stop(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.slow
async def test_serves_what_it_says_and_ends_with_zero() -> None:
    async with running(*COMMAND, *FREE, "--json") as process:
        facts: dict[str, Any] = json.loads(await first_line(process))
        async with aiohttp.ClientSession() as session:
            for url in (
                f"{facts['binance_url']}/api/v3/depth?symbol=BTCUSDT&limit=5",
                f"{facts['bybit_url']}/v5/market/tickers?category=spot&symbol=BTCUSDT",
                f"{facts['control_url']}/ledger",
            ):
                async with session.get(url) as reply:
                    assert reply.status == 200
        assert facts["accounts"]["main"].keys() == {"key", "secret"}
        code, out, err = await stop(process)
    assert (code, json.loads(out), err) == (0, {"event": "stopped"}, "")


@pytest.mark.slow
async def test_the_module_does_the_same_for_people(tmp_path: Path) -> None:
    config = tmp_path / "goalkick.yaml"
    config.write_text(
        "venue:\n  binance_port: 0\n  bybit_port: 0\n  control_port: 0\n"
        "  accounts:\n    desk:\n      key: abc\n      secret: def\n"
    )
    async with running(sys.executable, "-m", "goalkick.venue", "--config", str(config)) as process:
        first = await first_line(process)
        code, out, err = await stop(process)
    assert first.startswith("binance  http://127.0.0.1:")
    assert "account  desk\n  key    abc\n  secret def\n" in out
    assert out.count("curl") == 2
    assert (code, err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--host", "192.0.2.1"), 1, "expected to listen on 192.0.2.1:"),
        (("--seed", "x"), 2, "--seed"),
        (("--sead", "1"), 2, "did you mean --seed?"),
    ],
)
async def test_errors_are_one_line(words: tuple[str, ...], code: int, text: str) -> None:
    async with running(*COMMAND, *FREE, *words) as process:
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == code
    assert text in err.decode()
    assert err.decode().count("\n") == 1


async def test_tls_is_trusted_with_the_file_that_it_wrote(tmp_path: Path) -> None:
    tls = {"enabled": True, "folder": tmp_path}
    async with VenueServer(quiet_settings(tls=tls)) as venue:
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as session:
            for path in (f"{venue.binance_url}/api/v3/time", f"{venue.bybit_url}/v5/market/time"):
                assert path.startswith("https://")
                async with session.get(path) as reply:
                    assert reply.status == 200
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{venue.bybit_url}/v5/market/time")


async def test_front_ends_can_be_left_out() -> None:
    async with VenueServer(quiet_settings(front_ends=["bybit"])) as venue:
        assert set(venue.urls) == {"bybit", "control"}


async def test_the_flow_keeps_books_alive() -> None:
    changed = asyncio.Event()
    async with VenueServer(quiet_settings(flow={"history": 0, "interval": 10_000_000})) as venue:
        venue.exchange.subscribe(lambda _: changed.set())
        await asyncio.wait_for(changed.wait(), 5)
        depth = venue.exchange.depth("BTC/USDT", 1)
        assert depth.bids[0][0] < depth.asks[0][0]
