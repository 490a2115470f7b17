"""A Binance front end with a quiet market: nothing happens in it that a test did not do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web

from goalkick.venue.accounts import Accounts, ApiKey
from goalkick.venue.binance.app import build
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.clock import VenueClock
from goalkick.venue.context import Context
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Kind, Listing, NewOrder, Order, Side, TimeInForce
from goalkick.venue.faults import Action, Fault, Faults, Params, Point
from goalkick.venue.request_log import RequestLog
from goalkick.venue.settings import VenueSettings

KEY = ApiKey(key="k" * 64, secret="s" * 64, account="main")
OTHER = ApiKey(key="o" * 64, secret="t" * 64, account="other")

BTC, ETH, LIFE = "BTC/USDT", "ETH/USDT", "币安人生/USDT"

WEALTH = {"USDT": Decimal(100_000), "BTC": Decimal(10), "ETH": Decimal(100)}


def listings() -> list[Listing]:
    """What is listed: one symbol is not ASCII."""
    return [
        Listing(instrument=name, base=name.split("/")[0], quote="USDT") for name in (BTC, ETH, LIFE)
    ]


def context(clock: VenueClock | None = None, **settings: Any) -> Context:
    """An exchange and its surroundings; `settings` are those of the front end."""
    clock = clock or VenueClock()
    exchange = Exchange(listings(), now_ns=clock.now_ns())
    accounts = Accounts()
    for key in (KEY, OTHER):
        accounts.add(key)
        exchange.open_account(key.account, WEALTH)
    exchange.open_account("maker", {asset: one * 1_000 for asset, one in WEALTH.items()})
    return Context(
        exchange=exchange,
        faults=Faults(),
        clock=clock,
        accounts=accounts,
        requests=RequestLog(),
        settings=VenueSettings(binance=BinanceSettings(**settings)),
    )


@dataclass(frozen=True)
class Box:
    """A running front end.

    Attributes:
        url: its address.
        context: what is behind it.
    """

    url: str
    context: Context

    @property
    def exchange(self) -> Exchange:
        """The core."""
        return self.context.exchange

    def quote(self, *, levels: int = 5, instrument: str = BTC) -> None:
        """Fills the book: one unit at each of 99, 98, ... and 101, 102, ..."""
        for step in range(levels):
            self.make(Side.BUY, 99 - step, instrument=instrument)
            self.make(Side.SELL, 101 + step, instrument=instrument)

    def make(
        self,
        side: Side,
        price: int | str | None,
        quantity: int | str = 1,
        *,
        instrument: str = BTC,
        account: str = "maker",
    ) -> Order:
        """Somebody places an order; without a price it takes what is there."""
        self.context.advance()
        request = NewOrder(
            instrument=instrument,
            side=side,
            kind=Kind.MARKET if price is None else Kind.LIMIT,
            price=None if price is None else Decimal(price),
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.GTC,
        )
        return self.exchange.place(account, request)

    def arm(
        self, point: Point, where: str, action: Action, *, count: int | None = 1, **params: Any
    ) -> None:
        """Arms a fault."""
        given: Params = params
        self.context.faults.arm(
            Fault(name="test", point=point, where=where, action=action, count=count, params=given)
        )


@asynccontextmanager
async def binance_box(clock: VenueClock | None = None, **settings: Any) -> AsyncIterator[Box]:
    """Serves a quiet market on loopback."""
    behind = context(clock, **settings)
    runner = web.AppRunner(build(behind), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Box(f"http://127.0.0.1:{runner.addresses[0][1]}", behind)
    finally:
        await runner.cleanup()
