"""Whether anything is heard of a live market: some instrument has fresh bars, or none has."""

import asyncio

from goalkick.common.events.market import FeedRecovered, FeedStale, InstrumentListed
from goalkick.common.ports.feed import Step
from goalkick.common.values.ids import InstrumentId

_BARS = "bar"


class Hearing:
    """What a feed says of itself: an instrument is stale, or well again.

    Attributes:
        deaf: whether all instruments that were listed are stale.
    """

    def __init__(self) -> None:
        """Hears well, until told else."""
        self.deaf = False
        self._listed: set[InstrumentId] = set()
        self._stale: set[InstrumentId] = set()
        self._changed = asyncio.Event()

    def take(self, step: Step) -> None:
        """Takes what the feed says next."""
        for event in step:
            if isinstance(event, InstrumentListed):
                self._listed.add(event.instrument)
            elif isinstance(event, FeedStale) and event.stream == _BARS:
                self._stale.add(event.instrument)
            elif isinstance(event, FeedRecovered) and event.stream == _BARS:
                self._stale.discard(event.instrument)
        deaf = bool(self._listed) and self._listed <= self._stale
        if deaf != self.deaf:
            self.deaf = deaf
            self._changed.set()

    async def until(self, *, deaf: bool) -> None:
        """Returns when it is so."""
        while self.deaf is not deaf:
            self._changed.clear()
            await self._changed.wait()
