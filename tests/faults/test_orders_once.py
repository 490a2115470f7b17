"""An order is placed once or not at all, whatever fails between us and the venue.

Here the desk is in this process and lives on; what kills do to it stands in `test_scenarios`. The
cases of a test wait most of the time, so they run at once, each with an exchange of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import (
    CancelRequested,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderKind,
    OrderRejected,
    OrderUnknown,
)
from goalkick.common.values.ids import AccountId, EventId, StrategyId, client_order_id, derive_id
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Kind, NewOrder
from goalkick.venue.engine.model import Side as VenueSide
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings
from tests.faults.desk import ACCOUNT, BTC, PAIR, Desk, quick_settings

pytestmark = pytest.mark.slow

FAR = Decimal(50_000)
"""A price that nobody sells at."""
PATIENCE_S = 20.0


class Floor:
    """A desk and the exchange that it trades on."""

    def __init__(self, server: VenueServer) -> None:
        self.server = server
        settings = quick_settings("binance", server.binance_url)
        self.desk = Desk(settings, MemoryStateStore())
        self._orders = 0

    @property
    def reports(self) -> list[Event]:
        return self.desk.reports

    def arm(self, name: str) -> None:
        for fault in preset(name).faults:
            self.server.faults.arm(fault)

    def order(
        self, quantity: str, *, side: Side = Side.BUY, price: Decimal | None = None
    ) -> EventId:
        """Approves an order: a market order unless there is a price."""
        self._orders += 1
        order = derive_id(f"floor|{self._orders}", "order")
        self.desk.take(
            OrderApproved(
                time_ns=1,
                account=AccountId(ACCOUNT),
                order=order,
                cause=order,
                client_order_id=client_order_id(order),
                strategy=StrategyId("s"),
                instrument=BTC,
                side=side,
                quantity=Decimal(quantity),
                kind=OrderKind.MARKET if price is None else OrderKind.LIMIT,
                limit_price=price,
            )
        )
        return order

    def cancel(self, order: EventId) -> None:
        self.desk.take(
            CancelRequested(
                time_ns=1, account=AccountId(ACCOUNT), order=order, cause=order, reason=""
            )
        )

    def sell_to_us(self, price: Decimal) -> None:
        """Somebody sells what a resting order wants."""
        self.server.exchange.place(
            "other",
            NewOrder(
                instrument=PAIR,
                side=VenueSide.SELL,
                kind=Kind.LIMIT,
                quantity=Decimal("0.01"),
                price=price,
            ),
        )

    @property
    def inside(self) -> Decimal:
        """A price between the best two."""
        return self.server.exchange.depth(PAIR, 1).asks[0][0] - Decimal("0.01")

    async def told(self, kind: type[Event]) -> None:
        """Waits until such an event was reported."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.reports))

    async def settled(self) -> None:
        """Waits until no order is under way."""
        await self.until(lambda: not self.desk.working)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self.desk.changed.clear()
                await self.desk.changed.wait()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.reports)

    def assert_true_to_the_ledger(self) -> None:
        """The desk's books are the exchange's: no order twice, no fill lost, the same holdings."""
        ours = self.server.exchange.ledger().accounts[ACCOUNT]
        handles = [o.client_order_id for o in ours.orders if o.client_order_id.startswith("gk-")]
        assert len(handles) == len(set(handles)), "an order was placed twice"
        held = sum(
            (
                (fill.quantity if fill.side == "buy" else -fill.quantity)
                - (fill.fee if fill.fee_asset == "BTC" else ZERO)
                for fill in ours.fills
            ),
            ZERO,
        )
        position = self.desk.ledger.positions.get(BTC)
        assert (position.quantity if position else ZERO) == held
        assert self.desk.ledger.cash == ours.balances["USDT"].free + ours.balances["USDT"].locked


@asynccontextmanager
async def opened() -> AsyncIterator[Floor]:
    async with VenueServer(quiet_settings()) as server:
        floor = Floor(server)
        await floor.desk.open()
        listening = asyncio.create_task(floor.desk.listen())
        try:
            yield floor
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await floor.desk.close()


async def all_at_once(cases: Iterable[str], play: Callable[[Floor, str], Awaitable[None]]) -> None:
    """Plays each case on a floor of its own."""

    async def one(case: str) -> None:
        try:
            async with opened() as floor:
                await play(floor, case)
                floor.assert_true_to_the_ledger()
        except Exception as error:
            error.add_note(f"in case {case}")
            raise

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(one(case))


async def test_buys_sells_and_cancels() -> None:
    async with opened() as floor:
        floor.order("0.01")
        await floor.settled()
        resting = floor.order("0.01", price=FAR)
        await floor.until(lambda: floor.count(OrderAccepted) == 2)
        floor.cancel(resting)
        await floor.told(OrderCancelled)
        floor.order("0.00999", side=Side.SELL)
        await floor.settled()
        assert floor.count(OrderFilled) == 2
        floor.assert_true_to_the_ledger()


async def test_a_refused_order_is_rejected_with_the_venues_words() -> None:
    async with opened() as floor:
        floor.order("0.000001")
        await floor.settled()
        (rejected,) = [event for event in floor.reports if isinstance(event, OrderRejected)]
        assert "LOT_SIZE" in rejected.reason
        floor.assert_true_to_the_ledger()


LOST = ("F3", "F4", "F4-slow", "F4-5xx", "F6", "F7", "F8", "F19", "F19-list", "F19-event", "F22")


async def test_a_market_order_under_fault_is_filled_once() -> None:
    async def play(floor: Floor, name: str) -> None:
        floor.arm(name)
        floor.order("0.01")
        await floor.settled()
        floor.arm(name)
        floor.order("0.005", side=Side.SELL)
        await floor.settled()
        assert floor.count(OrderFilled) == 2

    await all_at_once(LOST, play)


async def test_an_order_that_never_arrived_ends_as_never_sent() -> None:
    async def play(floor: Floor, name: str) -> None:
        floor.arm(name)
        floor.order("0.01")
        await floor.told(OrderUnknown)
        floor.server.faults.clear()
        await floor.settled()
        assert isinstance(floor.reports[-1], OrderRejected)
        assert floor.server.exchange.ledger().accounts[ACCOUNT].orders == []

    await all_at_once(("F12", "F12-502", "F12-503", "F12-html", "F12-text", "F14"), play)


async def test_fills_that_happen_while_the_private_stream_is_lost_are_found() -> None:
    async def play(floor: Floor, name: str) -> None:
        price = floor.inside
        floor.order("0.01", price=price)
        await floor.told(OrderAccepted)
        floor.arm(name)
        floor.sell_to_us(price)
        await floor.settled()
        assert floor.count(OrderFilled) == 1

    cases = ("F1", "F1-close", "F2", "F14-shutdown", "F14-cut", "F18-terminate")
    await all_at_once(cases, play)


async def test_a_cancel_that_crosses_with_a_fill_is_a_fill() -> None:
    async with opened() as floor:
        price = floor.inside
        order = floor.order("0.01", price=price)
        await floor.told(OrderAccepted)
        floor.arm("F8")
        floor.arm("F20")
        floor.cancel(order)
        floor.sell_to_us(price)
        await floor.settled()
        assert floor.count(OrderFilled) == 1
        floor.assert_true_to_the_ledger()


async def test_an_order_that_the_venue_shows_late_is_not_taken_for_never_sent() -> None:
    async with opened() as floor:
        for name in ("F4", "F21", "F8"):
            floor.arm(name)
        floor.order("0.01")
        await floor.settled()
        assert floor.count(OrderRejected) == 0
        floor.assert_true_to_the_ledger()
