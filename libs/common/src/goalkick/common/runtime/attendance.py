"""When a copy of ingest is a member of its group: while it hears something to say.

It becomes one when its feed hears all; before, it would take partitions from copies that do, be it
the first copies of all, which start together. It leaves when nothing is heard, where others are
there that may hear, until something is heard again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from goalkick.common.runtime.hearing import Hearing
from goalkick.common.values.time import NS_PER_SECOND

log = structlog.get_logger()


class Attendance:
    """One copy's membership.

    Attributes:
        hearing: told what the feed says.
        crowded: to be set when what was heard can hardly be kept any longer.
        away: whether the copy has left because it hears nothing.
        share: fraction of the partitions that are the copy's.
    """

    def __init__(
        self,
        join: Callable[[], Awaitable[None]],
        leave: Callable[[], Awaitable[None]],
        *,
        begun: Callable[[], Awaitable[None]] | None,
        expiry_ns: int,
        wait_ns: int,
        leave_after_ns: int | None,
        jitter: Callable[[], float],
    ) -> None:
        """Is no member yet.

        Args:
            join: becomes a member.
            leave: is none any more.
            begun: returns when the feed hears all; None: it does at once.
            expiry_ns: time after which a member that died without a word is none any more.
            wait_ns: time for which both are waited for at most.
            leave_after_ns: time without anything heard, and up to as much again; None: for ever.
            jitter: numbers in [0, 1).
        """
        self.hearing = Hearing()
        self.crowded = asyncio.Event()
        self.away = False
        self.share = 1.0
        self._join = join
        self._leave = leave
        self._begun = begun
        self._expiry_ns = expiry_ns
        self._wait_ns = wait_ns
        self._leave_after_ns = leave_after_ns
        self._jitter = jitter

    async def run(self, *, first: bool) -> None:
        """Joins and leaves as is due; ends when it is cancelled.

        Args:
            first: whether nobody has ever said anything: then no dead member is waited for.
        """
        await self._until_all_is_heard(0 if first else self._expiry_ns)
        await self._join()
        if self._leave_after_ns is None:
            await asyncio.Event().wait()
            return
        while True:
            await self.hearing.until(deaf=True)
            if not await self._stays_deaf(self._leave_after_ns) or self.share == 1:
                continue
            log.warning("nothing is heard: partitions are left to other copies")
            self.away = True
            await self._leave()
            await self.hearing.until(deaf=False)
            log.info("something is heard again")
            self.away = False
            await self._join()

    async def _until_all_is_heard(self, expiry_ns: int) -> None:
        """Returns when others have said all that we did not hear; or before anything is forgotten.

        Who joins while one that died still counts as a member may get the dead one's partitions
        straight from it: nobody would say what was heard between its death and our beginning.
        """
        if self._begun is None:
            return
        waiting = [
            asyncio.ensure_future(self._all_is_heard(self._begun, expiry_ns)),
            asyncio.ensure_future(self.crowded.wait()),
        ]
        try:
            await asyncio.wait(
                waiting,
                timeout=self._wait_ns / NS_PER_SECOND,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in waiting:
                task.cancel()

    async def _all_is_heard(self, begun: Callable[[], Awaitable[None]], expiry_ns: int) -> None:
        await begun()
        await asyncio.sleep(expiry_ns / NS_PER_SECOND)

    async def _stays_deaf(self, patience_ns: int) -> bool:
        # Copies that go deaf together leave one after another: the last one stays.
        patience_s = patience_ns / NS_PER_SECOND * (1 + self._jitter())
        try:
            async with asyncio.timeout(patience_s):
                await self.hearing.until(deaf=False)
        except TimeoutError:
            return True
        return False
