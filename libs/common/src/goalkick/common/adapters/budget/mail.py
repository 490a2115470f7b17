"""What a copy has to tell the limiter, gathered and sent together."""

import asyncio
from collections.abc import Callable

import structlog

from goalkick.common.adapters.budget.link import Link, UnreachableError
from goalkick.common.adapters.budget.wire import News, NewsReply, Report, Settlement, Spent
from goalkick.common.core.budget.asks import Caller
from goalkick.common.core.errors import InvalidDataError

FLUSH_S = 0.05
"""How long news waits for more. What has come back is free for others that much later; a 429 does
not wait."""

log = structlog.get_logger()


class Mail:
    """Sends by itself, from the first thing that is noted."""

    def __init__(
        self,
        link: Link,
        address: str,
        heard: Callable[[NewsReply], None],
        lost: Callable[[UnreachableError], None],
    ) -> None:
        """Starts with nothing to tell.

        Args:
            link: the way to the limiter.
            address: whose pauses the limiter tells.
            heard: is given each reply.
            lost: is told when the limiter does not answer.
        """
        self._link = link
        self._address = address
        self._heard = heard
        self._lost = lost
        self._settled: list[Settlement] = []
        self._reports: dict[tuple[Caller, int], Report] = {}
        self._spent: list[Spent] = []
        self._urgent = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self.silent = False
        """Whether things are only gathered: the limiter is out of reach."""

    def settle(self, settlement: Settlement) -> None:
        """Notes what became of a lease; nobody cares if the limiter is out of reach."""
        if not self.silent:
            self._settled.append(settlement)
            self._start()

    def report(self, report: Report, *, urgent: bool) -> None:
        """Notes what a venue said; of several words about one use the largest holds."""
        key = (report.caller, report.status)
        before = self._reports.get(key)
        if before is not None:
            used = {
                name: max(before.used.get(name, 0), report.used.get(name, 0))
                for name in {**before.used, **report.used}
            }
            report = Report(
                caller=report.caller,
                status=report.status,
                used=used,
                wait_ns=report.wait_ns,
            )
        self._reports[key] = report
        if urgent:
            self._urgent.set()
        self._start()

    def spend(self, spent: tuple[Spent, ...]) -> None:
        """Notes calls that were sent without asking."""
        self._spent += spent
        self._start()

    async def send(self) -> None:
        """Tells everything now; what the limiter did not get is kept, but for settlements.

        Raises:
            UnreachableError: it did not answer.
        """
        self._urgent.clear()
        settled, self._settled = self._settled, []
        reports, self._reports = self._reports, {}
        spent, self._spent = self._spent, []
        news = News(
            address=self._address,
            settled=tuple(settled),
            reports=tuple(reports.values()),
            spent=tuple(spent),
        )
        try:
            self._heard(await self._link.tell(news))
        except UnreachableError:
            self._reports = reports | self._reports
            self._spent = spent + self._spent
            raise
        except InvalidDataError as error:
            log.exception("the limiter refused what it was told", reason=str(error))

    async def close(self) -> None:
        """Tells for the last time, if anybody listens."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if not self.silent:
            try:
                await self.send()
            except UnreachableError as error:
                log.warning("the limiter was not told of what is unused", reason=str(error))

    def _start(self) -> None:
        if self._sending is None and not self.silent:
            self._sending = asyncio.create_task(self._send_soon(), name="budget mail")

    async def _send_soon(self) -> None:
        try:
            while (self._settled or self._reports or self._spent) and not self.silent:
                await self._gather()
                await self.send()
        except UnreachableError as error:
            self._lost(error)
        finally:
            self._sending = None

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._urgent.wait()
        except TimeoutError:
            pass
