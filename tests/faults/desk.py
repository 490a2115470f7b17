"""A trading desk on the exchange in a box: execution's core and the real adapter, nothing between.

What the core saves before each call is kept as a service would keep it, so the desk can be killed
anywhere and opened again. The exchange's own ledger says what is true.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import GoalkickError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import CancelRequested, OrderApproved, OrderKind
from goalkick.common.events.venue import PlaceOrder, VenueEvent
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET

ACCOUNT = "main"
BTC = InstrumentId("binance:BTC/USDT")
PATIENCE_S = 20.0

QUICK: dict[str, Any] = {
    "timeout": "800ms",
    "recv_window": "1s",
    "engine_timeout": "0s",
    "margin": "200ms",
    "query_every": "50ms",
    "compare_every": "700ms",
    "keep_alive": "300ms",
    "retry_delay": "20ms",
    "max_retry_delay": "200ms",
}


class KilledError(Exception):
    """The desk dies here."""


class Desk:
    """One account's execution.

    Attributes:
        reports: everything that was reported, by all lives of the desk, in order.
        saved: what would be found after a kill; None before anything was saved.
        kill_at: name of a point in `POINTS` at which the desk dies; "" for nowhere.
    """

    POINTS = ("before intent", "after intent", "after send", "before answer is saved")

    def __init__(self, server: VenueServer, **venue: Any) -> None:
        """Not open yet; `venue` are settings of the adapter."""
        self._server = server
        self._settings = ExecutionSettings(
            venue=VenueSettings(
                endpoint=server.binance_url,
                key=Secret("env:KEY", KEY),
                secret=Secret("env:SECRET", SECRET),
                **{**QUICK, **venue},
            )
        )
        self.reports: list[Event] = []
        self.saved: bytes | None = None
        self.kill_at = ""
        self.dead = asyncio.Event()
        self._orders = 0
        self._changed = asyncio.Event()
        self.core: LiveExecution
        self.venue: CcxtVenue

    async def __aenter__(self) -> "Desk":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def open(self) -> None:
        """Begins, or goes on from what was saved."""
        self.core = LiveExecution(self._settings)
        self.venue = CcxtVenue(self._settings.venue, BinanceDialect(), ACCOUNT)
        self.dead.clear()
        try:
            await self.venue.start()
        except GoalkickError:
            await self.venue.close()
            raise
        if self.saved is None:
            holdings = await self.venue.holdings()
            self.core.execution.ledger.cash = holdings["USDT"]
            rules = Instrument(id=BTC, base="BTC", quote="USDT")
            listed = InstrumentListed(time_ns=1, instrument=BTC, rules=rules)
            self.core.handlers[InstrumentListed](listed)
        else:
            self.core.restore(self.saved)
            self._report(self.core.doubts(1))
            self._carry_out()
        self._listening = asyncio.create_task(self._listen())

    async def kill(self) -> None:
        """Ends at once: nothing is saved, nothing is waited for."""
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self.venue.close()

    def order(
        self,
        quantity: str,
        *,
        side: Side = Side.BUY,
        price: Decimal | None = None,
    ) -> EventId:
        """Approves an order and has it placed; a market order unless there is a price."""
        self._orders += 1
        order = derive_id(f"desk|{self._orders}", "order")
        approved = OrderApproved(
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
        self._do(lambda: self._report(self.core.handlers[OrderApproved](approved)))
        return order

    def cancel(self, order: EventId) -> None:
        """Wants an order gone."""
        request = CancelRequested(
            time_ns=1, account=AccountId(ACCOUNT), order=order, cause=order, reason=""
        )
        self._do(lambda: self._report(self.core.handlers[CancelRequested](request)))

    async def until(self, *kinds: type[Event], since: int = 0) -> None:
        """Waits until events of all these kinds were reported."""
        async with asyncio.timeout(PATIENCE_S):
            while not set(kinds) <= {type(event) for event in self.reports[since:]}:
                self._changed.clear()
                await self._changed.wait()

    async def settled(self) -> None:
        """Waits until no order is under way."""
        async with asyncio.timeout(PATIENCE_S):
            while self.core.execution.working:
                self._changed.clear()
                await self._changed.wait()

    def _do(self, work: Any) -> None:
        try:
            self._dies("before intent")
            work()
            self._carry_out()
        except KilledError:
            self.dead.set()

    def _carry_out(self) -> None:
        commands = self.core.commands()
        self.saved = self.core.snapshot()
        placing = any(isinstance(command, PlaceOrder) for command in commands)
        if placing:
            self._dies("after intent")
        for command in commands:
            self.venue.carry_out(command)
        self._changed.set()

    async def _listen(self) -> None:
        while True:
            answers = await self.venue.answers()
            if self.kill_at == "before answer is saved":
                self.kill_at = ""
                self.dead.set()
                return
            self._hear(answers)

    def _hear(self, answers: Sequence[VenueEvent]) -> None:
        self._report(self.core.answer(answers, 1))
        self._carry_out()

    def _report(self, events: Sequence[Event]) -> None:
        self.reports += events

    def _dies(self, point: str) -> None:
        if self.kill_at == point:
            self.kill_at = ""
            raise KilledError


def assert_true_to_the_ledger(desk: Desk, server: VenueServer) -> None:
    """The desk's books are the exchange's: no order twice, no fill lost, the same holdings."""
    ours = server.exchange.ledger().accounts[ACCOUNT]
    handles = [o.client_order_id for o in ours.orders if o.client_order_id.startswith("gk-")]
    assert len(handles) == len(set(handles)), "an order was placed twice"
    fills = [fill for fill in ours.fills if fill.client_order_id.startswith("gk-")]
    ledger = desk.core.execution.ledger
    held = sum(
        (
            (fill.quantity if fill.side == "buy" else -fill.quantity)
            - (fill.fee if fill.fee_asset == "BTC" else 0)
            for fill in fills
        ),
        Decimal(0),
    )
    position = ledger.positions.get(BTC)
    assert (position.quantity if position else Decimal(0)) == held
    assert ledger.cash == ours.balances["USDT"].free + ours.balances["USDT"].locked
