"""Requests to a venue beside its stream: bounded, few at a time, and silent when it says so."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.clock import Clock
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.recording import Kind

_AT_ONCE: Final = 8
"""Requests on their way at a time: enough to hide a round trip, too few to be taken for a flood."""
_GOOD: Final = 200
_STOP: Final = frozenset({418, 429})
_STOP_S: Final = 5.0
"""How long to be silent after a 429 or 418 that does not say."""


Record = Callable[[str, int, str, Kind, str], object]
"""Hears each frame: venue, time of receipt (UTC ns), address, what it is, and its text."""


class Requests:
    """What is asked of one venue."""

    def __init__(
        self,
        venue: CcxtVenue,
        name: str,
        timeout_ns: int,
        place: str,
        clock: Clock,
        record: Record | None = None,
    ) -> None:
        """Asks nothing yet; takes over the client's hook for answers.

        Args:
            venue: the connection.
            name: ccxt's name of the venue.
            timeout_ns: time within which an answer must come.
            place: what the venue is called in messages.
            clock: for times of receipt.
            record: hears each answer.
        """
        self._name = name
        self._clock = clock
        self._record = record
        self.client: Any = venue.client
        self._library: Any = venue.library
        self._timeout_s = 2 * timeout_ns / NS_PER_SECOND
        self._place = place
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._silent_until_s = 0.0
        self._told = self.client.on_rest_response
        self.client.on_rest_response = self._hear

    def wait_s(self) -> float:
        """How long the venue wants to hear nothing of us, in seconds; 0: it does not mind."""
        return max(0.0, self._silent_until_s - asyncio.get_running_loop().time())

    def be_silent(self, seconds: float) -> None:
        """The venue said, elsewhere, that it wants to hear nothing for so long."""
        until_s = asyncio.get_running_loop().time() + seconds
        self._silent_until_s = max(self._silent_until_s, until_s)

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Waits until the venue may be asked, and for its answer.

        Raises:
            TransientError: it does not answer, or not to this.
        """
        async with self._slots:
            await self._silence()
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await request()
            except SettingsError as error:
                raise TransientError(str(error)) from error
            except (self._library.BaseError, TimeoutError, OSError, TypeError, ValueError) as error:
                raise TransientError(
                    f"{self._place}: expected an answer within {self._timeout_s:g} s, found "
                    f"{type(error).__name__}: {str(error)[:200]}"
                ) from error

    async def _silence(self) -> None:
        """Waits until the venue may be asked; it may ask for more silence meanwhile."""
        wait_s = self.wait_s()
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = self.wait_s()

    def _hear(
        self, status: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> str:
        """The client's hook: sees each answer with its own headers."""
        if self._record is not None and status == _GOOD:
            self._record(self._name, self._clock.now_ns(), url, Kind.ANSWERED, body)
        if status in _STOP:
            self.be_silent(_retry_after_s(headers))
        told: str = self._told(status, reason, url, method, headers, body, *rest)
        return told


def _retry_after_s(headers: Mapping[str, Any]) -> float:
    for name, value in headers.items():
        if str(name).lower() == "retry-after":
            try:
                return max(0.0, float(value))
            except ValueError:
                break
    return _STOP_S
