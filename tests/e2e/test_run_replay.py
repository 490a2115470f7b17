"""`goalkick run --replay`: what was recorded of a venue is traded again, decision by decision."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.events.market import BarClosed, TradePrinted
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.ingest.feeds.recorded_stream import RecordedStream
from goalkick.ingest.feeds.recording import open_recording
from goalkick.ingest.settings import CcxtSettings
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings
from tests.conformance.conftest import quiet_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PATIENCE_S = 90.0
EACH_SECOND = {"GOALKICK__INGEST__CCXT__INTERVAL": "1s"}
OF_TRADES = {
    "GOALKICK__INGEST__CCXT__BARS_FROM": "trades",
    "GOALKICK__INGEST__CCXT__STREAMS": '["trades"]',
    "GOALKICK__INGEST__CCXT__SETTLE": "300ms",
}


BREAK = Fault(
    name="F1", point=Point.NOW, where="socket:stream", action=Action.RESET, count=None
)  # fmt: skip


async def start(folder: Path, settings: dict[str, str], *words: str) -> Process:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GOALKICK_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "goalkick.embedded.cli", "run", "--json", *words),
        stdout=PIPE,
        stderr=PIPE,
        env=kept | {"GOALKICK_DATA": str(folder)} | settings,
    )


async def recorded(
    folder: Path, settings: dict[str, str], *, broken: bool = False
) -> list[dict[str, Any]]:
    """Records a live run, through a broken connection if asked for; the lines that it printed."""
    flow = FlowSettings(trades_per_second=20, history=100 * NS_PER_MINUTE)
    async with VenueServer(quiet_settings(flow=flow)) as venue:
        words = ("--venue", "binance", "--endpoint", venue.binance_url)
        process = await start(folder / "live", settings, *words, "--record", str(folder / "raw"))
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        begun, filled = datetime.now(UTC), 0
        async with asyncio.timeout(PATIENCE_S):
            async for text in process.stdout:
                lines.append(json.loads(text))
                if lines[-1]["event"] != "filled" or when(lines[-1]) < begun:
                    continue
                filled += 1
                if broken and filled == 1:
                    venue.faults.arm(BREAK)
                if filled == 5:
                    process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    return lines


def when(line: dict[str, Any]) -> datetime:
    """The time of a decision: in a warm-up it lies before the run."""
    return datetime.fromisoformat(line["time"])


async def replayed(folder: Path, name: str, settings: dict[str, str]) -> list[dict[str, Any]]:
    files = [str(path) for path in sorted((folder / "raw").iterdir())]
    process = await start(folder / name, settings, "--replay", *files)
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


def decisions(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] not in ("started", "stopped")]


@pytest.mark.parametrize("broken", [False, True], ids=["undisturbed", "with a broken connection"])
async def test_a_recording_is_decided_upon_as_it_was_live(tmp_path: Path, broken: bool) -> None:
    lines = await recorded(tmp_path, EACH_SECOND, broken=broken)
    first = await replayed(tmp_path, "first", EACH_SECOND)
    second = await replayed(tmp_path, "second", EACH_SECOND)
    assert decisions(first) == decisions(second)
    was = decisions(lines)
    assert len(was) >= 10
    # What was recorded and not handled any more when the run was stopped comes besides.
    assert decisions(first)[: len(was)] == was
    assert 0 <= first[-1]["bars"] - lines[-1]["bars"] < 5
    assert first[-1]["reason"] == "market over"


async def test_a_recording_of_trades_brings_the_same_bars(tmp_path: Path) -> None:
    settings = EACH_SECOND | OF_TRADES
    was = decisions(await recorded(tmp_path, settings))
    again = decisions(await replayed(tmp_path, "again", settings))
    # A last bar may have been told because our clock said so, with no frame after it.
    assert len(again) >= len(was) - 4
    assert again[: len(was)] == was[: len(again)]
    files = [open_recording(path) for path in sorted((tmp_path / "raw").iterdir())]
    ccxt = CcxtSettings(
        interval="1s", bars_from="trades", streams=("trades",), settle="300ms"
    )  # fmt: skip
    feed = RecordedStream({"binance": files}, ccxt)
    said = [event for one in feed.said() for event in one]
    trades = [int(event.trade_id) for event in said if isinstance(event, TradePrinted)]
    assert trades == list(range(trades[0], trades[-1] + 1))
    assert len(trades) > 20
    bars = [event for event in said if isinstance(event, BarClosed)]
    assert [
        event for step in feed.steps() for event in step if isinstance(event, BarClosed)
    ] == bars


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--replay", "x", "--bars", "y"), "expected --replay or --bars, found both"),
        (("--replay", "x", "--record", "y"), "expected no --endpoint and no --record"),
        (("--record", "y"), "expected --venue with"),
        (("--replay", "none.frames.gz"), "found no such file"),
        (("--replay", __file__), "--venue"),
        (("--replay", __file__, "--venue", "binance"), "line 1"),
    ],
)
async def test_refuses_what_makes_no_sense_in_one_line(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    process = await start(tmp_path, {}, *words)
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode != 0
    (line,) = error.decode().splitlines()
    assert reason in line
