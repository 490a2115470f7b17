"""Faults of HTTP requests, struck around whatever answers them. Shared by the front ends."""

import asyncio
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from goalkick.venue.context import Context
from goalkick.venue.faults import Action, Fault, Faults, Point
from goalkick.venue.wire import reset

STRUCK = web.RequestKey("struck", str)
"""Name of the fault that struck a request, for the request log."""

STALE = web.RequestKey("stale", Fault)
"""Is set where the handler is to answer with what was true earlier."""


def place_of(request: web.BaseRequest) -> str:
    """The place of a request, such as `rest:GET /api/v3/depth`."""
    return f"rest:{request.method} {request.path}"


Note = Callable[[web.Request, Fault, int], None]
"""Is told of a request that a fault kept from its handler, and of the status sent; 0: none."""


def note_in(context: Context, front_end: str) -> Note:
    """Writes such requests into the request log."""

    def note(request: web.Request, fault: Fault, status: int) -> None:
        context.requests.add(
            time_ns=context.clock.now_ns(),
            front_end=front_end,
            method=f"{request.method} {request.path}",
            params=request.query,
            status=status,
            fault=fault.name,
        )

    return note


def strike_requests(faults: Faults, note: Note | None = None) -> Middleware:
    """A middleware that lets requests and their replies fail; WebSocket handshakes pass.

    Args:
        faults: what is armed.
        note: is told of requests that never reach their handler; None: nobody is.
    """

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        if hdrs.UPGRADE in request.headers:
            return await handler(request)
        fault, early = await _fail(request, faults, Point.REQUEST)
        if early is not None:
            if fault is not None and note is not None:
                note(request, fault, early.status if fault.action is Action.ANSWER else 0)
            return early
        response = await handler(request)
        _, late = await _fail(request, faults, Point.ACCEPTED)
        return response if late is None else late

    return strike


def answer(fault: Fault) -> web.Response:
    """The reply that an `answer` fault says."""
    return web.Response(
        status=int(fault.number("status", 500)),
        text=fault.text("body"),
        headers=fault.table("headers"),
        content_type=fault.text("content_type", "application/json"),
    )


async def _fail(
    request: web.Request, faults: Faults, point: Point
) -> tuple[Fault | None, web.Response | None]:
    """Lets a request fail: what struck, and the reply; None: it goes on."""
    fault = faults.take(point, place_of(request))
    if fault is None:
        return None, None
    request[STRUCK] = fault.name
    reply: web.Response | None = None
    match fault.action:
        case Action.DELAY:
            await asyncio.sleep(faults.delay_s(fault, request.content_length or 0))
        case Action.STALE:
            request[STALE] = fault
        case Action.ANSWER:
            reply = answer(fault)
        case Action.RESET:
            reset(request)
            reply = web.Response()
        case _:
            if request.transport is not None:
                request.transport.close()
            reply = web.Response()
    return fault, reply
