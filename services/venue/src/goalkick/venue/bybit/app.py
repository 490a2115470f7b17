"""The Bybit front end as a web application."""

from collections.abc import AsyncIterator

from aiohttp import web

from goalkick.venue.bybit.front import Front
from goalkick.venue.bybit.hub import Hub
from goalkick.venue.bybit.private import PrivateSession
from goalkick.venue.bybit.public import PublicSession
from goalkick.venue.bybit.rest import FRONT_END, add_routes
from goalkick.venue.bybit.trading import TradeSession
from goalkick.venue.context import Context
from goalkick.venue.rest_faults import note_in, strike_requests


def build(context: Context) -> web.Application:
    """All of it: REST under `/v5`, WebSockets at `/v5/public/spot`, `/v5/private`, `/v5/trade`."""
    front = Front(context)
    hub = Hub(front)
    app = web.Application(
        middlewares=[strike_requests(context.faults, note_in(context, FRONT_END))]
    )
    add_routes(app, front)

    async def public(request: web.Request) -> web.StreamResponse:
        return await PublicSession(front, request).joined(hub).run()

    async def private(request: web.Request) -> web.StreamResponse:
        return await PrivateSession(front, request).listening().run()

    async def trade(request: web.Request) -> web.StreamResponse:
        return await TradeSession(front, request).run()

    async def alive(_: web.Application) -> AsyncIterator[None]:
        hub.start()
        front.dead_man.start()
        yield
        await front.dead_man.stop()
        await hub.stop()

    app.router.add_get("/v5/public/spot", public)
    app.router.add_get("/v5/private", private)
    app.router.add_get("/v5/trade", trade)
    app.cleanup_ctx.append(alive)
    return app
