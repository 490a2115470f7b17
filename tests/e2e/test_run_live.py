"""`goalkick run` with orders on an exchange in a box: killed, and the ledger agrees."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings
from tests.conformance.conftest import KEY, SECRET, quiet_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PATIENCE_S = 90.0


def settings(server: VenueServer) -> dict[str, Any]:
    return {
        "trading": {"mode": "live", "account": "main"},
        "ingest": {
            "feed": "ccxt",
            "ccxt": {
                "instruments": ["binance:BTC/USDT"],
                "endpoints": {"binance": server.binance_url},
                "interval": "1s",
                "settle": "300ms",
                "grace": "600ms",
                "warmup": 20,
            },
        },
        "strategy": {
            "strategies": {"flip": {"strategy": "ema_cross", "params": {"fast": 2, "slow": 3}}}
        },
        "risk": {"sizing": "fixed_quantity", "quantity": 0.01},
        "execution": {
            "venue": {
                "endpoint": server.binance_url,
                "key": "env:VENUE_KEY",
                "secret": "env:VENUE_SECRET",
                "timeout": "2s",
                "recv_window": "2s",
                "engine_timeout": "0s",
            }
        },
    }


async def start(folder: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "goalkick.embedded.cli", "run"),
        *("--config", str(folder / "live.yaml"), "--data-dir", str(folder / "data"), "--json"),
        stdout=PIPE,
        env={**os.environ, "VENUE_KEY": KEY, "VENUE_SECRET": SECRET},
    )


async def lines_until(process: Process, event: str, count: int) -> list[dict[str, Any]]:
    """What is printed until so many lines of a kind have come, or the end."""
    assert process.stdout is not None
    said: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stdout:
            said.append(json.loads(line))
            if sum(one["event"] == event for one in said) >= count:
                break
    return said


async def test_a_live_run_that_is_killed_goes_on_and_agrees_with_the_ledger(tmp_path: Path) -> None:
    flow = FlowSettings(history=100 * 60_000_000_000)
    async with VenueServer(quiet_settings(flow=flow)) as server:
        (tmp_path / "live.yaml").write_text(yaml.safe_dump(settings(server)))
        first = await start(tmp_path)
        said = await lines_until(first, "filled", 3)
        assert said[0]["trading"] == "live on binance/main"
        first.send_signal(signal.SIGKILL)
        await first.wait()
        second = await start(tmp_path)
        await lines_until(second, "filled", 3)
        second.send_signal(signal.SIGINT)
        (*_, summary) = await lines_until(second, "stopped", 1)
        assert await second.wait() == 0
        ours = server.exchange.ledger().accounts["main"]
        handles = [order.client_order_id for order in ours.orders]
        # The last fill before the kill may have been printed and not saved: then it is told again.
        assert len(handles) == len(set(handles)) >= 5
        assert summary["working"] == 0
        assert Decimal(summary["cash"]) == ours.balances["USDT"].free + ours.balances["USDT"].locked
        held = Decimal(summary["positions"].get("binance:BTC/USDT", "0"))
        opening = sum((d.amount for d in ours.deposits if d.asset == "BTC"), Decimal(0))
        assert held == ours.balances["BTC"].free + ours.balances["BTC"].locked - opening
