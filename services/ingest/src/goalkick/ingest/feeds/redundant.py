"""Several live feeds of the same instruments as one, which none of them can silence.

Whichever says an event first is heard; one that dies is dialled again while the others go on.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import structlog

from goalkick.common.ports.clock import Clock
from goalkick.common.ports.feed import LiveFeed, Quiet, Step, Tape
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.telemetry.names import FEED_CONNECTION_WELL
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.aggregate import begun
from goalkick.ingest.redundancy import FirstCopy

log = structlog.get_logger()

_QUEUED: Final = 1_000
"""Steps and tapes that wait to be merged; feeds that are faster wait themselves."""
_LONGEST_DELAY_S: Final = 60.0


class _Gone:
    """A feed has ended: for good, or by an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


_Said = Step | Tape | _Gone | None
"""None: the feed is dialled again."""


class RedundantFeed:
    """Several live feeds as one `LiveFeed`.

    Attributes:
        copies: what was heard of each feed, and what was mended.
    """

    def __init__(
        self,
        feeds: Sequence[LiveFeed],
        clock: Clock,
        *,
        wait_ns: int = NS_PER_SECOND // 2,
        numbered: bool = True,
        unnumbered: Collection[str] = (),
        delay_s: Callable[[int], float] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Merges the feeds.

        Args:
            feeds: two or more of the same instruments.
            clock: says how long something has waited.
            wait_ns: time for which later events wait for what one feed lacks.
            numbered: whether venues number their trades one by one.
            unnumbered: names of venues that do not.
            delay_s: seconds until a feed that failed so many times in a row is dialled again;
                None: doubling from about a second to a minute.
            metrics: where it is shown which feeds are well; None: nowhere.

        Raises:
            SettingsError: fewer than two feeds, or a negative wait.
        """
        self.copies = FirstCopy(
            len(feeds), wait_ns=wait_ns, numbered=numbered, unnumbered=unnumbered
        )
        self._feeds = tuple(feeds)
        self._clock = clock
        self._delay_s = delay_s or _delay_s
        self._closed = asyncio.Event()
        if metrics is not None:
            for side in range(len(feeds)):
                gauge = metrics.gauge(FEED_CONNECTION_WELL, connection=str(side + 1))
                gauge.set_function(partial(self.well, side))

    def close(self) -> None:
        """Ends `steps`, soon and for good."""
        self._closed.set()
        for feed in self._feeds:
            feed.close()

    async def begun(self) -> None:
        """Returns when one of the feeds hears all that it listens to."""
        waiting = [asyncio.ensure_future(begun(feed)) for feed in self._feeds]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def well(self, side: int) -> bool:
        """Whether a feed is there and tells everything well, as far as it knows itself."""
        return self.copies.sides[side].live and not self.copies.ill(side)

    def standing(self) -> Sequence[str]:
        """How each feed stands, a line each, for people."""
        return [self._standing(side) for side in range(len(self._feeds))]

    def _standing(self, side: int) -> str:
        counts, ill = self.copies.sides[side], self.copies.ill(side)
        state = "broken" if not counts.live else f"{ill} streams ill" if ill else "well"
        return (
            f"connection {side + 1} {state}: first with {counts.leads:,}, later with "
            f"{counts.repeats:,}, missed {counts.misses:,}, too late with {counts.late:,}"
        )

    async def steps(self, after_ns: int | None = None) -> AsyncGenerator[Step | Tape, None]:
        """The steps as they happen, in order of time, and the tape; ends when all feeds have.

        Args:
            after_ns: the last moment of an earlier run, to go on after it; None: begin anew.

        Raises:
            Exception: what broke the last feed, if none has said anything.
        """
        queue: asyncio.Queue[tuple[int, _Said]] = asyncio.Queue(_QUEUED)
        readers = [
            asyncio.ensure_future(self._read(side, feed, after_ns, queue))
            for side, feed in enumerate(self._feeds)
        ]
        try:
            async with aclosing(self._merged(queue)) as merged:
                async for said in merged:
                    yield said
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _merged(
        self, queue: "asyncio.Queue[tuple[int, _Said]]"
    ) -> AsyncGenerator[Step | Tape, None]:
        ended: set[int] = set()
        broken: set[int] = set()
        heard = False
        while len(ended) < len(self._feeds):
            got = await self._next(queue)
            now_ns = self._clock.now_ns()
            side, said = got if got is not None else (-1, ())
            told: list[Step | Tape] = []
            if said is None:
                self.copies.found(side)
            elif isinstance(said, Quiet):
                told = self.copies.promise(side, said.until_ns, now_ns)
            elif not isinstance(said, _Gone):
                heard = heard or bool(said)
                told = self.copies.take(side, said, now_ns) if said else self.copies.advance(now_ns)
            else:
                broken.add(side)
                if said.error is None:
                    ended.add(side)
                elif not heard and len(broken) == len(self._feeds):
                    raise said.error
                told = self._left(side, now_ns, for_good=len(ended) == len(self._feeds))
            for one in told:
                yield one

    def _left(self, side: int, now_ns: int, *, for_good: bool) -> list[Step | Tape]:
        if not for_good:
            return self.copies.lost(side, now_ns)
        # All are closed: what waits is told, and nobody need know that nothing will follow.
        due_ns = self.copies.due_ns
        told: list[Step | Tape] = []
        while due_ns is not None:
            told += self.copies.advance(due_ns)
            due_ns = self.copies.due_ns
        return told

    async def _next(self, queue: "asyncio.Queue[tuple[int, _Said]]") -> tuple[int, _Said] | None:
        """What was said next; None: waiting for something is over."""
        due_ns = self.copies.due_ns
        if due_ns is None:
            return await queue.get()
        left_ns = due_ns - self._clock.now_ns()
        if left_ns <= 0:
            return None
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(queue.get(), left_ns / NS_PER_SECOND)
        return None

    async def _read(
        self,
        side: int,
        feed: LiveFeed,
        after_ns: int | None,
        queue: "asyncio.Queue[tuple[int, _Said]]",
    ) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                async with aclosing(feed.steps(after_ns)) as steps:
                    async for said in steps:
                        failures = 0
                        await queue.put((side, said))
                break
            except Exception as error:  # whatever breaks one feed must not break the others
                failures += 1
                log.warning("a copy of the feed broke", side=side, reason=repr(error))
                await queue.put((side, _Gone(error)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self._delay_s(failures))
            after_ns = self.copies.resume_ns(after_ns)
            await queue.put((side, None))
        await queue.put((side, _Gone(None)))


def _delay_s(failures: int) -> float:
    longest_s = min(2.0 ** min(failures - 1, 10), _LONGEST_DELAY_S)
    return longest_s * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing
