"""`goalkick run` on a venue's live prices, as a process: it trades on paper while they come."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings
from tests.conformance.conftest import quiet_settings

WITHIN_S = 60


class Run:
    """A run in a process of its own, and the lines that it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """The next line of a kind."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while text := await self.process.stdout.readline():
                self.lines.append(json.loads(text))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        assert self.process.stderr is not None
        raise AssertionError((await self.process.stderr.read()).decode())


async def started(data: Path, *words: str) -> Run:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GOALKICK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "goalkick.embedded.cli", "run", "--json", *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | {"GOALKICK_DATA": str(data), "GOALKICK__INGEST__CCXT__INTERVAL": "1s"},
    )  # fmt: skip
    return Run(process)


@pytest.mark.slow
async def test_trades_on_paper_through_a_broken_connection_and_sums_up(tmp_path: Path) -> None:
    flow = FlowSettings(trades_per_second=20, history=100 * NS_PER_MINUTE)
    async with VenueServer(quiet_settings(flow=flow)) as venue:
        run = await started(tmp_path, "--venue", "binance", "--endpoint", venue.binance_url)
        try:
            begun = await run.until("started")
            assert begun["market"] == "live prices of binance"
            await run.until("approved")
            await run.until("filled")
            venue.faults.arm(
                Fault(
                    name="F1", point=Point.NOW, where="socket:stream", action=Action.RESET,
                    count=None,
                )
            )  # fmt: skip
            await run.until("approved")
            run.process.send_signal(signal.SIGINT)
            stopped = await run.until("stopped")
            assert stopped["reason"] == "interrupted"
            assert stopped["bars"] > 3
            assert await run.process.wait() == 0
        finally:
            if run.process.returncode is None:
                run.process.kill()
            await run.process.communicate()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--endpoint", "http://127.0.0.1:9"), "expected --venue with --endpoint"),
        (("--venue", "binance", "--bars", "x.csv"), "expected --venue or --bars"),
        (("--venue", "nowhere", "--endpoint", "http://127.0.0.1:9"), "transport"),
    ],
)
async def test_refuses_what_makes_no_sense(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    run = await started(tmp_path, *words)
    _, error = await asyncio.wait_for(run.process.communicate(), WITHIN_S)
    assert run.process.returncode != 0
    assert reason in error.decode()
