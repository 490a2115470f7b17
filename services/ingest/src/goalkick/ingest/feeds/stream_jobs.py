"""Errands of a feed: each kind at most once at a time, and less often the more it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

import structlog

from goalkick.common.core.errors import InvalidDataError, TransientError
from goalkick.common.values.time import NS_PER_SECOND

log = structlog.get_logger()


class Errands:
    """What is being done beside listening."""

    def __init__(self, delay_s: Callable[[int], float], failed: Callable[[BaseException], object]):
        """Nothing is being done.

        Args:
            delay_s: seconds to wait after so many failures in a row.
            failed: hears what ended an errand and is no answer to it: our own fault.
        """
        self._delay_s = delay_s
        self._failed = failed
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._failures: dict[Hashable, int] = {}
        self._due_s: dict[Hashable, float] = {}

    def start(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> bool:
        """Begins an errand, unless it is under way or not due again; whether it did."""
        loop = asyncio.get_running_loop()
        if key in self._running or loop.time() < self._due_s.get(key, 0.0):
            return False
        self._running[key] = loop.create_task(self._run(key, work))
        return True

    def put_off(self, key: Hashable, delay_ns: int) -> None:
        """An errand is not due before so much time."""
        self._due_s[key] = asyncio.get_running_loop().time() + delay_ns / NS_PER_SECOND

    def failed(self, key: Hashable) -> None:
        """An errand was of no use, and is to be done again after a while."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._due_s[key] = asyncio.get_running_loop().time() + self._delay_s(failures)

    def succeeded(self, key: Hashable) -> None:
        """An errand was of use."""
        self._failures.pop(key, None)

    async def close(self) -> None:
        """Ends all of them."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (TransientError, InvalidDataError) as error:
            self.failed(key)
            log.warning("venue did not answer", about=str(key), reason=str(error))
        except Exception as error:
            self._failed(error)
        finally:
            del self._running[key]
