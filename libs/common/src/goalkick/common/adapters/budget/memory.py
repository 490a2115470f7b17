"""The budget of one process: for a process that is alone on its address, and for tests."""

import asyncio
from collections.abc import Mapping
from functools import partial

from goalkick.common.adapters.budget.desk import Desk
from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.budget.core import LEASE_NS, BudgetCore
from goalkick.common.core.budget.limits import SHARES, Priority, VenueLimits
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.core.errors import InvalidDataError, TransientError
from goalkick.common.ports.budget import NO_USE, NOTHING, BudgetTimeoutError, Grant
from goalkick.common.ports.clock import Clock


class MemoryBudget:
    """Knows nothing of other processes but what the venue's replies tell."""

    def __init__(
        self,
        clock: Clock,
        venues: Mapping[str, VenueLimits] = VENUES,
        *,
        shares: Mapping[Priority, float] = SHARES,
        lease_ns: int = LEASE_NS,
    ) -> None:
        """Starts with nothing used.

        Args:
            clock: for all limits.
            venues: the table.
            shares: see `core.budget.limits.SHARES`.
            lease_ns: how long a grant may take to be sent.
        """
        self._venues = venues
        self._clock = clock
        self._desk = Desk(BudgetCore(venues, shares=shares, lease_ns=lease_ns), clock)

    async def acquire(
        self,
        venue: str,
        call: str,
        *,
        priority: Priority,
        account: str = "",
        connection: str = "",
        count: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        """Waits until `count` calls may be sent; see the port."""
        caller = Caller(venue, "", account, connection)
        before_ns = self._clock.now_ns()
        try:
            async with asyncio.timeout(timeout_s):
                lease = await self._desk.lease(caller, call, priority, least=count, most=count)
        except TimeoutError:
            raise timed_out(venue, call, timeout_s) from None
        except TransientError as error:
            raise BudgetTimeoutError(str(error)) from None
        waited_ns = self._clock.now_ns() - before_ns
        return Grant(count, waited_ns, partial(self._settle, lease.id, count))

    def report(
        self,
        venue: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] = NOTHING,
        used: Mapping[str, int] = NO_USE,
        wait_ns: int | None = None,
        account: str = "",
    ) -> None:
        """Takes in what a reply said about limits; see the port."""
        told, told_wait_ns = limits_of(self._venues, venue).read(headers)
        caller = Caller(venue, "", account)
        self._desk.observe(caller, told | dict(used))
        self._desk.pause(caller, status, told_wait_ns if wait_ns is None else wait_ns)

    def paused_ns(self, venue: str) -> int:
        """How long all calls to a venue are still stopped; 0: they are not."""
        return self._desk.paused_ns(Caller(venue))

    def assume(self, share: float) -> None:
        """Takes all limits as used up to a share: nothing is known of the time before."""
        self._desk.core.assume(share, self._clock.now_ns())

    def look(self) -> None:
        """Grants what can be granted now, after the clock was moved by hand."""
        self._desk.look()

    async def close(self) -> None:
        """Ends all waiting."""
        await self._desk.close()

    def _settle(self, lease_id: int, count: int, made: bool) -> None:
        self._desk.settle(lease_id, 0 if made else count)


def limits_of(venues: Mapping[str, VenueLimits], venue: str) -> VenueLimits:
    """A venue's row of the table.

    Raises:
        InvalidDataError: it has none.
    """
    if venue not in venues:
        raise InvalidDataError(
            f"budget: expected a venue among {', '.join(sorted(venues))}, found {venue!r}"
        )
    return venues[venue]


def timed_out(venue: str, call: str, timeout_s: float | None) -> BudgetTimeoutError:
    """The error of a wait that took too long."""
    return BudgetTimeoutError(
        f"budget: expected leave for {call} at {venue} within {timeout_s} s, found none"
    )
