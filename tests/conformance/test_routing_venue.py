"""One account's orders over a Binance and a Bybit: the cheapest split, and ledgers that agree."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import (
    Fill,
    OrderApproved,
    OrderExpired,
    OrderFilled,
    OrderKind,
    OrderRejected,
    OrderUnknown,
)
from goalkick.common.events.venue import PlaceOrder
from goalkick.common.ports.venue import Venue
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.execution.live import LiveExecution
from goalkick.execution.routing import VenueBook
from goalkick.execution.settings import ExecutionSettings
from goalkick.execution.venues.build import build_venue
from goalkick.execution.venues.routed import RoutingVenue
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.presets import USER, preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.conformance.listed import books_on
from tests.conformance.test_routing_on_two_venues import BTC, MARKETS, ORDERS, brute_force

pytestmark = pytest.mark.slow

D = Decimal
PATIENCE_S = 20
PROTOCOLS = {"east": "binance", "west": "bybit"}


class Floor:
    """The core on both accounts."""

    def __init__(self, servers: Mapping[str, VenueServer], venue: Venue) -> None:
        self.servers = servers
        self.venue = venue
        self.core = LiveExecution(ExecutionSettings())
        self.said: list[Event] = []
        self.placed = 0

    async def start(self) -> None:
        await self.venue.start()
        self.core.open(await self.venue.holdings())
        rules = Instrument(id=BTC, base="BTC", quote="USDT")
        self._say(
            self.core.handlers[InstrumentListed](
                InstrumentListed(time_ns=1, instrument=BTC, rules=rules)
            )
        )

    def books(self, side: Side) -> list[VenueBook]:
        """What both offer to whoever takes a side."""
        return books_on(self.servers, BTC, side)

    async def trade(self, side: Side, quantity: str, limit: str = "") -> Sequence[Event]:
        """One order, until it has ended; what was said of it."""
        order = EventId(derive_id(str(self.placed), "order"))
        self.placed += 1
        begun = len(self.said)
        self._say(
            self.core.handlers[OrderApproved](
                OrderApproved(
                    time_ns=time.time_ns(),
                    account=AccountId("main"),
                    order=order,
                    cause=EventId("c"),
                    client_order_id=client_order_id(order),
                    strategy=StrategyId("s"),
                    instrument=BTC,
                    side=side,
                    quantity=D(quantity),
                    kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
                    limit_price=D(limit) if limit else None,
                )
            )
        )
        async with asyncio.timeout(PATIENCE_S):
            while self.core.execution.busy and not (limit and self.accepted(order)):
                self._say(self.core.answer(await self.venue.answers(), time.time_ns()))
        return self.said[begun:]

    def accepted(self, order: EventId) -> bool:
        state = self.core.execution.working.get(client_order_id(order))
        return state is None or bool(state.venue_order_id)

    def restart(self) -> None:
        data = self.core.snapshot()
        self.core = LiveExecution(ExecutionSettings())
        self.core.restore(data)
        self._say(self.core.doubts(time.time_ns()))

    def fills(self, name: str) -> list[Any]:
        return list(self.servers[name].exchange.ledger().accounts["main"].fills)

    def orders(self, name: str) -> list[Any]:
        return list(self.servers[name].exchange.ledger().accounts["main"].orders)

    def _say(self, said: Sequence[Event]) -> None:
        self.said += said
        for command in self.core.commands():
            self.venue.carry_out(command)

    def assert_ledgers_agree(self) -> None:
        """What is believed here is what the two exchanges have together."""
        ledger, held = self.core.execution.ledger, {"BTC": ZERO, "USDT": ZERO}
        for server in self.servers.values():
            for name, balance in server.exchange.ledger().accounts["main"].balances.items():
                if name in held:
                    held[name] += balance.free + balance.locked
        assert ledger.cash == held["USDT"]
        assert ledger.positions[BTC].quantity == held["BTC"] - 20
        told = {f.trade_id for f in self.said if isinstance(f, Fill)}
        assert len(told) == sum(len(self.fills(name)) for name in self.servers)


def settings(servers: Mapping[str, VenueServer], **changes: Any) -> ExecutionSettings:
    venues = {
        name: {
            "name": PROTOCOLS[name],
            "endpoint": server.urls[PROTOCOLS[name]],
            "key": "env:KEY",
            "secret": "env:SECRET",
            "taker_fee": MARKETS[name].taker_fee,
            "recv_window": "1s",
            "engine_timeout": "0s",
            "margin": "200ms",
            "query_every": "50ms",
            "max_book_age": "5s",
            **changes.get(name, {}),
        }
        for name, server in servers.items()
    }
    return ExecutionSettings.model_validate({"venues": venues})


@pytest.fixture
async def servers() -> AsyncIterator[Mapping[str, VenueServer]]:
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                VenueServer(quiet_settings(markets={"BTC/USDT": market}))
            )
            for name, market in MARKETS.items()
        }


async def opened(
    servers: Mapping[str, VenueServer], stack: AsyncExitStack, **changes: Any
) -> Floor:
    stores = Stores(SecretsSettings(), VaultSettings(), {"KEY": KEY, "SECRET": SECRET})
    execution = stores.resolve_now(settings(servers, **changes))
    venue = build_venue(execution, stores)
    stack.push_async_callback(venue.close)
    floor = Floor(servers, venue)
    await floor.start()
    return floor


@pytest.fixture
async def floor(servers: Mapping[str, VenueServer]) -> AsyncIterator[Floor]:
    async with AsyncExitStack() as stack:
        yield await opened(servers, stack)


def paid(fill: Any) -> Decimal:
    """Notional and fee in quote currency; a fee in base currency at its trade's price."""
    sign = 1 if fill.side.value == "buy" else -1
    fee = fill.fee * (fill.price if fill.fee_asset == "BTC" else 1)
    return Decimal(sign * fill.price * fill.quantity + fee)


