"""The exchange in a box, running: front ends, control API and flow in one event loop."""

import os
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.venue import control
from goalkick.venue.accounts import Accounts, ApiKey
from goalkick.venue.binance import app as binance
from goalkick.venue.bybit import app as bybit
from goalkick.venue.certificates import make_tls
from goalkick.venue.clock import VenueClock
from goalkick.venue.context import Context
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.faults import Action, Fault, Faults, Point
from goalkick.venue.opening import open_market
from goalkick.venue.pump import Pump
from goalkick.venue.request_log import RequestLog
from goalkick.venue.settings import VenueSettings

STOP_S = 0.5
"""How long a request may still take when the venue stops."""

_BUILD: dict[str, Callable[[Context], web.Application]] = {
    "binance": binance.build,
    "bybit": bybit.build,
}


class VenueServer:
    """All of the venue; an async context manager. Ports are known once it is entered.

    Attributes:
        context: what the front ends share.
        urls: what is served -> its address, such as `http://127.0.0.1:8080`, without a slash at
            the end; WebSockets are on the same ports.
        pump: keeps the exchange alive.
    """

    def __init__(self, settings: VenueSettings, *, clock: VenueClock | None = None) -> None:
        """A venue that does not listen yet; its exchange, accounts and history are there.

        Args:
            settings: as configured.
            clock: the venue's; None: real time.
        """
        self.settings = settings
        clock = clock or VenueClock()
        exchange = Exchange(
            [rules.listing(name) for name, rules in settings.markets.items()],
            now_ns=clock.now_ns(),
        )
        self.context = Context(
            exchange=exchange,
            faults=Faults(seed=settings.seed),
            clock=clock,
            accounts=Accounts(),
            requests=RequestLog(),
            settings=settings,
        )
        self.keys: dict[str, ApiKey] = {}
        for name, account in settings.accounts.items():
            exchange.open_account(name, account.balances)
            self.keys[name] = self._key(name)
        trade = open_market(exchange, settings)
        self.pump = Pump(self.context, trade, interval_s=settings.flow.interval / NS_PER_SECOND)
        self.urls: dict[str, str] = {}
        self._stack = AsyncExitStack()

    @property
    def exchange(self) -> Exchange:
        """The deterministic core."""
        return self.context.exchange

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self.context.faults

    @property
    def clock(self) -> VenueClock:
        """The venue's clock."""
        return self.context.clock

    @property
    def binance_url(self) -> str:
        """Where Binance is served; REST, streams and WebSocket API."""
        return self.urls["binance"]

    @property
    def bybit_url(self) -> str:
        """Where Bybit is served; REST and all streams."""
        return self.urls["bybit"]

    @property
    def control_url(self) -> str:
        """Where the control API is served."""
        return self.urls["control"]

    async def __aenter__(self) -> Self:
        """Starts everything.

        Raises:
            SettingsError: a port is taken, or an address is not ours.
        """
        async with AsyncExitStack() as stack:
            tls = self.settings.tls
            context = make_tls(tls.folder, tls.names) if tls.enabled else None
            ports = {"binance": self.settings.binance_port, "bybit": self.settings.bybit_port}
            for name in self.settings.front_ends:
                await self._serve(stack, name, _BUILD[name](self.context), ports[name], context)
            app = control.build(self.context, self.pump)
            await self._serve(stack, "control", app, self.settings.control_port, None)
            self.pump.start()
            stack.push_async_callback(self.pump.stop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_sockets()
        await self._stack.aclose()

    async def _serve(
        self,
        stack: AsyncExitStack,
        name: str,
        app: web.Application,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        host = self.settings.host
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise SettingsError(
                f"expected to listen on {host}:{port} for {name}, "
                f"found: {os.strerror(error.errno or 0)}"
            ) from None
        scheme = "https" if tls else "http"
        self.urls[name] = f"{scheme}://{host}:{runner.addresses[0][1]}"

    def _close_sockets(self) -> None:
        self.faults.clear()
        self.faults.arm(
            Fault(name="stop", point=Point.NOW, action=Action.CLOSE, where="socket:*", count=None)
        )

    def _key(self, account: str) -> ApiKey:
        given = self.settings.accounts[account]
        if not given.key:
            return self.context.accounts.generate(account)
        key = ApiKey(key=given.key, secret=given.secret, account=account)
        self.context.accounts.add(key)
        return key
