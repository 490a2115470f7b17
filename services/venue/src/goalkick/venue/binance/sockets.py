"""One WebSocket of a client: handshake, pings, pace, the end after a day; and its faults.

What is said over it is the business of the two kinds that derive from it.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.binance import errors
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.front import FRONT_END, Front
from goalkick.venue.binance.rest import address_of
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.limits import Pace
from goalkick.venue.rest_faults import answer
from goalkick.venue.wire import Wire, reset

CLOSE_TIMEOUT_S = 1.0
"""How long a client may take to answer a close frame."""


class Socket(ABC):
    """A connection; `run` serves it until it ends."""

    place: ClassVar[str]
    """Where faults strike it, such as `socket:stream`."""
    paced: ClassVar[bool]
    """Whether the number of messages a second is limited."""
    handshake_weight: ClassVar[int]
    """Request weight of a connect."""

    wire: Wire

    def __init__(self, front: Front, request: web.Request) -> None:
        self.front = front
        self.request = request
        self.address = address_of(request)
        self.connected_ns = front.now_ns()
        self._ended = asyncio.Event()
        self._pace = Pace(front.settings.message_rate)
        self._pong_s = self._now_s()
        self._connection = web.WebSocketResponse(autoping=False, timeout=CLOSE_TIMEOUT_S)

    async def run(self) -> web.StreamResponse:
        """Serves the connection until it ends; returns what was answered to the handshake."""
        fault = self.front.context.faults.take(Point.HANDSHAKE, self.place)
        if fault is not None and (failed := await self._fail_handshake(fault)) is not None:
            return self._logged(failed)
        try:
            self._admit()
        except ApiError as error:
            return self._logged(_refusal(error))
        await self._connection.prepare(self.request)
        self._logged(self._connection)
        async with self._make_wire() as self.wire:
            if fault is not None:
                self.wire.strike(fault)
            await self._serve()
        return self._connection

    def end(self) -> None:
        """Ends the connection at once, half open or not."""
        self._ended.set()
        reset(self.request)

    @abstractmethod
    def opened(self) -> None:
        """The connection can be written to."""

    @abstractmethod
    def left(self) -> None:
        """The connection is over."""

    @abstractmethod
    async def on_text(self, text: str) -> None:
        """The client said something."""

    @abstractmethod
    def shutdown(self, fault: Fault | None = None) -> None:
        """Tells the client that the connection will soon end."""

    @abstractmethod
    def terminate(self, fault: Fault | None = None) -> None:
        """Ends what the client hears of its account."""

    def _make_wire(self) -> Wire:
        return Wire(
            self.request,
            self._connection,
            self.front.context.faults,
            self.place,
            queue_limit=self.front.settings.queue_limit,
            terminate=self.terminate,
            shutdown=self.shutdown,
        )

    async def _serve(self) -> None:
        tasks = [
            asyncio.create_task(self._keep_alive(), name=f"{self.place} pings"),
            asyncio.create_task(self._age(), name=f"{self.place} age"),
        ]
        try:
            self.opened()
            await self._read()
        finally:
            self.left()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _admit(self) -> None:
        """Counts the connect.

        Raises:
            ApiError: the address is banned, or connects too often.
        """
        now_ns = self.front.now_ns()
        # A weight of 0 passes a full minute and fails on a ban, as a handshake should.
        self.front.spend(self.address, self.handshake_weight)
        if refusal := self.front.connects.connect(self.address, now_ns):
            raise errors.too_many_connects(refusal, self.front.connects.rate, now_ns)

    async def _fail_handshake(self, fault: Fault) -> web.StreamResponse | None:
        """Lets a handshake fail; None: the connection comes about (and may fail then)."""
        match fault.action:
            case Action.ANSWER:
                return answer(fault)
            case Action.RESET:
                reset(self.request)
                return web.Response()
            case Action.DELAY:
                await asyncio.sleep(self.front.context.faults.delay_s(fault))
        return None

    def _logged(self, response: web.StreamResponse) -> web.StreamResponse:
        self.front.context.requests.add(
            time_ns=self.front.now_ns(),
            front_end=FRONT_END,
            method=f"WS {self.request.path}",
            params=dict(self.request.query),
            status=response.status,
        )
        return response

    async def _read(self) -> None:
        async for message in self._connection:
            if self.wire.muted:
                break
            if message.type is WSMsgType.PONG:
                self._pong_s = self._now_s()
            if self.paced and not self._pace.takes(int(self._now_s() * NS_PER_SECOND)):
                await self._connection.close(
                    code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests"
                )
                return
            if message.type is WSMsgType.PING:
                await self._pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await self.on_text(message.data)
        if self.wire.muted:
            await self._ended.wait()

    async def _pong(self, data: bytes) -> None:
        faults = self.front.context.faults
        fault = faults.take(Point.PONG, self.place)
        if fault is not None:
            if fault.action is not Action.DELAY:
                self.wire.strike(fault)
                return
            await asyncio.sleep(faults.delay_s(fault))
        if not self._connection.closed:
            await self._connection.pong(data)

    async def _keep_alive(self) -> None:
        settings = self.front.settings
        while True:
            await asyncio.sleep(settings.ping_interval / NS_PER_SECOND)
            if self._now_s() - self._pong_s >= settings.pong_timeout / NS_PER_SECOND:
                self.wire.close(WSCloseCode.POLICY_VIOLATION, "Pong timeout")
                return
            if not self.wire.muted and not self._connection.closed:
                await self._connection.ping(str(self.front.context.clock.now_ms()).encode())

    async def _age(self) -> None:
        """Ends the connection at its end of life, with a notice before."""
        settings = self.front.settings
        notice_s = min(settings.shutdown_notice, settings.connection_lifetime) / NS_PER_SECOND
        await asyncio.sleep(settings.connection_lifetime / NS_PER_SECOND - notice_s)
        self.shutdown()
        await asyncio.sleep(notice_s)
        if self.wire.muted:
            self.end()
        self.wire.close(WSCloseCode.OK, "")

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _refusal(error: ApiError) -> web.Response:
    return web.Response(
        body=msgspec.json.encode({"code": error.code, "msg": error.msg}),
        status=error.status,
        headers=error.headers,
        content_type="application/json",
    )