@pytest.mark.parametrize(("side", "quantity"), ORDERS)
async def test_an_order_is_split_at_the_least_cost_and_the_ledgers_agree(
    floor: Floor, side: Side, quantity: str
) -> None:
    least = brute_force(side, D(quantity), floor.books(side))
    said = await floor.trade(side, quantity)
    assert isinstance([e for e in said if isinstance(e, Fill)][-1], OrderFilled)
    fills = [fill for name in floor.servers for fill in floor.fills(name)]
    assert sum((fill.quantity for fill in fills), ZERO) == D(quantity)
    assert sum((paid(fill) for fill in fills), ZERO) == least
    floor.assert_ledgers_agree()


async def test_several_orders_and_a_restart_between_them(floor: Floor) -> None:
    await floor.trade(Side.BUY, "1.25")
    floor.restart()
    await floor.trade(Side.SELL, "1.15")
    floor.assert_ledgers_agree()
    await floor.venue.close()
    await floor.venue.start()
    floor.restart()
    await floor.trade(Side.BUY, "0.3")
    floor.assert_ledgers_agree()


async def test_what_waits_is_in_one_book_and_is_found_again(floor: Floor) -> None:
    await floor.trade(Side.BUY, "0.3", "50000")
    handle = next(iter(floor.core.execution.working))
    at = {n: len(s.exchange.open_orders("main")) for n, s in floor.servers.items()}
    assert at == {"east": 1, "west": 0}
    await floor.venue.close()
    await floor.venue.start()
    floor.restart()
    assert handle in floor.core.execution.working
    floor._say(floor.core.cancel_all(time.time_ns()))
    async with asyncio.timeout(PATIENCE_S):
        while floor.core.execution.busy:
            floor._say(floor.core.answer(await floor.venue.answers(), time.time_ns()))
    assert not floor.servers["east"].exchange.open_orders("main")


async def test_nothing_goes_where_an_orders_fate_is_not_known(floor: Floor) -> None:
    east = floor.servers["east"]
    east.faults.arm(preset("F4").faults[0])
    # Whoever asks about it gets no answer, and the stream says nothing.
    mute = Fault(name="mute", point=Point.FRAME, where=USER, action=Action.DROP, count=None)
    deaf = Fault(
        name="deaf",
        point=Point.REQUEST,
        where="rest:GET /api/v3/order",
        action=Action.ANSWER,
        count=None,
        params={"status": 502},
    )
    for fault in (mute, deaf):
        east.faults.arm(fault)
    doubted = asyncio.create_task(floor.trade(Side.BUY, "0.35"))
    async with asyncio.timeout(PATIENCE_S):
        while not any(isinstance(event, OrderUnknown) for event in floor.said):
            await asyncio.wait([doubted], timeout=0.01)
    assert isinstance(floor.venue, RoutingVenue)
    assert "fate" in floor.venue.doubt_about("east")
    before = len(floor.fills("east"))
    order = PlaceOrder(
        time_ns=1,
        client_order_id=ClientOrderId("gk-second"),
        instrument=BTC,
        side=Side.BUY,
        quantity=D("0.4"),
        kind=OrderKind.MARKET,
    )
    floor.venue.carry_out(order)
    async with asyncio.timeout(PATIENCE_S):
        while not any(f.client_order_id == "gk-second" for f in floor.orders("west")):
            await asyncio.wait([doubted], timeout=0.01)
    assert len(floor.fills("east")) == before
    east.faults.clear()
    await doubted
    assert "fate" not in floor.venue.doubt_about("east")


async def test_nothing_goes_where_the_book_is_stale(servers: Mapping[str, VenueServer]) -> None:
    async with AsyncExitStack() as stack:
        floor = await opened(servers, stack, east={"max_book_age": 1})
        said = await floor.trade(Side.BUY, "0.4")
        assert not floor.fills("east")
        assert sum(fill.quantity for fill in floor.fills("west")) == D("0.4")
        assert [e for e in said if isinstance(e, OrderFilled)]
        floor.assert_ledgers_agree()
        # East alone could take so little.
        said = await floor.trade(Side.BUY, "0.05")
        assert [e for e in said if isinstance(e, OrderRejected | OrderExpired)]
