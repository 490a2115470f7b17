"""Orders that algos work, live on an exchange in a box: its ledger says what was measured."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.config.algos import PARAMS, AlgoName
from goalkick.common.config.secret import Secret
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import BarClosed, InstrumentListed, QuoteChanged
from goalkick.common.events.order import AlgoOrder, OrderApproved, OrderKind, OrderWorked
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.money import ZERO, round_nearest
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.engine import model
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import FlowSettings
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.conformance.listed import rules_on

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
PAIR = "BTC/USDT"
PATIENCE_S = 40
BAR_NS = NS_PER_SECOND // 2

SELL_WITH_LIMIT = {"side": Side.SELL, "bps": -2}

CASES: dict[str, tuple[AlgoName, dict[str, Any], Callable[[Decimal], dict[str, Any]]]] = {
    "twap": ("twap", {}, lambda _: {"slices": 4, "finish": "market"}),
    "vwap": ("vwap", {"side": Side.SELL}, lambda _: {"profile": [3, 1], "slices": 4}),
    "pov": ("pov", {}, lambda _: {"rate": "0.2", "finish": "market"}),
    "iceberg": ("iceberg", SELL_WITH_LIMIT, lambda _: {"visible": "0.004", "finish": "market"}),
    "post_only": ("post_only", {}, lambda _: {"requote_every": "200ms", "finish": "market"}),
    "bracket": (
        "bracket",
        {},
        lambda middle: {"stop_price": at(middle, -3), "take_profit": at(middle, 3)},
    ),
    "oco": (
        "oco",
        {"side": Side.SELL, "reduce_only": True},
        lambda middle: {"stop_price": at(middle, -3), "take_profit": at(middle, 3)},
    ),
}


def at(middle: Decimal, bps: int) -> Decimal:
    """A price so many basis points off, on the tick."""
    return round_nearest(middle * (10_000 + bps) / 10_000, D("0.01"))


class Floor:
    """The core on an account, and what the market of the exchange tells it."""

    def __init__(self, server: VenueServer, venue: CcxtVenue) -> None:
        self.server = server
        self.venue = venue
        self.core = LiveExecution(ExecutionSettings())
        self.said: list[Event] = []
        self.volume = ZERO
        self.bar_ns = time.time_ns()
        server.exchange.subscribe(self._traded)
        rules = rules_on(server, BTC)
        self.do(InstrumentListed(time_ns=1, instrument=BTC, rules=rules))

    @property
    def quote(self) -> tuple[Decimal, Decimal]:
        depth = self.server.exchange.depth(PAIR, 1)
        return depth.bids[0][0], depth.asks[0][0]

    def do(self, event: Event) -> None:
        self._say(self.core.handlers[type(event)](event))

    def restart(self) -> None:
        """From the snapshot, in the middle of it."""
        data = self.core.snapshot()
        self.core = LiveExecution(ExecutionSettings())
        self.core.restore(data)
        self._say(self.core.doubts(time.time_ns()))

    async def until_worked(self) -> OrderWorked:
        """Tells the market a few times a second until the order has ended."""
        hearing = asyncio.create_task(self._hear())
        try:
            async with asyncio.timeout(PATIENCE_S):
                for moment in range(1_000):
                    if ends := [event for event in self.said if isinstance(event, OrderWorked)]:
                        return ends[-1]
                    if moment == 8:
                        self.restart()
                    self._tell()
                    await asyncio.wait([hearing], timeout=0.1)
        finally:
            hearing.cancel()
        raise AssertionError(f"expected an end, found {self.said[-5:]}")

    async def _hear(self) -> None:
        while True:
            self._say(self.core.answer(await self.venue.answers(), time.time_ns()))

    def _tell(self) -> None:
        now_ns, (bid, ask) = time.time_ns(), self.quote
        quote = QuoteChanged(
            time_ns=now_ns,
            instrument=BTC,
            bid=bid,
            bid_quantity=D(1),
            ask=ask,
            ask_quantity=D(1),
        )
        self.do(quote)
        if now_ns - self.bar_ns >= BAR_NS:
            volume, self.volume, begun, self.bar_ns = self.volume, ZERO, self.bar_ns, now_ns
            self.do(
                BarClosed(
                    time_ns=now_ns,
                    instrument=BTC,
                    interval_ns=now_ns - begun,
                    open=bid,
                    high=ask,
                    low=bid,
                    close=bid,
                    volume=volume,
                )
            )

    def _traded(self, happening: model.Happening) -> None:
        if isinstance(happening, model.Traded):
            self.volume += happening.trade.quantity

    def _say(self, said: Any) -> None:
        self.said += said
        for command in self.core.commands():
            self.venue.carry_out(command)


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    flow = FlowSettings(trades_per_second=30, quotes_per_second=10, volatility=10)
    async with VenueServer(quiet_settings(flow=flow)) as server:
        settings = VenueSettings(
            endpoint=server.binance_url,
            key=Secret("env:KEY", KEY),
            secret=Secret("env:SECRET", SECRET),
            recv_window="1s",
            engine_timeout="0s",
            margin="200ms",
            query_every="50ms",
        )
        venue = CcxtVenue(settings, BinanceDialect(), "main")
        await venue.start()
        try:
            yield Floor(server, venue)
        finally:
            await venue.close()


@pytest.mark.parametrize("case", CASES)
async def test_the_exchanges_ledger_says_what_was_measured(floor: Floor, case: str) -> None:
    name, terms, params = CASES[case]
    middle = round_nearest(sum(floor.quote, ZERO) / 2, D("0.01"))
    side: Side = terms.get("side", Side.BUY)
    order, now_ns = EventId(derive_id(case, "order")), time.time_ns()
    limit = at(middle, terms["bps"]) if "bps" in terms else None
    floor.do(
        OrderApproved(
            time_ns=now_ns,
            account=AccountId("main"),
            order=order,
            cause=EventId("c"),
            client_order_id=client_order_id(order),
            strategy=StrategyId("s"),
            instrument=BTC,
            side=side,
            quantity=D("0.02"),
            kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
            limit_price=limit,
            reduce_only=terms.get("reduce_only", False),
            algo=AlgoOrder(
                name=name,
                params=PARAMS[name].model_validate(params(middle)).model_dump_json(),
                arrival_price=middle,
                end_ns=now_ns + (30 if name == "oco" else 4) * NS_PER_SECOND,
            ),
        )
    )
    measured = await floor.until_worked()
    account = floor.server.exchange.ledger().accounts["main"]
    ours = [fill for fill in account.fills if fill.side.value == side.value]
    back = [fill for fill in account.fills if fill.side.value != side.value]
    assert measured.filled == sum((fill.quantity for fill in ours), ZERO)
    assert 0 < measured.filled <= D("0.02")
    assert measured.execution_cost == side.sign * sum(
        (fill.quantity * (fill.price - middle) for fill in ours), ZERO
    )
    assert measured.exit_filled == sum((fill.quantity for fill in back), ZERO)
    assert len(account.orders) <= measured.children
    assert len({each.client_order_id for each in account.orders}) == len(account.orders)
    assert not [each for each in account.orders if each.is_open]
    for currency in ("BTC", "USDT"):
        paid = sum((f.fee for f in account.fills if f.fee_asset == currency), ZERO)
        assert measured.fees.get(currency, ZERO) == paid
    assert not floor.core.execution.busy
