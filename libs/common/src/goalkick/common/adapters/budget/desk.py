"""The budget's core with a clock: whoever wants calls awaits a lease.

With `commit`, no lease leaves the desk before a snapshot that holds it is safe: whoever takes over
from the snapshot can only think that more is used than is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count

from goalkick.common.core.budget.asks import Ask, Caller, Lease
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import Priority
from goalkick.common.core.errors import GoalkickError, TransientError
from goalkick.common.ports.clock import Clock
from goalkick.common.values.time import NS_PER_SECOND

Commit = Callable[[bytes], Awaitable[None]]
"""Makes a snapshot safe; raises a GoalkickError if it cannot."""


class Desk:
    """Hands out leases, in one event loop."""

    def __init__(self, core: BudgetCore, clock: Clock, commit: Commit | None = None) -> None:
        """Opens.

        Args:
            core: whose leases these are; nobody else may use it.
            clock: says the time to it.
            commit: makes its snapshots safe; None: they are not kept.
        """
        self.core = core
        self._clock = clock
        self._commit = commit
        self._ids = count(1)
        self._futures: dict[int, asyncio.Future[Lease]] = {}
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._granted: list[Lease] = []
        self._saving: asyncio.Task[None] | None = None
        self._dirty = False
        self._closed = False

    async def lease(
        self,
        caller: Caller,
        call: str,
        priority: Priority,
        *,
        least: int = 1,
        most: int = 1,
        waited_ns: int = 0,
    ) -> Lease:
        """Waits for a lease; to be cancelled by whoever does not want to wait any longer.

        Args:
            caller: whose use it is.
            call: as in the venue's table.
            priority: place in the queue.
            least: calls that it must hold.
            most: calls that it may hold.
            waited_ns: how long the caller has waited already.

        Raises:
            InvalidDataError: the ask can never be granted.
            TransientError: the desk is closed, or its state cannot be saved.
        """
        if self._closed:
            raise TransientError("budget: expected an open desk, found a closed one")
        ask = Ask(
            id=next(self._ids),
            caller=caller,
            call=call,
            priority=priority,
            least=least,
            most=most,
            asked_ns=self._clock.now_ns() - waited_ns,
        )
        self.core.ask(ask)
        future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._futures[ask.id] = future
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            self.core.drop(ask.id)
            if not future.cancelled() and future.done() and future.exception() is None:
                lease = future.result()
                self.settle(lease.id, lease.count)
            raise
        finally:
            del self._futures[ask.id]

    def settle(self, lease_id: int, unused: int, *, whole: bool = True) -> None:
        """Says what became of a lease; see the core."""
        self.core.settle(lease_id, unused, self._clock.now_ns(), whole=whole)
        self._wake()

    def spend(self, caller: Caller, call: str, calls: int) -> None:
        """Charges calls that were made without asking; see the core."""
        self.core.spend(caller, call, calls, self._clock.now_ns())
        self._dirty = True

    def observe(self, caller: Caller, used: Mapping[str, int]) -> int:
        """Takes the venue's word for what is used; see the core."""
        return self.core.observe(caller, used, self._clock.now_ns())

    def pause(self, caller: Caller, status: int, wait_ns: int | None) -> None:
        """Stops an address if the status asks for it; see the core."""
        self.core.pause(caller, status, wait_ns, self._clock.now_ns())
        self._dirty = True
        self._wake()

    def paused_ns(self, caller: Caller) -> int:
        """How long an address is still stopped; 0: it is not."""
        return max(0, self.core.paused_until_ns(caller) - self._clock.now_ns())

    def look(self) -> None:
        """Grants what can be granted now; happens by itself unless the clock is moved by hand."""
        self._soon = None
        granted = self.core.grant(self._clock.now_ns())
        if self._commit is None:
            self._deliver(granted)
        else:
            self._granted += granted
            if (self._granted or self._dirty) and self._saving is None:
                self._saving = asyncio.create_task(self._save(self._commit), name="budget saves")
        self._set_alarm()

    async def close(self) -> None:
        """Ends all waiting with a TransientError; saves for the last time."""
        self._closed = True
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        if self._saving is not None:
            await self._saving
        for future in self._futures.values():
            if not future.done():
                future.set_exception(TransientError("budget: the desk was closed"))
        if self._commit is not None:
            await self._commit(self.core.snapshot())

    def _wake(self) -> None:
        """Looks after all asks of this turn of the loop, so that the first of them has no edge."""
        if self._soon is None and not self._closed:
            self._soon = asyncio.get_running_loop().call_soon(self.look)

    def _set_alarm(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        next_ns = self.core.next_ns
        if next_ns is not None and not self._closed:
            wait_s = max(0.0, (next_ns - self._clock.now_ns()) / NS_PER_SECOND)
            self._later = asyncio.get_running_loop().call_later(wait_s, self.look)

    async def _save(self, commit: Commit) -> None:
        """One snapshot for all leases that came together, and so on until none came meanwhile."""
        try:
            while self._granted or self._dirty:
                granted, self._granted, self._dirty = self._granted, [], False
                try:
                    await commit(self.core.snapshot())
                except GoalkickError as error:
                    self._refuse(granted, error)
                else:
                    self._deliver(granted)
        finally:
            self._saving = None

    def _deliver(self, granted: list[Lease]) -> None:
        for lease in granted:
            future = self._futures.get(lease.ask.id)
            if future is None or future.done():
                self.settle(lease.id, lease.count)
            else:
                future.set_result(lease)

    def _refuse(self, granted: list[Lease], error: GoalkickError) -> None:
        for lease in granted:
            self.settle(lease.id, lease.count)
            future = self._futures.get(lease.ask.id)
            if future is not None and not future.done():
                future.set_exception(TransientError(str(error)))
