"""The desk: no lease leaves it before it is safe, and none is lost with who asked for it."""

import asyncio

import pytest

from goalkick.common.adapters.budget.desk import Desk
from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import Limit, VenueLimits
from goalkick.common.core.errors import TransientError
from goalkick.common.values.time import NS_PER_SECOND

START_NS = 1_700_000_000 * NS_PER_SECOND
LIMIT = Limit(name="weight", amount=10, window_ns=10 * NS_PER_SECOND, scope="address")
VENUES = {"here": VenueLimits(limits=(LIMIT,), calls={"read": {"weight": 1}})}
HERE = Caller("here")
KEY = ("here", "weight", "")


class Safe:
    """Saves when it is told to, or fails."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.fails = False
        self.saved: list[bytes] = []

    async def commit(self, snapshot: bytes) -> None:
        self.asked.set()
        await self.go.wait()
        if self.fails:
            raise TransientError("disk full")
        self.saved.append(snapshot)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_NS)


def used_in(snapshot: bytes) -> int:
    core = BudgetCore(VENUES)
    core.restore(snapshot, START_NS)
    return core.usage(START_NS).get(KEY, (0, 10))[0]


async def test_a_lease_is_handed_out_when_it_is_safe_and_not_before(clock: ManualClock) -> None:
    safe = Safe()
    desk = Desk(BudgetCore(VENUES), clock, safe.commit)
    asking = asyncio.create_task(desk.lease(HERE, "read", "query"))
    await safe.asked.wait()
    also = [asyncio.create_task(desk.lease(HERE, "read", "query")) for _ in range(2)]
    await asyncio.sleep(0)
    assert not asking.done()
    safe.go.set()
    await asyncio.gather(asking, *also)
    assert [used_in(snapshot) for snapshot in safe.saved] == [1, 3]
    await desk.close()


async def test_what_cannot_be_made_safe_is_not_handed_out(clock: ManualClock) -> None:
    safe = Safe()
    safe.fails = True
    safe.go.set()
    desk = Desk(BudgetCore(VENUES), clock, safe.commit)
    with pytest.raises(TransientError, match="disk full"):
        await desk.lease(HERE, "read", "query")
    assert used_in(desk.core.snapshot()) == 0
    safe.fails = False
    assert (await desk.lease(HERE, "read", "query")).count == 1
    await desk.close()


async def test_who_leaves_while_it_is_made_safe_uses_nothing(clock: ManualClock) -> None:
    safe = Safe()
    desk = Desk(BudgetCore(VENUES), clock, safe.commit)
    asking = asyncio.create_task(desk.lease(HERE, "read", "query"))
    await safe.asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    safe.go.set()
    await desk.close()
    assert [used_in(snapshot) for snapshot in safe.saved] == [1, 0]


async def test_who_leaves_just_as_a_lease_comes_uses_nothing(clock: ManualClock) -> None:
    desk = Desk(BudgetCore(VENUES), clock)
    asking = asyncio.create_task(desk.lease(HERE, "read", "query"))
    await asyncio.sleep(0)
    desk.look()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert used_in(desk.core.snapshot()) == 0
    await desk.close()


async def test_a_pause_is_made_safe_too(clock: ManualClock) -> None:
    safe = Safe()
    safe.go.set()
    desk = Desk(BudgetCore(VENUES), clock, safe.commit)
    desk.pause(HERE, 429, 30 * NS_PER_SECOND)
    await safe.asked.wait()
    successor = BudgetCore(VENUES)
    await desk.close()
    successor.restore(safe.saved[-1], START_NS)
    assert successor.paused_until_ns(HERE) == START_NS + 30 * NS_PER_SECOND


async def test_a_closed_desk_gives_nothing_and_keeps_nobody(clock: ManualClock) -> None:
    desk = Desk(BudgetCore(VENUES), clock)
    desk.pause(HERE, 429, NS_PER_SECOND)
    waiting = asyncio.create_task(desk.lease(HERE, "read", "query"))
    await asyncio.sleep(0)
    await desk.close()
    for asked in (waiting, desk.lease(HERE, "read", "query")):
        with pytest.raises(TransientError, match="closed"):
            await asked


async def test_a_budget_in_memory_follows_a_clock_that_is_moved_by_hand(
    clock: ManualClock,
) -> None:
    budget = MemoryBudget(clock, VENUES)
    await budget.acquire("here", "read", priority="query", count=10)
    waiting = asyncio.create_task(budget.acquire("here", "read", priority="query"))
    await asyncio.sleep(0)
    clock.advance(9 * NS_PER_SECOND)
    budget.look()
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(3 * NS_PER_SECOND)
    budget.look()
    assert (await waiting).waited_ns == 12 * NS_PER_SECOND
    await budget.close()
