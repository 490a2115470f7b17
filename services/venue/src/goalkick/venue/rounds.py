"""Something that is done again and again in the background while the venue runs."""

import asyncio
import contextlib
from abc import ABC, abstractmethod


class Rounds(ABC):
    """A task that makes a round, waits, and makes the next."""

    def __init__(self, interval_s: float) -> None:
        """Not running yet.

        Args:
            interval_s: seconds between two rounds.
        """
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def round(self) -> None:
        """One round, at the clock's time."""

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
            raise RuntimeError(
                f"expected running rounds of {type(self).__name__}, found none that were started"
            )
        await asyncio.shield(self._task)

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while True:
            self.round()
            await asyncio.sleep(self._interval_s)
