"""Asks a broker for one thing at a time, as somebody, and hears whether it is denied.

Real requests, the smallest there are: no client stands between that hides a denial or retries.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from goalkick.common.adapters.log.connection import connected
from goalkick.common.runtime.settings import KafkaSettings

PATIENCE_S = 20
_NOT_YET = (LeaderNotAvailableError.errno, NotLeaderForPartitionError.errno)
_DENIED = (TopicAuthorizationFailedError.errno, GroupAuthorizationFailedError.errno)


class Visitor:
    """Somebody at the broker; each method says whether the thing is allowed."""

    def __init__(self, connection: AIOKafkaConnection) -> None:
        self._connection = connection

    async def read(self, topic: str) -> bool:
        """Whether records can be fetched."""

        async def code() -> int:
            request = FetchRequest(100, 0, 1000, 0, [(topic, [(0, 0, 1000)])])
            answer = await self._connection.send(request)
            return int(answer.topics[0][1][0][1])

        return await _allowed(code, topic)

    async def write(self, topic: str) -> bool:
        """Whether a record can be written; it is."""
        batch = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1000)
        batch.append(0, timestamp=1, key=b"key", value=b"of a test", headers=[])
        record = bytes(batch.build())

        async def code() -> int:
            request = ProduceRequest(None, -1, 10_000, [(topic, [(0, record)])])
            answer = (await self._connection.send(request)).to_object()
            return int(answer["topics"][0]["partitions"][0]["error_code"])

        return await _allowed(code, topic)

    async def join(self, group: str) -> bool:
        """Whether a member can join; it is gone with the connection."""
        request = JoinGroupRequest(group, 6000, 6000, "", None, "consumer", [("range", b"")])
        answer = await self._connection.send(request)
        # Anything but a denial comes from beyond the gate: the group asks for a member's id first.
        return answer.error_code not in _DENIED


async def _allowed(ask: Callable[[], Awaitable[int]], topic: str) -> bool:
    """Asks until the broker, which may be new to a partition, has an answer."""
    async with asyncio.timeout(PATIENCE_S):
        while (code := await ask()) in _NOT_YET:  # noqa: ASYNC110 -- a broker tells nobody
            await asyncio.sleep(0.05)
    assert code in (0, *_DENIED), f"{topic}: {for_code(code).__name__}"
    return code == 0


@contextlib.asynccontextmanager
async def visiting(settings: KafkaSettings) -> AsyncIterator[Visitor]:
    """Somebody who came in."""
    async with connected(settings, "visitor") as connection:
        yield Visitor(connection)
