"""Background work that never dies silently."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from goalkick.execution.venues.client import said

log = structlog.get_logger()


class Tasks:
    """All that goes on in the background of one adapter.

    Attributes:
        failures: how often something ended by an error that nobody had expected.
    """

    def __init__(self, name: str) -> None:
        """Nothing goes on yet.

        Args:
            name: whose tasks these are, for the log.
        """
        self.failures = 0
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, what: str, work: Coroutine[Any, Any, None], broken: Callable[[], None]) -> None:
        """Begins a piece of work.

        Args:
            what: for the log.
            work: the work.
            broken: is called when it has ended by an error that it does not know.
        """

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.failures += 1
                log.error(
                    "background work broke",
                    of=self._name,
                    what=what,
                    reason=said(error),
                    exc_info=error,
                )
                broken()

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def close(self) -> None:
        """Ends everything."""
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # What was broken at the same time may have begun something new.
            await asyncio.sleep(0)
