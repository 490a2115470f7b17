"""The limiter over HTTP: leases, news, and what is used."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from aiohttp import web

from goalkick.common.adapters.budget.desk import Desk
from goalkick.common.adapters.budget.wire import (
    LEASES,
    NEWS,
    USAGE,
    LeaseReply,
    LeaseRequest,
    News,
    NewsReply,
    Problem,
    Report,
)
from goalkick.common.core.budget.asks import Caller, Lease
from goalkick.common.core.errors import InvalidDataError, SettingsError, TransientError
from goalkick.common.ports.clock import Clock
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_SECOND

LONGEST_HOLD_NS = 30 * NS_PER_SECOND
"""No ask is kept open for longer, whatever it says: a dead copy would keep its place in vain."""

STOP_S = 0.5
"""How long asks that are open at the end have to leave."""

Body = TypeVar("Body")


class Counter:
    """Where copies are served."""

    def __init__(self, desk: Desk, clock: Clock, venues: tuple[str, ...], metrics: Metrics) -> None:
        """Opens.

        Args:
            desk: hands out the leases.
            clock: the desk's.
            venues: names of all venues, for pauses.
            metrics: where it is counted.
        """
        self._desk = desk
        self._clock = clock
        self._venues = venues
        self._metrics = metrics

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_refusing])
        app.router.add_post(LEASES, self._lease)
        app.router.add_post(NEWS, self._news)
        app.router.add_get(USAGE, self._usage)
        return app

    async def _lease(self, request: web.Request) -> web.Response:
        ask = await _read(request, LeaseRequest)
        try:
            async with asyncio.timeout(min(ask.hold_ns, LONGEST_HOLD_NS) / NS_PER_SECOND):
                before_ns = self._clock.now_ns()
                lease = await self._desk.lease(
                    ask.caller,
                    ask.call,
                    ask.priority,
                    least=ask.least,
                    most=ask.most,
                    waited_ns=ask.waited_ns,
                )
        except TimeoutError:
            return _reply(LeaseReply(paused_ns=self._desk.paused_ns(ask.caller)))
        waited_ns = ask.waited_ns + self._clock.now_ns() - before_ns
        return _reply(self._handed_out(ask, lease, waited_ns))

    def _handed_out(self, ask: LeaseRequest, lease: Lease, waited_ns: int) -> LeaseReply:
        lasts_ns = lease.ends_ns - self._clock.now_ns()
        paused_ns = self._desk.paused_ns(ask.caller)
        if lasts_ns <= 0 or paused_ns:
            self._desk.settle(lease.id, lease.count)
            return LeaseReply(paused_ns=paused_ns)
        labels = {"venue": ask.caller.venue, "priority": ask.priority}
        self._metrics.counter(names.BUDGET_CALLS, **labels).inc(lease.count)
        self._metrics.histogram(names.BUDGET_WAIT_SECONDS, **labels).observe(
            waited_ns / NS_PER_SECOND
        )
        return LeaseReply(lease=lease.id, count=lease.count, lasts_ns=lasts_ns)

    async def _news(self, request: web.Request) -> web.Response:
        news = await _read(request, News)
        for one in news.reports:
            self._take(one)
        for spent in news.spent:
            self._desk.spend(spent.caller, spent.call, spent.count)
        for done in news.settled:
            self._desk.settle(done.lease, done.unused, whole=done.whole)
        pauses = {
            venue: paused_ns
            for venue in self._venues
            if (paused_ns := self._desk.paused_ns(Caller(venue, news.address)))
        }
        return _reply(NewsReply(pauses))

    def _take(self, report: Report) -> None:
        venue = report.caller.venue
        foreign = self._desk.observe(report.caller, report.used)
        if foreign:
            self._metrics.counter(names.BUDGET_FOREIGN, venue=venue).inc(foreign)
        if report.status != 200:
            self._desk.pause(report.caller, report.status, report.wait_ns)
            self._metrics.counter(names.BUDGET_PAUSES, venue=venue, status=str(report.status)).inc()

    async def _usage(self, _request: web.Request) -> web.Response:
        used = self._desk.core.usage(self._clock.now_ns())
        return _reply(
            {"/".join(key): {"used": used, "of": amount} for key, (used, amount) in used.items()}
        )


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serves while the block runs; yields the URL.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    # A copy that is gone must not be granted anything: its request is cancelled.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"limiter: expected an address to listen on, found {host}:{port}: {error}"
            ) from None
        bound = runner.addresses[0]
        yield f"http://{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


@web.middleware
async def _refusing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (InvalidDataError, msgspec.MsgspecError) as error:
        return _reply(Problem(str(error)), 400)
    except TransientError as error:
        return _reply(Problem(str(error)), 503)


async def _read(request: web.Request, kind: type[Body]) -> Body:
    return msgspec.json.decode(await request.read(), type=kind)


def _reply(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
