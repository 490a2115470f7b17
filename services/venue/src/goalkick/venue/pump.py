"""Keeps the exchange alive: moves its time on, and lets the flow trade, on a timer."""

import asyncio
import contextlib
from collections.abc import Callable

from goalkick.venue.context import Context


class Pump:
    """A task that advances the exchange and runs rounds of the flow.

    Attributes:
        paused: whether the flow stands still; the exchange's time goes on.
        rounds: rounds since the start.
    """

    def __init__(
        self, context: Context, trade: Callable[[int], None] | None, *, interval_s: float
    ) -> None:
        """Not running yet.

        Args:
            context: whose exchange is kept alive.
            trade: a round of the flow at a time in nanoseconds; None: nobody trades.
            interval_s: seconds between two rounds.
        """
        self._context = context
        self._trade = trade
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None
        self.paused = False
        self.rounds = 0

    def start(self) -> None:
        """Begins; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def failed(self) -> None:
        """Waits until it fails, and raises why; for ever, if it does not."""
        if self._task is None:
            raise RuntimeError("expected a running pump, found one that was not started")
        await asyncio.shield(self._task)

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        return self._task is not None and not self._task.done()

    def round(self) -> None:
        """One round, at the clock's time."""
        # The flow first: it makes each event at its own time, up to now.
        if self._trade is not None and not self.paused:
            self._trade(max(self._context.clock.now_ns(), self._context.exchange.now_ns))
        self._context.advance()
        self.rounds += 1

    async def _run(self) -> None:
        while True:
            self.round()
            await asyncio.sleep(self._interval_s)
