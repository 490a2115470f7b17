"""Bybit's WebSockets: public topics, the account's own, and orders.

All three speak the same way: JSON objects with `op`, answered one by one.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit.front import Front
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.rest_faults import answer
from goalkick.venue.wire import Wire, reset

Message = dict[str, Any]
_CLOSE_S = 0.5
"""How long a client has to answer a close frame."""


class Session:
    """One connection: reads requests, answers them, ends it when it must."""

    where = "socket:stream"

    def __init__(self, front: Front, request: web.Request) -> None:
        """A connection that is not open yet."""
        self.front = front
        self.request = request
        self.connection = web.WebSocketResponse(autoping=False, timeout=_CLOSE_S)
        self.wire = Wire(
            request,
            self.connection,
            front.context.faults,
            self.where,
            queue_limit=front.settings.queue_limit,
            terminate=self.terminate,
        )
        self.connection_id = secrets.token_hex(8)
        self.key: ApiKey | None = None
        self._numbers = itertools.count(1)

    async def run(self) -> web.StreamResponse:
        """Serves the connection until it ends."""
        early = await self._handshake()
        if early is not None:
            return early
        await self.connection.prepare(self.request)
        age_s = self.front.settings.connection_lifetime / NS_PER_SECOND
        try:
            async with self.wire:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(age_s):
                        await self._read()
                with contextlib.suppress(ConnectionError):
                    await self.connection.close(code=WSCloseCode.GOING_AWAY)
        finally:
            self.leave()
        return self.connection

    async def handle(self, message: Message) -> None:
        """Answers one request; subclasses say how."""
        raise NotImplementedError

    def leave(self) -> None:
        """Ends what the connection had subscribed to."""

    def alive(self) -> None:
        """The client has said something."""

    def terminate(self, fault: Fault) -> None:
        """The account's events end; Bybit has no notice of it."""

    def reply(self, message: Message) -> None:
        """Sends an answer."""
        self.wire.send("", msgspec.json.encode(message).decode())

    async def _handshake(self) -> web.StreamResponse | None:
        now_ns = self.front.context.clock.now_ns()
        refusal = self.front.connections.connect(self.request.remote or "", now_ns)
        if refusal is not None:
            return web.Response(status=403, text="access too frequent")
        faults = self.front.context.faults
        fault = faults.take(Point.HANDSHAKE, self.where)
        if fault is None:
            return None
        match fault.action:
            case Action.ANSWER:
                return answer(fault)
            case Action.DELAY:
                await asyncio.sleep(faults.delay_s(fault))
            case Action.HALF_OPEN:
                self.wire.muted = True
            case Action.CLOSE:
                await self.connection.prepare(self.request)
                await self.connection.close(code=int(fault.number("code", 1001)))
                return self.connection
            case _:
                reset(self.request)
                return web.Response()
        return None

    async def _read(self) -> None:
        silence_s = self.front.settings.silence / NS_PER_SECOND
        while not self.wire.muted:
            message = await self.connection.receive(timeout=silence_s)
            if self.wire.muted:
                break
            self.alive()
            match message.type:
                case WSMsgType.TEXT:
                    await self._take(message.data)
                case WSMsgType.PING:
                    await self._pong(message.data)
                case WSMsgType.PONG:
                    pass
                case _:
                    return
        self.wire.mute()
        await self.wire.idle()

    async def _take(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.MsgspecError:
            self.reply({"success": False, "ret_msg": "error:invalid json", "op": ""})
            return
        self.front.context.advance()
        if message.get("op") == "ping":
            await self._text_pong(message)
        else:
            await self.handle(message)

    async def _pong(self, data: bytes) -> None:
        if await self._pong_passes():
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self.connection.pong(data)

    async def _text_pong(self, message: Message) -> None:
        if await self._pong_passes():
            self.reply(self.pong(message))

    def pong(self, message: Message) -> Message:
        """The answer to a ping."""
        return {
            "req_id": message.get("req_id", ""),
            "op": "pong",
            "args": [str(self.front.now_ms())],
            "conn_id": self.connection_id,
        }

    async def _pong_passes(self) -> bool:
        faults = self.front.context.faults
        fault = faults.take(Point.PONG, self.where)
        if fault is None:
            return True
        if fault.action is Action.DELAY:
            await asyncio.sleep(faults.delay_s(fault))
            return True
        if fault.action is not Action.DROP:
            self.wire.strike(fault)
        return False

    async def acknowledge(
        self, where: str, yes: Message, no: Callable[[str], Message], effect: Callable[[], None]
    ) -> None:
        """Lets a subscription or login take effect and confirms it, unless a fault has it fail.

        Args:
            where: its place, such as `stream:publicTrade.BTCUSDT`.
            yes: the confirmation.
            no: the refusal, of a text.
            effect: what it brings about.
        """
        faults = self.front.context.faults
        fault = faults.take(Point.SUBSCRIBE, where)
        match fault.action if fault else None:
            case Action.REJECT if fault:
                self.reply(no("error:rejected") | _object(fault.text("body")))
                return
            case Action.LOSE_ACK:
                effect()
                return
            case Action.DELAY if fault:
                await asyncio.sleep(faults.delay_s(fault))
            case None:
                pass
            case _ if fault:
                self.wire.strike(fault)
                return
        self.reply(yes)
        effect()


def _object(text: str) -> Message:
    """Members of a JSON object that a fault brings; none if it is no object."""
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text, type=dict[str, Any])
    return {}


def words_of(message: Message) -> list[str]:
    """The arguments of a request as texts.

    Raises:
        InvalidDataError: they are no list.
    """
    args = message.get("args")
    if not isinstance(args, list):
        raise InvalidDataError("expected a list of topics in args")
    return [str(arg) for arg in args]
