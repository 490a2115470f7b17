"""Feeds, downloads and live execution call one address through the limiter: none is refused.

The venue's clock runs ten times as fast as ours, so its minute passes in six seconds.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.adapters.budget.metered import Metering, call_of, prioritised
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import TransientError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import PlaceOrder
from goalkick.common.ports.budget import Budget, BudgetTimeoutError
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.client import VenueClient
from goalkick.ingest.archive.client import History
from goalkick.ingest.feeds.ccxt_venue import CcxtVenue
from goalkick.ingest.settings import CcxtVenueSettings
from goalkick.limiter.service import limiter
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import NOWHERE, quiet_settings
from tests.conformance.test_budget_under_flood import (
    SECRET,
    TABLE,
    WINDOW_S,
    _settings,
    state,
    venue,
)

__all__ = ["state", "venue"]
pytestmark = pytest.mark.slow

DIALECT = BinanceDialect()
FEEDS, DOWNLOADS, TRADERS = 3, 3, 4


class Trader:
    """A client of live execution that places orders far from the market, and cancels each."""

    def __init__(self, server: VenueServer, budget: Budget | None, number: int) -> None:
        settings = VenueSettings(
            name="binance",
            endpoint=server.binance_url,
            key=Secret("env:KEY", "k" * 64),
            secret=Secret("env:SECRET", SECRET),
        )
        metering = Metering(budget, "main", patience_s=60.0) if budget else None
        self.client = VenueClient(settings, DIALECT, f"trader {number}", metering=metering)
        self.cancels: list[float] = []
        self._server = server
        self._names = (ClientOrderId(f"gk-{number}-{count}") for count in itertools.count())

    async def work(self, over: Callable[[], bool]) -> None:
        await self.client.load()
        symbol = await self.client.symbol(InstrumentId("binance:BTC/USDT"))
        while not over():
            name = next(self._names)
            with prioritised("open"):
                await self._signed(DIALECT.place(self.client.trading, _order(name), symbol))
            since = time.monotonic()
            await self._signed(DIALECT.cancel(self.client.trading, name, symbol))
            self.cancels.append(time.monotonic() - since)
        await self.client.close()

    async def _signed(self, call: Awaitable[object]) -> None:
        # The venue's clock runs away from ours.
        ours_ms = time.time_ns() // 1_000_000
        options = self.client.trading.options
        options["timeDifference"] = ours_ms - self._server.clock.now_ms()
        await call


def _order(name: ClientOrderId) -> PlaceOrder:
    return PlaceOrder(
        time_ns=0,
        client_order_id=name,
        instrument=InstrumentId("binance:BTC/USDT"),
        side=Side.BUY,
        quantity=Decimal("0.001"),
        kind=OrderKind.LIMIT,
        limit_price=Decimal(50_000),
        stop_price=None,
        reduce_only=False,
        time_in_force=TimeInForce.UNTIL_CANCELLED,
    )


def _market(server: VenueServer) -> CcxtVenueSettings:
    return CcxtVenueSettings(
        venue="binance",
        instruments=("BTC/USDT",),
        interval=NS_PER_MINUTE,
        endpoint=server.binance_url,
    )


async def feed(server: VenueServer, budget: Budget | None, over: Callable[[], bool]) -> None:
    async with await CcxtVenue.connect(_market(server), budget) as market:
        (rules,) = (await market.rules()).values()
        while not over():
            now_ns = server.clock.now_ns()
            await market.closed_bars(rules, now_ns - 10 * NS_PER_MINUTE, now_ns)


async def download(server: VenueServer, budget: Budget | None, over: Callable[[], bool]) -> None:
    async with await History.connect(_market(server), budget=budget) as history:
        await history.check(("BTC/USDT",))
        while not over():
            now_ns = server.clock.now_ns()
            await history.candles("BTC/USDT", now_ns - 50 * NS_PER_MINUTE, None, 50)


def after(length_s: float) -> Callable[[], bool]:
    end = time.monotonic() + length_s
    return lambda: time.monotonic() > end


async def everybody(
    server: VenueServer, budgets: Iterator[Budget | None], over: Callable[[], bool]
) -> Sequence[Trader]:
    traders = [Trader(server, next(budgets), number) for number in range(TRADERS)]
    async with asyncio.TaskGroup() as group:
        for trader in traders:
            group.create_task(trader.work(over))
        for _ in range(FEEDS):
            group.create_task(feed(server, next(budgets), over))
        for _ in range(DOWNLOADS):
            group.create_task(download(server, next(budgets), over))
    return traders


@asynccontextmanager
async def limited(url: str) -> AsyncIterator[Iterator[Budget]]:
    """A budget for each copy, all at one limiter."""
    async with AsyncExitStack() as stack:

        def budgets() -> Iterator[Budget]:
            while True:
                budget = HttpBudget(url, SystemClock(), TABLE, copies=10)
                stack.push_async_callback(budget.close)
                yield budget

        yield budgets()


def statuses(server: VenueServer) -> Counter[int]:
    return Counter(entry.status for entry in server.context.requests.entries())


async def test_ten_real_callers_are_never_refused_and_cancels_take_less_than_a_second(
    venue: VenueServer, state: Path
) -> None:
    async with (
        limiter(_settings(state), CollectorRegistry()) as url,
        limited(url) as budgets,
    ):
        traders = await everybody(venue, budgets, after(2.2 * WINDOW_S))
    found = statuses(venue)
    assert not found[429]
    assert not found[418]
    cancels = sorted(wait for trader in traders for wait in trader.cancels)
    assert len(cancels) > 50
    assert cancels[len(cancels) * 99 // 100] < 1.0


async def test_an_order_without_leave_in_time_is_not_sent(venue: VenueServer) -> None:
    budget = MemoryBudget(SystemClock(), TABLE)
    trader = Trader(venue, budget, 0)
    client = trader.client
    await client.load()
    budget.assume(1.0)
    before = len(venue.context.requests.entries())
    impatient = VenueClient(
        client.settings, DIALECT, "impatient", metering=Metering(budget, "main", patience_s=0.05)
    )
    impatient.rest = client.rest
    impatient._library = client._library
    trading = impatient.make()
    with pytest.raises(BudgetTimeoutError) as refused:
        await DIALECT.place(trading, _order(ClientOrderId("gk-1")), "BTCUSDT")
    assert impatient.is_refusal(refused.value), "it is not there, and will not be"
    assert len(venue.context.requests.entries()) == before
    await trading.close()
    await client.close()
    await budget.close()


async def test_without_the_limiter_a_cancel_goes_and_an_order_is_not_sent(
    venue: VenueServer,
) -> None:
    trader = Trader(venue, None, 0)
    client = trader.client
    await client.load()
    await DIALECT.place(client.trading, _order(ClientOrderId("gk-1")), "BTCUSDT")
    budget = HttpBudget(NOWHERE, SystemClock(), TABLE, copies=10)
    alone = VenueClient(
        client.settings, DIALECT, "alone", metering=Metering(budget, "main", patience_s=0.3)
    )
    alone.rest, alone._library = client.rest, client._library
    trading = alone.make()
    trading.options["timeDifference"] = time.time_ns() // 1_000_000 - venue.clock.now_ms()
    before = placements(venue)
    with prioritised("open"), pytest.raises(BudgetTimeoutError):
        await DIALECT.place(trading, _order(ClientOrderId("gk-2")), "BTCUSDT")
    assert placements(venue) == before
    since = time.monotonic()
    trading.options["timeDifference"] = time.time_ns() // 1_000_000 - venue.clock.now_ms()
    await DIALECT.cancel(trading, ClientOrderId("gk-1"), "BTCUSDT")
    assert time.monotonic() - since < 2.0
    assert venue.exchange.open_orders("main") == []
    await trading.close()
    await client.close()
    await budget.close()


async def test_a_good_answer_of_bybits_that_says_too_often_stops_all_calls_for_a_while() -> None:
    async with VenueServer(quiet_settings()) as server:
        settings = CcxtVenueSettings(
            venue="bybit",
            instruments=("BTC/USDT",),
            interval=NS_PER_MINUTE,
            endpoint=server.bybit_url,
        )
        async with await CcxtVenue.connect(settings, MemoryBudget(SystemClock())) as market:
            (rules,) = (await market.rules()).values()
            now_ns = server.clock.now_ns()
            began = time.monotonic()
            await market.closed_bars(rules, now_ns - 10 * NS_PER_MINUTE, now_ns)
            assert time.monotonic() - began < 0.5
            for each in preset("F11").faults:
                server.faults.arm(msgspec.structs.replace(each, count=1))
            with pytest.raises(TransientError):
                await market.closed_bars(rules, now_ns - 10 * NS_PER_MINUTE, now_ns)
            began = time.monotonic()
            await market.closed_bars(rules, now_ns - 10 * NS_PER_MINUTE, now_ns)
            assert time.monotonic() - began > 0.9


def placements(server: VenueServer) -> int:
    return sum(entry.method == "POST /api/v3/order" for entry in server.context.requests.entries())


@pytest.mark.parametrize(
    ("api", "method", "path", "params", "call"),
    [
        ("public", "GET", "depth", {"limit": 20}, "depth_100"),
        ("public", "GET", "depth", {"limit": 1000}, "depth_1000"),
        ("public", "GET", "depth", {}, "depth_100"),
        ("private", "GET", "openOrders", {"symbol": "BTCUSDT"}, "open_orders"),
        ("private", "GET", "openOrders", {}, "open_orders_all"),
        ("private", "POST", "order", {}, "order"),
        ("private", "DELETE", "order", {}, "cancel"),
        ("fapiPublic", "GET", "klines", {}, None),
        ("sapi", "GET", "asset/tradeFee", {}, None),
    ],
)
def test_a_request_is_weighed_as_what_it_is(
    api: str, method: str, path: str, params: dict[str, object], call: str | None
) -> None:
    assert call_of("binance", api, method, path, params) == call
