"""What a copy may do while it cannot reach the limiter: little, cancels first.

The limiter may have granted all but its last 2 % just before, so for the length of one window
only cancels go, out of those 2 %; then everything, out of a part of the limit that all copies
together do not exceed.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.adapters.budget.wire import Spent
from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.budget.limits import SHARES, Priority, VenueLimits, scaled
from goalkick.common.ports.budget import Grant
from goalkick.common.ports.clock import Clock


class Alone:
    """One copy's own share of all limits."""

    def __init__(
        self,
        clock: Clock,
        venues: Mapping[str, VenueLimits],
        address: str,
        copies: int,
        share: float,
    ) -> None:
        """Has nothing until `begin`.

        Args:
            clock: for all limits.
            venues: the table.
            address: name of the network address that the venues see.
            copies: how many copies may be alone at the same time, at least 1.
            share: part of each limit that they may use together, above 0, up to 1.
        """
        own = {name: scaled(venue, share / copies) for name, venue in venues.items()}
        # What the limiter leaves to cancels of copies that are cut off, as a part of our share.
        self._held = 1.0 - min(1.0, (1.0 - SHARES["cancel"]) / share)
        shares: Mapping[Priority, float] = MappingProxyType(
            {
                name: 1.0 if name == "cancel" else min(one, self._held)
                for name, one in SHARES.items()
            }
        )
        self._budget = MemoryBudget(clock, own, shares=shares)
        self._address = address
        self._spent: Counter[tuple[Caller, str]] = Counter()

    def begin(self) -> None:
        """The limiter is out of reach from now on."""
        self._budget.assume(self._held)

    async def acquire(
        self,
        caller: Caller,
        call: str,
        priority: Priority,
        count: int,
    ) -> Grant:
        """Waits for calls out of the own share.

        Raises:
            InvalidDataError: the venue or call is not in the table, or the calls never fit.
        """
        grant = await self._budget.acquire(
            caller.venue,
            call,
            priority=priority,
            account=caller.account,
            connection=caller.connection,
            count=count,
        )
        self._spent[caller, call] += count
        grant.alone = True
        return grant

    def pause(self, venue: str, wait_ns: int) -> None:
        """The venue told us to stop."""
        self._budget.report(venue, status=429, wait_ns=wait_ns)

    def take_spent(self) -> tuple[Spent, ...]:
        """What was sent meanwhile; the limiter has to be told once."""
        spent, self._spent = self._spent, Counter()
        return tuple(Spent(caller, call, count) for (caller, call), count in spent.items())

    async def close(self) -> None:
        """Ends all waiting."""
        await self._budget.close()
