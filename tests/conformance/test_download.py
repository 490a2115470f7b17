"""`goalkick download` fills a folder from the exchange in a box, through unmodified ccxt."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from goalkick.common.values.time import NS_PER_MINUTE, format_time
from goalkick.ingest.candles import read_candles
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.engine.model import Kind, NewOrder, Side
from goalkick.venue.faults import Action, Fault, Params, Point
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings
from tests.conformance.conftest import quiet_settings

MINUTES = 3 * 24 * 60


@pytest.fixture
async def history() -> AsyncIterator[VenueServer]:
    """A venue with three days of one-minute candles."""
    flow = FlowSettings(enabled=False, interval=10_000_000, history=MINUTES * NS_PER_MINUTE)
    settings = quiet_settings(flow=flow, binance=BinanceSettings(weight_limit=60_000))
    async with VenueServer(settings) as server:
        yield server


def words(venue: VenueServer, out: Path, kind: str = "candles") -> list[str]:
    now_ns = venue.clock.now_ns()
    from_ns = now_ns - (MINUTES + 60) * NS_PER_MINUTE
    return [
        sys.executable, "-m", "goalkick.embedded.cli", "download", "--venue", "binance",
        "--instrument", "BTC/USDT", "ETH/USDT", "--kind", kind, "--from", format_time(from_ns),
        "--to", format_time(now_ns // NS_PER_MINUTE * NS_PER_MINUTE), "--out", str(out),
        "--endpoint", venue.binance_url, "--json",
    ]  # fmt: skip


async def run(command: list[str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    document: dict[str, Any] = json.loads(out)
    return document


async def test_fills_a_folder_that_is_read_as_one_table(
    history: VenueServer, tmp_path: Path
) -> None:
    document = await run(words(history, tmp_path))
    assert [one["missing"] for one in document["series"]] == [0, 0]
    assert document["waits"] == 0
    frame = pd.read_parquet(tmp_path / "candles")
    assert len(frame) == sum(one["rows"] for one in document["series"])
    for one in document["series"]:
        table = read_candles(Path(one["folder"]))
        engine = history.exchange.candles(one["instrument"].split(":")[1], NS_PER_MINUTE)
        known = {candle.open_ns: candle for candle in engine}
        bars = list(table.bars())
        assert len(bars) >= MINUTES - 2
        for bar in bars:
            candle = known[bar.open_time_ns]
            ours = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            assert ours == (candle.open, candle.high, candle.low, candle.close, candle.volume)


@pytest.mark.slow
async def test_a_killed_download_goes_on_to_the_same_bytes(
    history: VenueServer, tmp_path: Path
) -> None:
    command = words(history, tmp_path / "broken")
    whole = [*command]
    whole[whole.index(str(tmp_path / "broken"))] = str(tmp_path / "whole")
    await run(whole)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        # That the first instrument is done is told on the disk, and by no event of ours.
        while not list((tmp_path / "broken").rglob("_manifest.json")):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    if process.returncode is None:
        os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await run(command)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


@pytest.mark.slow
async def test_lost_and_sick_answers_leave_no_gap(history: VenueServer, tmp_path: Path) -> None:
    faults: list[tuple[Action, Params]] = [
        (Action.RESET, {}),
        (Action.ANSWER, {"status": 503, "body": ""}),
        (Action.ANSWER, {"status": 200, "body": "<html>"}),
    ]
    for action, params in faults:
        history.faults.arm(
            Fault(
                name="F12",
                point=Point.REQUEST,
                where="rest:GET /api/v3/klines",
                action=action,
                count=1,
                params=params,
            )
        )
    document = await run(words(history, tmp_path))
    assert [one["missing"] for one in document["series"]] == [0, 0]


async def test_every_trade_is_there_by_its_id(history: VenueServer, tmp_path: Path) -> None:
    for number in range(30):
        side = Side.BUY if number % 2 else Side.SELL
        order = NewOrder(
            instrument="BTC/USDT", side=side, kind=Kind.MARKET, quantity=Decimal("0.01")
        )
        history.exchange.place("main", order)
    command = words(history, tmp_path, "trades")
    command.remove("ETH/USDT")
    command[command.index("--to") + 1] = "2100-01-01"
    (series,) = (await run(command))["series"]
    known = history.exchange.aggregate_trades("BTC/USDT")
    assert len(known) >= 30
    assert (series["rows"], series["missing"]) == (len(known), 0)
    frame = pd.read_parquet(tmp_path / "trades").sort_values("id")
    assert frame["id"].tolist() == [one.aggregate_id for one in known]
    assert frame["price"].tolist() == [one.price for one in known]
    assert frame["quantity"].tolist() == [one.quantity for one in known]


async def test_single_trades_are_asked_for_by_id_with_a_key(
    history: VenueServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_some(history)
    command = [*words(history, tmp_path, "trades"), "--grain", "single", "--key", "env:SOME_KEY"]
    command.remove("ETH/USDT")
    command[command.index("--to") + 1] = "2100-01-01"
    monkeypatch.setenv("SOME_KEY", "of nobody")
    (series,) = (await run(command))["series"]
    known = history.exchange.trades("BTC/USDT")
    assert (series["rows"], series["missing"]) == (len(known), 0)
    assert "grain=single" in series["folder"]
    frame = pd.read_parquet(tmp_path / "trades").sort_values("id")
    assert frame["id"].tolist() == [one.trade_id for one in known]
    assert frame["quantity"].tolist() == [one.quantity for one in known]
    sides = ["sell" if one.buyer_is_maker else "buy" for one in known]
    assert frame["taker_side"].tolist() == sides


def place_some(history: VenueServer) -> None:
    for number in range(30):
        side = Side.BUY if number % 2 else Side.SELL
        order = NewOrder(
            instrument="BTC/USDT", side=side, kind=Kind.MARKET, quantity=Decimal("0.3")
        )
        history.exchange.place("main", order)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
