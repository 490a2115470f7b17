"""All venues keep the same promises: the fake one, and two protocols through unmodified ccxt."""

from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

import pytest

from goalkick.common.adapters.venue.memory import MemoryAccount, MemoryVenue
from goalkick.common.adapters.venue.memory_exchange import MemoryExchange
from goalkick.common.config.secret import Secret
from goalkick.common.events.base import Side
from goalkick.common.events.venue import QueryOrder, VenueAccepted, VenueHoldings, VenueNotFound
from goalkick.common.ports.venue import Venue
from goalkick.common.testing.contracts.venue import VenueContract
from goalkick.common.testing.contracts.venue_desk import Exchange, Trouble, at_work
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.execution.settings import VenueName, VenueSettings
from goalkick.execution.venues.build import DIALECTS
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.execution.venues.depth import Depth
from goalkick.execution.venues.routed import Leg, RoutingVenue
from goalkick.venue.engine.ledger import AccountLedger
from goalkick.venue.engine.model import Kind, NewOrder
from goalkick.venue.engine.model import Side as EngineSide
from goalkick.venue.faults import Action, Fault, Point
from goalkick.venue.presets import PLACE_ORDER, USER, preset
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import HOUSE
from tests.conformance.conftest import KEY, SECRET, quiet_settings

ACCOUNT = "main"
PAIR = "BTC/USDT"


