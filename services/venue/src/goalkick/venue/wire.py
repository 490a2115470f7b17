"""A WebSocket that can fail: frames go out through it, and faults of frames strike here.

One writer task a connection sends what is queued, in order; a fault that delays one frame delays
those behind it. Shared by the front ends; it knows no protocol.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import WSCloseCode, web

from goalkick.venue.faults import Action, Fault, Faults, Point

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: the kernel sends RST instead of FIN."""


def reset(request: web.BaseRequest) -> None:
    """Aborts the connection of a request, as a crashed machine or a firewall would (RST)."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


class Wire:
    """The sending side of one WebSocket connection; an async context manager.

    Attributes:
        muted: whether the connection is half open: nothing is sent or read any more.
    """

    def __init__(
        self,
        request: web.Request,
        connection: web.WebSocketResponse,
        faults: Faults,
        where: str,
        *,
        queue_limit: int = 10_000,
        terminate: Callable[[Fault], None] | None = None,
        shutdown: Callable[[Fault], None] | None = None,
    ) -> None:
        """A wire over a connection that has been prepared.

        Args:
            request: that asked for the connection.
            connection: made with `autoping=False`.
            faults: asked before each frame.
            where: the connection's place, such as `socket:stream`.
            queue_limit: frames that may wait; one more ends the connection.
            terminate: ends the user stream with the venue's notice, if there is one.
            shutdown: sends the venue's notice of a shutdown, if there is one; a close follows.
        """
        self._request = request
        self._connection = connection
        self._faults = faults
        self.where = where
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(queue_limit)
        self._notices = {Action.TERMINATE: terminate, Action.SHUTDOWN: shutdown}
        self._held: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._leave: Callable[[], None] = lambda: None
        self._hold_s = 0.0
        self._over = asyncio.Event()
        self.muted = False

    async def __aenter__(self) -> Self:
        self._leave = self._faults.attend(self.where, self.strike)
        self._start(self._write())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, where: str, text: str) -> None:
        """Queues a frame.

        Args:
            where: its place, such as `stream:btcusdt@trade`; "" for acknowledgements and
                replies, which no fault of frames strikes.
            text: what is sent.
        """
        try:
            self._queue.put_nowait((where, text))
        except asyncio.QueueFull:
            self.reset()

    def strike(self, fault: Fault) -> None:
        """Does to the connection what a fault says: reset, close, half-open, or a notice."""
        match fault.action:
            case Action.RESET | Action.LOSE_REPLY:
                self.reset()
            case Action.CLOSE:
                self.close(int(fault.number("code", WSCloseCode.GOING_AWAY)), fault.text("reason"))
            case Action.HALF_OPEN:
                self.mute()
            case Action.TERMINATE:
                self._notify(fault)
            case Action.SHUTDOWN:
                self._notify(fault)
                self.close(WSCloseCode.GOING_AWAY, "", after_s=fault.number("grace_s"))
            case _:
                pass

    def reset(self) -> None:
        """Aborts the connection."""
        self._over.set()
        reset(self._request)

    def mute(self) -> None:
        """Makes the connection half open, for as long as the client leaves it so."""
        self.muted = True
        if self._request.transport is not None:
            self._request.transport.pause_reading()

    def close(self, code: int, reason: str, *, after_s: float = 0.0) -> None:
        """Closes the connection with a close frame, in the background; a half-open one is reset.

        Args:
            code: of the close frame.
            reason: of the close frame.
            after_s: seconds until then.
        """
        if self.muted:
            self.reset()
        else:
            self._start(self._close(code, reason, after_s))

    async def idle(self) -> None:
        """Waits until the connection is reset; what a reader does on a half-open one."""
        await self._over.wait()

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A connection that cannot send any more must not look alive.
            self.reset()

    async def _close(self, code: int, reason: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._connection.close(code=code, message=reason.encode())

    def _notify(self, fault: Fault) -> None:
        notice = self._notices[fault.action]
        if notice is not None:
            notice(fault)

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(None if self._held is None else self._hold_s):
                    where, text = await self._queue.get()
            except TimeoutError:
                await self._release()
                continue
            fault = self._faults.take(Point.FRAME, where) if where else None
            if fault is None:
                await self._put(text)
                await self._release()
            else:
                await self._fail(fault, text)

    async def _fail(self, fault: Fault, text: str) -> None:
        match fault.action:
            case Action.DROP:
                return
            case Action.DUPLICATE:
                for _ in range(int(fault.number("times", 2))):
                    await self._put(text)
            case Action.SWAP:
                await self._release()
                self._held, self._hold_s = text, fault.number("seconds", 1)
                return
            case Action.CORRUPT:
                await self._corrupt(fault, text)
            case Action.DELAY:
                await asyncio.sleep(self._faults.delay_s(fault, len(text)))
                await self._put(text)
            case _:
                self.strike(fault)
        await self._release()

    async def _corrupt(self, fault: Fault, text: str) -> None:
        fields = fault.table("merge")
        if fields:
            frame = msgspec.json.decode(text)
            if isinstance(frame, dict):
                text = msgspec.json.encode({**frame, **fields}).decode()
            await self._put(text)
            return
        await self._put(fault.text("text"))
        if fault.params.get("keep"):
            await self._put(text)

    async def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._put(held)

    async def _put(self, text: str) -> None:
        if self.muted or self._connection.closed:
            return
        # A client that is gone is the reader's business: it ends the connection.
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._connection.send_str(text)
