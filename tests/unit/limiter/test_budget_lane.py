"""A lane: one kind of call of one copy, served from leases that hold a little more than waits."""

import asyncio
from time import monotonic_ns

import pytest

from goalkick.common.adapters.budget.lane import Lane
from goalkick.common.adapters.budget.link import UnreachableError
from goalkick.common.adapters.budget.wire import LeaseReply, Settlement
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.ports.budget import BudgetTimeoutError
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


class Office:
    """Grants what is asked for, up to a number, and writes down what it hears."""

    def __init__(self, *, up_to: int = 1000, lasts_ns: int = 10 * NS_PER_SECOND) -> None:
        self.up_to = up_to
        self.lasts_ns = lasts_ns
        self.paused_ns = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[int, int]] = []
        self.settled: list[Settlement] = []
        self.heard = asyncio.Event()
        self.lane = Lane(self.ask, self.settle)

    async def ask(self, least: int, most: int, waited_ns: int) -> LeaseReply:
        assert waited_ns >= 0
        self.asked.append((least, most))
        await self.gate.wait()
        if self.error is not None and least > 1:
            raise self.error
        if isinstance(self.error, UnreachableError):
            raise self.error
        paused_ns, self.paused_ns = self.paused_ns, 0
        return LeaseReply(
            lease=len(self.asked),
            count=max(least, min(most, self.up_to)),
            lasts_ns=self.lasts_ns,
            paused_ns=paused_ns,
        )

    def settle(self, settlement: Settlement) -> None:
        self.settled.append(settlement)
        self.heard.set()


async def test_a_lease_that_was_used_up_makes_the_next_twice_as_large() -> None:
    office = Office()
    for _ in range(1 + 2 + 4 + 8 + 1):
        (await office.lane.take(1, monotonic_ns())).done()
    assert office.asked == [(1, 1), (1, 2), (1, 4), (1, 8), (1, 16)]
    assert office.settled == [Settlement(lease, 0, whole=True) for lease in (1, 2, 3, 4)]
    await office.lane.close(BudgetTimeoutError("closed"))


async def test_what_is_left_at_the_end_of_a_lease_goes_back_and_the_rest_when_it_is_done() -> None:
    office = Office(lasts_ns=30 * NS_PER_MS)
    for _ in range(3):
        (await office.lane.take(1, monotonic_ns())).done()
    grant = await office.lane.take(1, monotonic_ns())  # one of a lease of four
    office.heard.clear()
    async with asyncio.timeout(5):
        await office.heard.wait()
    assert office.settled[-1] == Settlement(3, 3, whole=False)
    grant.done()
    assert office.settled[-1] == Settlement(3, 0, whole=True)
    office.heard.clear()
    await office.lane.take(1, monotonic_ns())
    assert office.asked[-1] == (1, 2)
    await office.lane.close(BudgetTimeoutError("closed"))


async def test_calls_that_were_not_made_go_back_with_the_lease() -> None:
    office = Office()
    first, second = await asyncio.gather(
        office.lane.take(2, monotonic_ns()), office.lane.take(3, monotonic_ns())
    )
    assert office.asked == [(2, 5)]
    first.give_back()
    first.done()
    second.done()
    assert office.settled == [Settlement(1, 2, whole=True)]
    await office.lane.close(BudgetTimeoutError("closed"))


async def test_who_does_not_fit_is_refused_and_those_behind_are_served() -> None:
    office = Office()
    office.error = InvalidDataError("too many")
    large, small = await asyncio.gather(
        office.lane.take(5, monotonic_ns()),
        office.lane.take(1, monotonic_ns()),
        return_exceptions=True,
    )
    assert isinstance(large, InvalidDataError)
    assert not isinstance(small, BaseException)
    await office.lane.close(BudgetTimeoutError("closed"))


async def test_without_the_limiter_all_who_wait_are_told() -> None:
    office = Office()
    office.error = UnreachableError("gone")
    found = await asyncio.gather(
        *(office.lane.take(1, monotonic_ns()) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(one, UnreachableError) for one in found)
    assert len(office.asked) == 1


async def test_a_lease_that_meets_a_pause_is_given_back_whole() -> None:
    office = Office()
    office.paused_ns = NS_PER_SECOND
    grant = await office.lane.take(1, monotonic_ns())
    assert office.asked == [(1, 1), (1, 1)]
    assert office.settled == [Settlement(1, 1, whole=True)]
    grant.done()
    await office.lane.close(BudgetTimeoutError("closed"))


async def test_what_was_asked_for_who_stopped_waiting_goes_back() -> None:
    office = Office()
    office.gate.clear()
    waiting = [asyncio.create_task(office.lane.take(1, monotonic_ns())) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    office.gate.set()
    (await waiting[1]).done()
    await office.lane.close(BudgetTimeoutError("closed"))
    assert office.asked == [(1, 2)]
    assert office.settled == [Settlement(1, 1, whole=True)]


async def test_a_closed_lane_refuses_those_who_wait() -> None:
    office = Office()
    office.gate.clear()
    waiting = asyncio.create_task(office.lane.take(1, monotonic_ns()))
    await asyncio.sleep(0)
    await office.lane.close(BudgetTimeoutError("closed"))
    with pytest.raises(BudgetTimeoutError):
        await waiting