class BoxedExchange:
    """The exchange in a box as the contract wants it."""

    def __init__(self, server: VenueServer, name: VenueName, endpoint: str) -> None:
        self.instrument = InstrumentId(f"{name}:{PAIR}")
        self._server = server
        self._dialect = DIALECTS[name]
        self._settings = VenueSettings(
            name=name,
            endpoint=endpoint,
            key=Secret("env:KEY", KEY),
            secret=Secret("env:SECRET", SECRET),
            timeout="800ms",
            recv_window="1s",
            engine_timeout="0s",
            margin="200ms",
            query_every="50ms",
            compare_every="700ms",
            keep_alive="300ms",
            retry_delay="20ms",
            max_retry_delay="200ms",
        )

    def adapter(self) -> Venue:
        return CcxtVenue(self._settings, self._dialect(), ACCOUNT)

    def trade(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        self._place("other", side, quantity, price)

    def move(self, price: Decimal) -> None:
        self._place("other", Side.SELL, Decimal("0.001"), price)
        self._place(HOUSE, Side.BUY, Decimal("0.001"), price)

    def place_by_hand(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        self._place(ACCOUNT, side, quantity, price, f"hand-{len(self.placed())}")

    def place_as(self, handle: str, price: Decimal) -> None:
        """A small limit order to buy, which an earlier adapter may have placed."""
        self._place(ACCOUNT, Side.BUY, Decimal("0.0002"), price, handle)

    def placed(self) -> Sequence[str]:
        return [order.client_order_id for order in self._account.orders]

    def open_orders(self) -> int:
        return sum(order.is_open for order in self._account.orders)

    def holdings(self) -> Mapping[str, Decimal]:
        held = {name: b.free + b.locked for name, b in self._account.balances.items()}
        return {name: amount for name, amount in held.items() if amount}

    def trouble(self, what: Trouble) -> None:
        faults = self._server.faults
        match what:
            case "reply lost":
                faults.arm(preset("F4").faults[0])
            case "request lost":
                faults.arm(preset("F12-502", where=PLACE_ORDER, count=1).faults[0])
            case "news lost":
                faults.arm(
                    Fault(name=what, point=Point.FRAME, where=USER, action=Action.DROP, count=None)
                )
            case "stream cut":
                faults.arm(preset("F1").faults[0])
            case "stream dead":
                faults.arm(preset("F2").faults[0])
            case "clock ahead":
                self._server.clock.step(5_000_000_000)
            case "clock behind":
                self._server.clock.step(-5_000_000_000)
            case "keys revoked":
                self._server.context.accounts.revoke(KEY)

    def delay_placement(self, seconds: float) -> None:
        """The next placement takes so long to arrive."""
        slow = Fault(
            name="slow",
            point=Point.REQUEST,
            where=PLACE_ORDER,
            action=Action.DELAY,
            params={"seconds": seconds},
        )
        self._server.faults.arm(slow)

    def mend(self) -> None:
        self._server.faults.clear()

    @property
    def _account(self) -> AccountLedger:
        return self._server.exchange.ledger().accounts[ACCOUNT]

    def _place(
        self, account: str, side: Side, quantity: Decimal, price: Decimal, handle: str = ""
    ) -> None:
        self._server.context.advance()
        self._server.exchange.place(
            account,
            NewOrder(
                instrument=PAIR,
                side=EngineSide(side.value),
                kind=Kind.LIMIT,
                quantity=quantity,
                price=price,
                client_order_id=handle,
            ),
        )


class TestMemoryVenue(VenueContract):
    @pytest.fixture
    def exchange(self) -> Exchange:
        return MemoryAccount()


class RoutedExchange(MemoryExchange):
    """An exchange that adapters reach as the first of two, the other of which offers nothing."""

    def adapter(self) -> Venue:
        other = MemoryExchange()
        other.balances = dict.fromkeys(other.balances, Decimal(0))
        legs = [
            Leg(name=name, prefix="memory", venue=MemoryVenue(each), look=Glance(each, amount))
            for name, each, amount in (
                ("one", self, Decimal(1_000)),
                ("other", other, Decimal(0)),
            )
        ]
        return RoutingVenue(legs, ACCOUNT)


class Glance:
    """What an exchange in memory offers."""

    def __init__(self, exchange: MemoryExchange, amount: Decimal) -> None:
        self._exchange = exchange
        self._amount = amount

    async def __call__(self, instrument: InstrumentId) -> Depth:
        exchange, amount = self._exchange, self._amount
        rules = Instrument(id=instrument, base="BTC", quote="USDT", lot_size=exchange.lot)
        bids, asks = [(exchange.bid, amount)], [(exchange.ask, amount)]
        return Depth(rules=rules, bids=bids if amount else [], asks=asks if amount else [])


class TestRoutingVenue(VenueContract):
    @pytest.fixture
    def exchange(self) -> Exchange:
        return RoutedExchange()


@pytest.mark.slow
class BoxedVenueContract(VenueContract):
    name: ClassVar[VenueName]

    @pytest.fixture
    async def exchange(self) -> AsyncIterator[BoxedExchange]:
        async with VenueServer(quiet_settings()) as server:
            yield BoxedExchange(server, self.name, server.urls[self.name])

    async def test_a_placement_on_its_way_does_not_count_as_never_sent(
        self, exchange: BoxedExchange
    ) -> None:
        async with at_work(exchange) as desk:
            # The adapter has run for longer than a request is good for.
            await desk.ear.until(lambda: len(desk.ear.of(VenueHoldings)) > 3)
            exchange.delay_placement(0.6)
            order = desk.place("one")
            desk.do(QueryOrder, "one")
            await desk.filled(order)
            assert not desk.ear.of(VenueNotFound)
            assert exchange.placed() == [order]

    async def test_whoever_comes_after_learns_of_many_orders_at_once(
        self, exchange: BoxedExchange
    ) -> None:
        names = [f"{number:032d}" for number in range(150)]
        for number, name in enumerate(names):
            exchange.place_as(f"gk-{name}", Decimal(40_000 + number))
        async with at_work(exchange) as desk:
            for name in names:
                desk.do(QueryOrder, name, known=True)
            ear = desk.ear
            await ear.until(
                lambda: len({e.client_order_id for e in ear.of(VenueAccepted)}) == len(names)
            )


class TestBinance(BoxedVenueContract):
    name = "binance"


class TestBybit(BoxedVenueContract):
    name = "bybit"
