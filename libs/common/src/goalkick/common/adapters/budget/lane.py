"""One kind of call of one copy: its queue, and the leases that it is served from.

A lease may hold more calls than wait now, so that the next need no round trip. How many more is
learnt: twice as many when a lease was used up before its end, half when some were left.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic_ns
from typing import NamedTuple

from goalkick.common.adapters.budget.wire import LeaseReply, Settlement
from goalkick.common.core.errors import GoalkickError, InvalidDataError
from goalkick.common.ports.budget import Grant
from goalkick.common.values.time import NS_PER_SECOND

MOST = 64
"""Calls that a lease may hold beyond those that wait; the limiter has its own bound."""

Asking = Callable[[int, int, int], Awaitable[LeaseReply]]
"""(least, most, waited ns) -> what the limiter gives."""


class _Waiter(NamedTuple):
    calls: int
    since_ns: int
    future: asyncio.Future[Grant]


class _Lease:
    """Calls in stock, and those that are on their way."""

    def __init__(self, reply: LeaseReply, now_ns: int) -> None:
        self.id = reply.lease
        self.left = reply.count
        self.out = 0
        self.returned = 0
        self.ends_ns = now_ns + reply.lasts_ns


class Lane:
    """Serves the calls of one kind in order."""

    def __init__(self, ask: Asking, settle: Callable[[Settlement], None]) -> None:
        """Starts with nothing in stock.

        Args:
            ask: gets a lease.
            settle: is told what became of each.
        """
        self._ask = ask
        self._settle = settle
        self._waiters: deque[_Waiter] = deque()
        self._stock: _Lease | None = None
        self._end: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ahead = 1

    async def take(self, count: int, since_ns: int) -> Grant:
        """Waits for calls.

        Args:
            count: how many at once.
            since_ns: since when, on the monotonic clock.

        Raises:
            UnreachableError: the limiter does not answer.
            InvalidDataError: the calls never fit.
        """
        if not self._waiters and self._has(count):
            return self._hand_out(count, since_ns)
        waiter = _Waiter(count, since_ns, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        if self._asking is None:
            self._asking = asyncio.create_task(self._serve(), name="budget lane")
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.future.cancelled() and waiter.future.exception() is None:
                waiter.future.result().give_back()
            raise

    def return_stock(self) -> None:
        """Gives back what lies in stock: its time is over, or the venue told us to stop."""
        lease, self._stock = self._stock, None
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if lease is not None and lease.left:
            self._ahead = max(1, self._ahead // 2)
            lease.returned += lease.left
            lease.left = 0
            if lease.out:
                self._settle(Settlement(lease.id, lease.returned, whole=False))
                lease.returned = 0
            else:
                self._finish(lease)

    async def close(self, error: GoalkickError) -> None:
        """Gives back what lies in stock; whoever waits gets the error."""
        self.return_stock()
        self._fail(tuple(self._waiters), error)
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            while self._waiters:
                first = self._waiters[0]
                wanted = sum(waiter.calls for waiter in self._waiters)
                waited_ns = monotonic_ns() - first.since_ns
                try:
                    reply = await self._ask(first.calls, max(wanted, self._ahead), waited_ns)
                except InvalidDataError as error:
                    self._fail((first,), error)
                except GoalkickError as error:
                    self._fail(tuple(self._waiters), error)
                else:
                    self._stock_up(reply)
        finally:
            self._asking = None

    def _stock_up(self, reply: LeaseReply) -> None:
        if not reply.count:
            return
        self.return_stock()
        self._stock = _Lease(reply, monotonic_ns())
        self._end = asyncio.get_running_loop().call_later(
            reply.lasts_ns / NS_PER_SECOND, self.return_stock
        )
        if reply.paused_ns:
            self.return_stock()
        while self._waiters and self._has(self._waiters[0].calls):
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(self._hand_out(waiter.calls, waiter.since_ns))

    def _has(self, count: int) -> bool:
        stock = self._stock
        return stock is not None and stock.left >= count and monotonic_ns() < stock.ends_ns

    def _hand_out(self, count: int, since_ns: int) -> Grant:
        lease = self._stock
        assert lease is not None  # noqa: S101 -- `_has` was asked
        lease.left -= count
        lease.out += count
        if not lease.left:
            self._use_up()
        return Grant(count, monotonic_ns() - since_ns, partial(self._came_back, lease, count))

    def _use_up(self) -> None:
        self._ahead = min(MOST, self._ahead * 2)
        self._stock = None
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _came_back(self, lease: _Lease, count: int, made: bool) -> None:
        lease.out -= count
        if not made:
            lease.returned += count
        if not lease.out and lease is not self._stock:
            self._finish(lease)

    def _finish(self, lease: _Lease) -> None:
        self._settle(Settlement(lease.id, lease.returned, whole=True))

    def _fail(self, waiters: tuple[_Waiter, ...], error: GoalkickError) -> None:
        for waiter in waiters:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(error)
