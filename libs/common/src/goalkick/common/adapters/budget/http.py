"""The budget that all copies share: the client of the limiter."""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic_ns

import msgspec
import structlog

from goalkick.common.adapters.budget.alone import Alone
from goalkick.common.adapters.budget.lane import Lane
from goalkick.common.adapters.budget.link import Link, UnreachableError
from goalkick.common.adapters.budget.mail import Mail
from goalkick.common.adapters.budget.memory import limits_of, timed_out
from goalkick.common.adapters.budget.wire import (
    LeaseReply,
    LeaseRequest,
    NewsReply,
    Report,
)
from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.budget.limits import Priority, VenueLimits
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.ports.budget import NO_USE, NOTHING, BudgetTimeoutError, Grant
from goalkick.common.ports.clock import Clock
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.telemetry.names import BUDGET_ALONE, BUDGET_CUT_OFF_SECONDS
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

PATIENCE_S = 0.5
"""Longest wait for the limiter's answer. With `HOLD_NS` it bounds how long a cancel waits for a
limiter that is gone: a second."""

HOLD_NS = 500 * NS_PER_MS
"""How long the limiter may keep an ask; then it is asked again, with its age, so it keeps its
place."""

PROBE_S = 0.5
"""Time between two attempts to reach a limiter that is out of reach."""

log = structlog.get_logger()


