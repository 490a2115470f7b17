"""The limiter as a service: what it answers, what it remembers, how it starts and stops."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.core.errors import GoalkickError
from goalkick.common.ports.budget import BudgetTimeoutError
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.limiter.service import KEY, limiter
from goalkick.limiter.settings import LimiterSettings

START_NS = 1_700_000_000 * NS_PER_SECOND


async def post(url: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.post(url + path, data=body) as reply:
        return reply.status, await reply.json()


async def usage(url: str) -> dict[str, dict[str, int]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/usage") as reply:
        found: dict[str, dict[str, int]] = await reply.json()
        return found


def settings(state: Path | None = None) -> LimiterSettings:
    return LimiterSettings(port=0, state=state)


async def lease(url: str, call: str = "order", count: int = 1) -> dict[str, Any]:
    """What one ask is answered, without waiting."""
    body = {
        "caller": {"venue": "binance", "account": "main"},
        "call": call,
        "priority": "open",
        "least": count,
        "most": count,
        "waited_ns": 0,
        "hold_ns": 50_000_000,
    }
    status, reply = await post(url, "/v1/leases", json.dumps(body).encode())
    assert status == 200
    return reply


async def test_a_restart_does_not_double_the_budget(tmp_path: Path) -> None:
    """96 of the 97 orders that 10 s allow are granted; a restart a second later leaves one."""
    state = tmp_path / "limiter.sqlite"
    clock = ManualClock(START_NS)
    async with limiter(settings(state), CollectorRegistry(), clock=clock) as url:
        clock.advance(NS_PER_MINUTE * 2)
        assert (await lease(url, count=96))["count"] == 96
    clock.advance(NS_PER_SECOND)
    async with limiter(settings(state), CollectorRegistry(), clock=clock) as url:
        assert (await usage(url))["binance/orders_10s/main"] == {"used": 96, "of": 100}
        assert (await lease(url, count=2))["count"] == 0
        assert (await lease(url, count=1))["count"] == 1
        clock.advance(12 * NS_PER_SECOND)
        assert (await lease(url, count=90))["count"] == 90


async def test_a_crash_forgets_no_lease_that_was_handed_out(tmp_path: Path) -> None:
    """What the file holds while the first limiter still runs is what its successor knows."""
    state, copy = tmp_path / "limiter.sqlite", tmp_path / "copy.sqlite"
    clock = ManualClock(START_NS)
    async with limiter(settings(state), CollectorRegistry(), clock=clock) as url:
        clock.advance(NS_PER_MINUTE * 2)
        assert (await lease(url, count=97))["count"] == 97
        copy.write_bytes(state.read_bytes())
        log = state.with_name(state.name + "-wal")
        copy.with_name(copy.name + "-wal").write_bytes(log.read_bytes())
    async with limiter(settings(copy), CollectorRegistry(), clock=clock) as url:
        assert (await lease(url))["count"] == 0


@pytest.mark.parametrize("broken", [False, True])
async def test_without_a_memory_it_takes_the_last_window_for_used_up(
    tmp_path: Path, broken: bool
) -> None:
    clock = ManualClock(START_NS)
    state = None
    if broken:
        state = tmp_path / "limiter.sqlite"
        store = SqliteStateStore(state)
        store.save({KEY: b"of another version"})
        store.close()
    async with limiter(settings(state), CollectorRegistry(), clock=clock) as url:
        assert (await lease(url))["count"] == 0
        clock.advance(59 * NS_PER_SECOND)
        assert (await lease(url))["count"] == 0
        clock.advance(2 * NS_PER_SECOND)
        assert (await lease(url))["count"] == 1


async def test_two_limiters_never_share_a_memory(tmp_path: Path) -> None:
    state = tmp_path / "limiter.sqlite"
    async with limiter(settings(state), CollectorRegistry()):
        with pytest.raises(GoalkickError, match="another process"):
            async with limiter(settings(state), CollectorRegistry()):
                pass


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/leases", b"{", "truncated"),
        ("/v1/leases", b"{}", "caller"),
        ("/v1/news", b'{"address": 1}', "address"),
        ("/v1/news", b'{"address":"","reports":[{"caller":{"venue":"nowhere"}}]}', "'nowhere'"),
    ],
)
async def test_what_it_does_not_understand_is_refused_with_a_reason(
    path: str, body: bytes, said: str
) -> None:
    async with limiter(settings(), CollectorRegistry()) as url:
        status, reply = await post(url, path, body)
        assert status == 400
        assert said in reply["error"]


async def test_it_counts_what_it_allows_and_what_venues_say(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    clock = ManualClock(START_NS)
    async with limiter(settings(tmp_path / "s"), registry, clock=clock) as url:
        clock.advance(NS_PER_MINUTE * 2)
        budget = HttpBudget(url, SystemClock())
        with await budget.acquire("binance", "klines", priority="query", timeout_s=5):
            pass
        budget.report("binance", headers={"X-MBX-USED-WEIGHT-1M": "100"})
        await budget.flush()
        budget.report("binance", status=418, headers={"Retry-After": "60"})
        await budget.flush()
        with pytest.raises(BudgetTimeoutError):
            await budget.acquire("binance", "cancel", priority="cancel", timeout_s=0.1)
        await budget.close()
    labels = {"service": "limiter", "venue": "binance"}
    for name, more, value in (
        ("goalkick_budget_calls_total", {"priority": "query"}, 1),
        ("goalkick_budget_wait_seconds_count", {"priority": "query"}, 1),
        ("goalkick_budget_foreign_total", {}, 98),
        ("goalkick_budget_pauses_total", {"status": "418"}, 1),
    ):
        assert registry.get_sample_value(name, labels | more) == value, name


async def test_a_copy_that_is_gone_is_granted_nothing(tmp_path: Path) -> None:
    clock = ManualClock(START_NS)
    async with limiter(settings(tmp_path / "s"), CollectorRegistry(), clock=clock) as url:
        budget = HttpBudget(url, SystemClock())
        asking = asyncio.create_task(
            budget.acquire("binance", "cancel", priority="cancel", timeout_s=0.2)
        )
        await asyncio.gather(asking, return_exceptions=True)
        await budget.close()
        clock.advance(NS_PER_MINUTE * 2)
        assert (await lease(url, "cancel"))["count"] == 1
        assert (await usage(url))["binance/weight/"]["used"] == 1


@pytest.mark.slow
async def test_the_program_starts_serves_and_stops(tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    state = tmp_path / "limiter.sqlite"
    file.write_text(
        f"limiter: {{port: 0, state: {state}}}\nrisk: {{max_positions: 3}}\n"
        "runtime: {log_form: json}\n"
    )
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "goalkick.limiter",
        "--config",
        str(file),
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stderr is not None
    try:
        async with asyncio.timeout(30):
            lines = [json.loads(await program.stderr.readline()) for _ in range(2)]
            assert "nothing is known" in lines[0]["event"]
            assert lines[1]["event"] == "started"
            assert await usage(lines[1]["url"]) == {}
            async with aiohttp.ClientSession() as session:
                for page in ("healthz", "readyz", "metrics", "info"):
                    async with session.get(f"{lines[1]['pages']}/{page}") as reply:
                        assert reply.status == 200
                        text = await reply.text()
            assert str(state) in text
            program.send_signal(signal.SIGTERM)
            assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert state.is_file()
