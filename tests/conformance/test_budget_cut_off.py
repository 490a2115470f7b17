"""A copy that cannot reach the limiter goes on with little, cancels first, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import Limit, VenueLimits
from goalkick.common.ports.budget import BudgetTimeoutError
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.limiter.service import KEY, limiter
from goalkick.limiter.settings import LimiterSettings

WINDOW_NS = NS_PER_SECOND
VENUES = {
    "here": VenueLimits(
        limits=(
            Limit(
                name="weight",
                amount=1000,
                window_ns=WINDOW_NS,
                scope="address",
                settle_ns=20 * NS_PER_MS,
            ),
        ),
        calls={"read": {"weight": 1}, "cancel": {"weight": 1}},
        pauses={429: NS_PER_SECOND // 2},
    )
}
CUT_OFF = "goalkick_budget_cut_off_seconds"
ALONE = "goalkick_budget_alone_total"
LABELS = {"service": "ingest"}


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """Something that takes requests and never answers."""
    ended = asyncio.Event()

    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    ended.set()
    server.close()
    await server.wait_closed()


async def test_a_limiter_that_is_silent_delays_a_cancel_by_a_second_at_most(silent: str) -> None:
    registry = CollectorRegistry()
    budget = HttpBudget(
        silent, SystemClock(), VENUES, copies=2, metrics=Metrics(registry, "ingest")
    )
    since = time.monotonic()
    grant = await budget.acquire("here", "cancel", priority="cancel", timeout_s=5)
    assert grant.alone
    assert time.monotonic() - since < 1.5
    again = await budget.acquire("here", "cancel", priority="cancel", timeout_s=5)
    assert again.waited_ns < NS_PER_SECOND // 10
    assert registry.get_sample_value(ALONE, LABELS) == 2
    assert (registry.get_sample_value(CUT_OFF, LABELS) or 0) > 0
    await budget.close()


async def test_cut_off_only_cancels_go_for_a_window_then_a_part_of_everything() -> None:
    """Ten of the 1000 are each copy's at once, 250 later: both copies together stay below."""
    budget = HttpBudget("http://127.0.0.1:9", SystemClock(), VENUES, copies=2, share=0.5)
    since_ns = time.monotonic_ns()
    for _ in range(10):
        await budget.acquire("here", "cancel", priority="cancel", timeout_s=5)
    assert time.monotonic_ns() - since_ns < WINDOW_NS // 2
    read = await budget.acquire("here", "read", priority="query", timeout_s=5)
    assert time.monotonic_ns() - since_ns >= WINDOW_NS
    assert read.alone
    reads = 0
    while time.monotonic_ns() - since_ns < 1.5 * WINDOW_NS:
        try:
            await budget.acquire("here", "read", priority="query", timeout_s=0.05)
        except BudgetTimeoutError:
            break
        reads += 1
    assert 220 <= reads <= 240
    await budget.close()


async def test_a_pause_holds_when_the_limiter_is_gone_too() -> None:
    budget = HttpBudget("http://127.0.0.1:9", SystemClock(), VENUES, copies=2)
    await budget.acquire("here", "cancel", priority="cancel", timeout_s=5)
    budget.report("here", status=429)
    told_ns = time.monotonic_ns()
    await budget.acquire("here", "cancel", priority="cancel", timeout_s=5)
    assert time.monotonic_ns() - told_ns >= NS_PER_SECOND // 2 - NS_PER_MS
    await budget.close()


async def test_back_again_the_limiter_learns_what_was_used_meanwhile(tmp_path: Path) -> None:
    state = tmp_path / "limiter.sqlite"
    store = SqliteStateStore(state)
    store.save({KEY: BudgetCore(VENUES).snapshot()})
    store.close()
    registry = CollectorRegistry()
    copies = [CollectorRegistry() for _ in range(2)]
    settings = LimiterSettings(port=0, state=state)
    async with limiter(settings, registry, venues=VENUES) as url:
        budgets = [
            HttpBudget(url, SystemClock(), VENUES, copies=2, metrics=Metrics(one, "ingest"))
            for one in copies
        ]
        with await budgets[0].acquire("here", "read", priority="query", timeout_s=5) as grant:
            assert not grant.alone
    for budget in budgets:
        alone = [
            await budget.acquire("here", "cancel", priority="cancel", timeout_s=5) for _ in range(5)
        ]
        assert all(grant.alone for grant in alone)
        assert budget.cut_off
    waiting = asyncio.create_task(
        budgets[1].acquire("here", "read", priority="query", timeout_s=10)
    )
    settings = LimiterSettings(port=int(url.rpartition(":")[2]), state=state)
    async with limiter(settings, registry := CollectorRegistry(), venues=VENUES):
        grant = await waiting
        assert not grant.alone
        assert not budgets[1].cut_off
        assert copies[1].get_sample_value(CUT_OFF, LABELS) == 0
        assert copies[1].get_sample_value(ALONE, LABELS) == 5
        for budget in budgets:
            await budget.close()


async def test_what_a_copy_used_alone_is_taken_off_when_it_is_back(tmp_path: Path) -> None:
    """Of 10 a window one copy uses 5 alone; the limiter then has 5 for all until they leave."""
    limit = Limit(name="weight", amount=10, window_ns=2 * NS_PER_SECOND, scope="address")
    venues = {"here": VenueLimits(limits=(limit,), calls={"cancel": {"weight": 1}})}
    state = tmp_path / "limiter.sqlite"
    store = SqliteStateStore(state)
    store.save({KEY: BudgetCore(venues).snapshot()})
    store.close()
    async with limiter(
        LimiterSettings(port=0, state=state), CollectorRegistry(), venues=venues
    ) as url:
        pass
    budget = HttpBudget(url, SystemClock(), venues, copies=1)
    for _ in range(5):
        with await budget.acquire("here", "cancel", priority="cancel", timeout_s=5) as grant:
            assert grant.alone
    port = int(url.rpartition(":")[2])
    async with limiter(LimiterSettings(port=port, state=state), CollectorRegistry(), venues=venues):
        grants = 0
        since = time.monotonic()
        while grants < 5 or grant.alone:
            with await budget.acquire("here", "cancel", priority="cancel", timeout_s=5) as grant:
                grants += not grant.alone
        with pytest.raises(BudgetTimeoutError):
            await budget.acquire("here", "cancel", priority="cancel", timeout_s=0.1)
        assert time.monotonic() - since < 5
        await budget.close()