class HttpBudget:
    """Asks the limiter; while it is out of reach, lives on a small share of its own."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        venues: Mapping[str, VenueLimits] = VENUES,
        *,
        address: str = "",
        copies: int = 10,
        share: float = 0.5,
        patience_s: float = PATIENCE_S,
        metrics: Metrics | None = None,
    ) -> None:
        """Connects when it is first used.

        Args:
            url: where the limiter is, without a final slash.
            clock: for the share of its own.
            venues: the table; as the limiter's.
            address: name of the network address that the venues see; copies behind one name one.
            copies: how many copies may be cut off at the same time, at least 1.
            share: part of each limit that they may use together then, above 0, up to 1.
            patience_s: longest wait for the limiter's answer.
            metrics: where it is told that it is cut off; None: only in the log.
        """
        self._venues = venues
        self._address = address
        self._link = Link(url, patience_s)
        self._mail = Mail(self._link, address, self._hear, self._lose)
        self._alone = Alone(clock, venues, address, copies, share)
        self._cut_off_gauge = metrics.gauge(BUDGET_CUT_OFF_SECONDS) if metrics else None
        self._alone_counter = metrics.counter(BUDGET_ALONE) if metrics else None
        self._lanes: dict[tuple[Caller, str, Priority], Lane] = {}
        self._paused: dict[str, int] = {}
        self._cut_off_ns: int | None = None
        self._back = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None
        self._closed = False

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
        limits_of(self._venues, venue)
        caller = Caller(venue, self._address, account, connection)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._acquire(caller, call, priority, count)
        except TimeoutError:
            raise timed_out(venue, call, timeout_s) from None

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
        """Passes on what a reply said about limits; see the port."""
        limits = limits_of(self._venues, venue)
        told, told_wait_ns = limits.read(headers)
        told |= {limits.limit(name).name: amount for name, amount in used.items()}
        wait_ns = told_wait_ns if wait_ns is None else wait_ns
        caller = Caller(venue, self._address, account)
        if status in limits.pauses:
            wait_ns = limits.pauses[status] if wait_ns is None else wait_ns
            self._pause(venue, wait_ns)
            report = Report(caller=caller, status=status, used=told, wait_ns=wait_ns)
            self._mail.report(report, urgent=True)
        elif told:
            self._mail.report(Report(caller=caller, used=told), urgent=False)

    def paused_ns(self, venue: str) -> int:
        """How long all calls to a venue are still stopped, as far as is known here; 0: not."""
        return max(0, self._paused.get(venue, 0) - monotonic_ns())

    @property
    def cut_off(self) -> bool:
        """Whether the limiter is out of reach."""
        return self._cut_off_ns is not None

    async def flush(self) -> None:
        """Tells the limiter now what would be told within moments; nothing if it is out of reach.

        Raises:
            UnreachableError: it does not answer.
        """
        if not self.cut_off:
            await self._mail.send()

    async def close(self) -> None:
        """Gives back what is not used; ends all waiting; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        for lane in self._lanes.values():
            await lane.close(BudgetTimeoutError("budget: it was closed"))
        await self._alone.close()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._mail.close()
        await self._link.close()

    async def _acquire(self, caller: Caller, call: str, priority: Priority, count: int) -> Grant:
        since_ns = monotonic_ns()
        while not self._closed:
            if self.cut_off:
                grant = await self._alone_or_back(caller, call, priority, count)
                if grant is not None:
                    return grant
                continue
            try:
                return await self._lane(caller, call, priority).take(count, since_ns)
            except UnreachableError as error:
                self._lose(error)
        raise BudgetTimeoutError("budget: it was closed")

    def _lane(self, caller: Caller, call: str, priority: Priority) -> Lane:
        key = (caller, call, priority)
        if key not in self._lanes:
            self._lanes[key] = Lane(partial(self._ask, *key), self._mail.settle)
        return self._lanes[key]

    async def _ask(
        self,
        caller: Caller,
        call: str,
        priority: Priority,
        least: int,
        most: int,
        waited_ns: int,
    ) -> LeaseReply:
        if paused_ns := self.paused_ns(caller.venue):
            await asyncio.sleep(paused_ns / NS_PER_SECOND)
        reply = await self._link.lease(
            LeaseRequest(
                caller=caller,
                call=call,
                priority=priority,
                least=least,
                most=most,
                waited_ns=waited_ns,
                hold_ns=HOLD_NS,
            )
        )
        self._hear(NewsReply({caller.venue: reply.paused_ns}))
        # The venue may have told us to stop while the limiter did not know it yet.
        return msgspec.structs.replace(reply, paused_ns=self.paused_ns(caller.venue))

    async def _alone_or_back(
        self, caller: Caller, call: str, priority: Priority, count: int
    ) -> Grant | None:
        """Leave out of the own share, or None: the limiter is back."""
        own = asyncio.create_task(self._alone.acquire(caller, call, priority, count))
        back = asyncio.create_task(self._back.wait())
        try:
            await asyncio.wait((own, back), return_when=asyncio.FIRST_COMPLETED)
            if not own.done():
                return None
            if self._alone_counter is not None:
                self._alone_counter.inc(count)
            return own.result()
        finally:
            for task in (own, back):
                task.cancel()
            await asyncio.gather(own, back, return_exceptions=True)

    def _hear(self, reply: NewsReply) -> None:
        for venue, paused_ns in reply.pauses.items():
            if paused_ns:
                self._pause(venue, paused_ns)

    def _pause(self, venue: str, wait_ns: int) -> None:
        """Stops here at once, whatever lies in stock."""
        until_ns = monotonic_ns() + wait_ns
        if until_ns <= self._paused.get(venue, 0):
            return
        self._paused[venue] = until_ns
        self._alone.pause(venue, wait_ns)
        for (caller, _, _), lane in self._lanes.items():
            if caller.venue == venue:
                lane.return_stock()

    def _lose(self, error: UnreachableError) -> None:
        """The limiter is out of reach: on with the own share, and look for it."""
        if self.cut_off or self._closed:
            return
        self._cut_off_ns = monotonic_ns()
        self._back.clear()
        self._mail.silent = True
        self._alone.begin()
        for lane in self._lanes.values():
            lane.return_stock()
        log.warning("the limiter is out of reach; on with the own share", reason=str(error))
        self._probing = asyncio.create_task(self._probe(), name="budget probe")

    async def _probe(self) -> None:
        while True:
            self._show_cut_off()
            await asyncio.sleep(PROBE_S)
            self._mail.spend(self._alone.take_spent())
            try:
                await self._mail.send()
            except UnreachableError:
                continue
            break
        after_s = self._cut_off_s()
        self._cut_off_ns = None
        self._mail.silent = False
        self._mail.spend(self._alone.take_spent())
        self._back.set()
        self._show_cut_off()
        log.info("the limiter is back", after_s=round(after_s, 3))

    def _cut_off_s(self) -> float:
        since_ns = self._cut_off_ns
        return 0.0 if since_ns is None else max(1e-9, (monotonic_ns() - since_ns) / NS_PER_SECOND)

    def _show_cut_off(self) -> None:
        if self._cut_off_gauge is not None:
            self._cut_off_gauge.set(self._cut_off_s())
