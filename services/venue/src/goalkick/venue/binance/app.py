"""Builds the Binance front end: which path leads to which door."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from goalkick.venue.binance.api_socket import ApiSocket
from goalkick.venue.binance.feed import Feed
from goalkick.venue.binance.front import FRONT_END, Front
from goalkick.venue.binance.rest import ARRIVED, RestDoor
from goalkick.venue.binance.sockets import Socket
from goalkick.venue.binance.stream_socket import StreamSocket
from goalkick.venue.context import Context
from goalkick.venue.rest_faults import STRUCK, strike_requests

API_PATH = "/ws-api/v3"
FRONT = web.AppKey("binance front", Front)
"""The front end's state, for those who built it."""


def build(context: Context) -> web.Application:
    """The front end of an exchange, ready to be served; needs no event loop yet."""
    front = Front(context)
    doors = _Doors(front)
    faults = strike_requests(context.faults)
    app = web.Application(middlewares=[_log_struck(context), faults])
    app[FRONT] = front
    app.router.add_route("*", "/{path:.*}", doors.enter)
    app.cleanup_ctx.append(doors.opened)
    app.on_shutdown.append(doors.end_sockets)
    return app


def _log_struck(context: Context) -> Middleware:
    """A middleware that logs the requests that a fault kept from the door."""

    @web.middleware
    async def log(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if STRUCK in request and ARRIVED not in request:
            gone = request.transport is None or request.transport.is_closing()
            context.requests.add(
                time_ns=context.clock.now_ns(),
                front_end=FRONT_END,
                method=f"{request.method} {request.path}",
                params=dict(request.query),
                status=0 if gone else response.status,
                fault=request[STRUCK],
            )
        return response

    return log


class _Doors:
    """Sends each request to its door."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._feed = Feed(front)
        self._rest = RestDoor(front)
        self._sockets: set[Socket] = set()

    async def opened(self, app: web.Application) -> AsyncIterator[None]:
        """Tells the streams while the app runs."""
        self._feed.start()
        yield
        await self._feed.stop()
        self._front.close()

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Answers a request, or serves a WebSocket until it ends."""
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            return await self._rest.handle(request)
        socket = self._socket(request)
        if socket is None:
            return web.Response(status=404)
        self._sockets.add(socket)
        try:
            return await socket.run()
        finally:
            self._sockets.discard(socket)

    async def end_sockets(self, app: web.Application) -> None:
        """Ends all connections; aiohttp would wait for them."""
        for socket in tuple(self._sockets):
            socket.end()
        await asyncio.sleep(0)

    def _socket(self, request: web.Request) -> Socket | None:
        path = request.path
        if path.rstrip("/") == API_PATH:
            return ApiSocket(self._front, request)
        if path.startswith(("/ws", "/stream")):
            return StreamSocket(self._front, request, self._feed)
        return None
