"""The way to the limiter: requests with a bound on each, and errors that say what to do."""

from typing import TypeVar

import aiohttp
import msgspec

from goalkick.common.adapters.budget.wire import (
    LEASES,
    NEWS,
    LeaseReply,
    LeaseRequest,
    News,
    NewsReply,
    Problem,
)
from goalkick.common.core.errors import InvalidDataError, TransientError
from goalkick.common.values.time import NS_PER_SECOND

Reply = TypeVar("Reply")


class UnreachableError(TransientError):
    """The limiter does not answer, or cannot do its work."""


class Link:
    """One copy's connections to the limiter."""

    def __init__(self, url: str, patience_s: float) -> None:
        """Connects when it is first used.

        Args:
            url: where the limiter is, without a final slash.
            patience_s: longest wait for an answer, besides what the limiter may hold it back.
        """
        self._url = url
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def lease(self, request: LeaseRequest) -> LeaseReply:
        """Asks for calls.

        Raises:
            UnreachableError: there was no answer in time, or no lease to be had.
            InvalidDataError: the limiter does not know such calls, or they never fit.
        """
        return await self._post(LEASES, request, LeaseReply, request.hold_ns / NS_PER_SECOND)

    async def tell(self, news: News) -> NewsReply:
        """Passes on news.

        Raises:
            UnreachableError: there was no answer in time.
            InvalidDataError: the limiter does not understand it.
        """
        return await self._post(NEWS, news, NewsReply, 0.0)

    async def close(self) -> None:
        """Ends all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, path: str, body: object, kind: type[Reply], held_s: float) -> Reply:
        if self._session is None:
            # As many connections as there are lanes: an ask that is held must not hold up another.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        timeout = aiohttp.ClientTimeout(total=held_s + self._patience_s)
        try:
            async with self._session.post(
                self._url + path, data=msgspec.json.encode(body), timeout=timeout
            ) as response:
                data = await response.read()
                if response.status == 400:
                    raise InvalidDataError(msgspec.json.decode(data, type=Problem).error)
                response.raise_for_status()
                return msgspec.json.decode(data, type=kind)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            raise UnreachableError(
                f"budget: expected an answer of the limiter at {self._url}, found "
                f"{type(error).__name__}: {error}"
            ) from None
