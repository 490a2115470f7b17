"""What every budget promises."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from goalkick.common.core.budget.limits import Limit, Priority, VenueLimits
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.ports.budget import Budget, BudgetTimeoutError, Grant
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

WINDOW_NS = 250 * NS_PER_MS
PAUSE_NS = 300 * NS_PER_MS
VENUES = {
    "here": VenueLimits(
        limits=(
            Limit(
                name="weight",
                amount=100,
                window_ns=WINDOW_NS,
                scope="address",
                settle_ns=20 * NS_PER_MS,
            ),
            Limit(
                name="orders",
                amount=10,
                window_ns=WINDOW_NS,
                scope="account",
                settle_ns=20 * NS_PER_MS,
            ),
        ),
        calls={
            "read": {"weight": 1},
            "large": {"weight": 60},
            "cancel": {"weight": 1},
            "order": {"weight": 1, "orders": 1},
        },
        headers={"x-used-weight": "weight"},
        pauses={429: PAUSE_NS, 418: 2 * PAUSE_NS},
    )
}
"""A venue whose windows are short enough to be waited for."""

FOR_QUERIES, FOR_CANCELS = 96, 98
"""How much of the weight each priority may use."""

WITHIN_S = 5.0
"""Nothing in these tests takes longer, on a busy machine either."""

Result = TypeVar("Result")


async def _soon(waited: Awaitable[Result]) -> Result:
    async with asyncio.timeout(WITHIN_S):
        return await waited


async def _use_up(budget: Budget, priority: Priority, calls: int) -> Grant:
    return await _soon(budget.acquire("here", "read", priority=priority, count=calls))


class BudgetContract:
    """A subclass has a fixture `budget: Budget` over `VENUES`, of which nothing is used."""

    async def test_no_window_takes_more_than_the_limit(self, budget: Budget) -> None:
        sent: list[int] = []

        async def hammer() -> None:
            for _ in range(15):
                with await budget.acquire("here", "read", priority="cancel"):
                    sent.append(time.monotonic_ns())

        await _soon(asyncio.gather(*(hammer() for _ in range(20))))
        assert len(sent) == 300
        for first, beyond in zip(sent, sent[100:], strict=False):
            assert beyond - first >= WINDOW_NS

    async def test_the_last_part_is_kept_for_cancels(self, budget: Budget) -> None:
        await _use_up(budget, "query", FOR_QUERIES)
        with pytest.raises(BudgetTimeoutError, match="read at here"):
            await budget.acquire("here", "read", priority="query", timeout_s=0.05)
        grant = await _soon(budget.acquire("here", "cancel", priority="cancel"))
        assert grant.waited_ns < WINDOW_NS // 2

    async def test_who_waits_is_served_by_priority_then_by_age(self, budget: Budget) -> None:
        await _use_up(budget, "cancel", FOR_CANCELS)
        served: list[str] = []

        async def wait(priority: Priority, name: str) -> None:
            with await budget.acquire("here", "large", priority=priority):
                served.append(name)

        waits = []
        for priority, name in (
            ("query", "query"),
            ("open", "open 1"),
            ("open", "open 2"),
            ("cancel", "cancel"),
            ("reduce", "reduce"),
        ):
            waits.append(asyncio.create_task(wait(priority, name)))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        await _soon(asyncio.gather(*waits))
        assert served == ["cancel", "reduce", "open 1", "open 2", "query"]

    async def test_what_is_given_back_is_free_at_once(self, budget: Budget) -> None:
        first = await _soon(budget.acquire("here", "large", priority="open"))
        waiting = asyncio.create_task(budget.acquire("here", "large", priority="open"))
        await asyncio.sleep(0)
        first.give_back()
        grant = await _soon(waiting)
        assert grant.waited_ns < WINDOW_NS // 2

    async def test_accounts_have_limits_of_their_own(self, budget: Budget) -> None:
        for account in ("one", "two"):
            grant = await _soon(
                budget.acquire("here", "order", priority="open", account=account, count=10)
            )
            assert grant.count == 10
        with pytest.raises(BudgetTimeoutError):
            await budget.acquire("here", "order", priority="open", account="one", timeout_s=0.05)

    async def test_a_wait_that_ends_early_uses_nothing(self, budget: Budget) -> None:
        await _use_up(budget, "query", FOR_QUERIES)
        for _ in range(5):
            with pytest.raises(BudgetTimeoutError):
                await budget.acquire("here", "large", priority="query", timeout_s=0.01)
        await _use_up(budget, "cancel", FOR_CANCELS - FOR_QUERIES)

    @pytest.mark.parametrize(
        ("venue", "call", "count", "said"),
        [
            ("there", "read", 1, "found 'there'"),
            ("here", "sing", 1, "found 'sing'"),
            ("here", "read", 97, "at most 96 calls of read"),
            ("here", "large", 2, "at most 1 calls of large"),
        ],
    )
    async def test_what_can_never_be_granted_is_refused(
        self, budget: Budget, venue: str, call: str, count: int, said: str
    ) -> None:
        with pytest.raises(InvalidDataError, match=said):
            await _soon(budget.acquire(venue, call, priority="query", count=count))
        await _use_up(budget, "query", 1)

    @pytest.mark.parametrize("status", [429, 418])
    async def test_after_too_many_nothing_goes_until_the_pause_is_over(
        self, budget: Budget, status: int
    ) -> None:
        grant = await _use_up(budget, "open", 1)
        told_ns = time.monotonic_ns()
        budget.report("here", status=status)
        grant.done()
        length_ns = PAUSE_NS if status == 429 else 2 * PAUSE_NS
        assert 0 < budget.paused_ns("here") <= length_ns
        await _soon(budget.acquire("here", "cancel", priority="cancel"))
        assert time.monotonic_ns() - told_ns >= length_ns - NS_PER_MS
        assert budget.paused_ns("here") == 0

    async def test_retry_after_is_believed(self, budget: Budget) -> None:
        told_ns = time.monotonic_ns()
        budget.report("here", status=429, headers={"Retry-After": "1"})
        await _soon(budget.acquire("here", "cancel", priority="cancel"))
        assert time.monotonic_ns() - told_ns >= NS_PER_SECOND - NS_PER_MS

    async def test_what_others_use_is_taken_off(self, budget: Budget) -> None:
        grant = await _use_up(budget, "open", 1)
        grant.done()
        budget.report("here", headers={"X-Used-Weight": "90", "Content-Type": "text/plain"})
        budget.report("here", used={"weight": FOR_QUERIES})
        budget.report("here", headers={"X-Used-Weight": "nonsense"})
        await _soon(self.until_told(budget))
        with pytest.raises(BudgetTimeoutError):
            await budget.acquire("here", "read", priority="query", timeout_s=0.05)
        await _use_up(budget, "cancel", 1)

    async def until_told(self, budget: Budget) -> None:
        """Returns when reports have arrived; a budget that takes them in at once has no wait."""

    async def test_a_call_that_nobody_says_is_done_leaves_the_window_by_itself(
        self, budget: Budget
    ) -> None:
        await _soon(budget.acquire("here", "large", priority="open"))
        grant = await _soon(budget.acquire("here", "large", priority="open"))
        assert WINDOW_NS <= grant.waited_ns < 4 * WINDOW_NS

    async def test_closing_ends_all_waiting(self, budget: Budget) -> None:
        await _use_up(budget, "cancel", FOR_CANCELS)
        waiting = asyncio.create_task(budget.acquire("here", "large", priority="open"))
        await asyncio.sleep(0)
        await budget.close()
        with pytest.raises(BudgetTimeoutError):
            await _soon(waiting)
        with pytest.raises(BudgetTimeoutError):
            await _soon(budget.acquire("here", "read", priority="open"))
