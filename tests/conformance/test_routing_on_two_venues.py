"""An order over two exchanges with different books: the split is the cheapest, and costs that."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from itertools import count, product

import pytest

from goalkick.common.config.secret import Secret
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import PlaceOrder, VenueRejected, VenueTraded
from goalkick.common.values.ids import InstrumentId, client_order_id, derive_id
from goalkick.common.values.money import ZERO
from goalkick.execution.routing import LeftOut, Portion, Route, VenueBook, route
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import MarketSettings
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.conformance.listed import books_on

pytestmark = pytest.mark.slow

D = Decimal
BTC = InstrumentId("binance:BTC/USDT")
PATIENCE_S = 20

MARKETS = {
    "east": MarketSettings(
        price=D(60_000), lot_size=D("0.05"), min_quantity=D("0.05"), taker_fee=D("0.001")
    ),
    "west": MarketSettings(
        price=D(60_010),
        lot_size=D("0.1"),
        min_quantity=D("0.1"),
        min_notional=D(20_000),
        taker_fee=D("0.0004"),
    ),
}
"""The west is dearer, charges less, and takes neither small lots nor small orders."""

ORDERS = [
    (Side.BUY, "0.3"),
    (Side.BUY, "0.35"),
    (Side.BUY, "1.25"),
    (Side.BUY, "3"),
    (Side.SELL, "0.25"),
    (Side.SELL, "0.4"),
    (Side.SELL, "1.15"),
    (Side.SELL, "2.6"),
]


class Pair:
    """Two exchanges, and an account on each."""

    def __init__(self, servers: Mapping[str, VenueServer], desks: Mapping[str, CcxtVenue]) -> None:
        self.servers = servers
        self.desks = desks

    def books(self, side: Side) -> list[VenueBook]:
        """What they offer now to whoever takes on a side."""
        return books_on(self.servers, BTC, side)

    async def execute(self, side: Side, portions: tuple[Portion, ...]) -> Decimal:
        """Sends each portion to its venue; what was paid in all, in quote currency."""
        paid = [self._execute(side, portion) for portion in portions]
        return sum(await asyncio.gather(*paid), ZERO)

    async def _execute(self, side: Side, portion: Portion) -> Decimal:
        desk = self.desks[portion.venue]
        desk.carry_out(
            PlaceOrder(
                time_ns=1,
                client_order_id=client_order_id(derive_id("parent", portion.venue)),
                instrument=BTC,
                side=side,
                quantity=portion.quantity,
                kind=OrderKind.LIMIT,
                limit_price=portion.limit_price,
                time_in_force=TimeInForce.IMMEDIATE,
            )
        )
        trades: dict[str, VenueTraded] = {}
        async with asyncio.timeout(PATIENCE_S):
            while sum(trade.quantity for trade in trades.values()) < portion.quantity:
                for news in await desk.answers():
                    assert not isinstance(news, VenueRejected), news
                    if isinstance(news, VenueTraded):
                        trades[news.trade_id] = news
        return sum((self._paid(trade) for trade in trades.values()), ZERO)

    def _paid(self, trade: VenueTraded) -> Decimal:
        """Notional and fee in quote currency; a fee in base currency at its trade's price."""
        fee = trade.fee * (trade.price if trade.fee_currency == "BTC" else 1)
        return trade.side.sign * trade.price * trade.quantity + fee


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        servers, desks = {}, {}
        for name, market in MARKETS.items():
            settings = quiet_settings(markets={"BTC/USDT": market})
            server = servers[name] = await stack.enter_async_context(VenueServer(settings))
            venue = VenueSettings(
                endpoint=server.binance_url,
                key=Secret("env:KEY", KEY),
                secret=Secret("env:SECRET", SECRET),
            )
            desk = desks[name] = CcxtVenue(venue, BinanceDialect(), "main")
            stack.push_async_callback(desk.close)
            await desk.start()
        yield Pair(servers, desks)


def brute_force(side: Side, quantity: Decimal, books: list[VenueBook]) -> Decimal:
    """The least that the whole quantity can cost with fees, of all splits that are allowed."""
    costs = [dict(every_cost(side, book, quantity)) for book in books]
    sums = [
        sum((cost for _, cost in parts), ZERO)
        for parts in product(*(each.items() for each in costs))
        if sum((part for part, _ in parts), ZERO) == quantity
    ]
    return min(sums)


def every_cost(side: Side, book: VenueBook, most: Decimal) -> list[tuple[Decimal, Decimal]]:
    """(quantity, cost) of every order that the venue takes, counted lot by lot."""
    lot, rules = book.rules.lot_size, book.rules
    units = [price for price, amount in book.levels for _ in range(int(amount / lot))]
    found, cost = [(ZERO, ZERO)], ZERO
    for number, price in zip(count(1), units, strict=False):
        if number * lot > most:
            break
        cost += lot * price * (side.sign + rules.taker_fee)
        if number * lot >= rules.min_quantity and number * lot * price >= rules.min_notional:
            found.append((number * lot, cost))
    return found


@pytest.mark.parametrize(("side", "quantity"), ORDERS)
async def test_the_split_is_the_cheapest_and_costs_what_was_said(
    pair: Pair, side: Side, quantity: str
) -> None:
    books = pair.books(side)
    found = route(side, D(quantity), books)
    assert found.exact
    assert found.unrouted == 0
    assert found.cost == brute_force(side, D(quantity), books)
    assert await pair.execute(side, found.portions) == found.cost
    assert_ledgers_agree(pair, side, found)


def assert_ledgers_agree(pair: Pair, side: Side, found: Route) -> None:
    """Each exchange traded its portion, in one order, and nothing else."""
    sent = {portion.venue: portion for portion in found.portions}
    for name, server in pair.servers.items():
        fills = server.exchange.ledger().accounts["main"].fills
        traded = sum((fill.quantity for fill in fills), ZERO)
        notional = sum((fill.price * fill.quantity for fill in fills), ZERO)
        portion = sent.get(name)
        assert traded == (portion.quantity if portion else 0)
        assert notional == (portion.notional if portion else 0)
        assert {fill.side.value for fill in fills} <= {side.value}


async def test_the_orders_here_use_one_venue_or_both_and_the_gaps(pair: Pair) -> None:
    """So that the claim above is not about one venue alone."""
    splits = [route(side, D(quantity), pair.books(side)) for side, quantity in ORDERS]
    used = {tuple(portion.venue for portion in found.portions) for found in splits}
    assert used >= {("east", "west"), ("west",)}


async def test_a_venue_in_doubt_gets_nothing_however_cheap(pair: Pair) -> None:
    east, west = pair.books(Side.BUY)
    cheap = VenueBook(venue="east", rules=east.rules, levels=east.levels, doubt="unknown order")
    found = route(Side.BUY, D("0.4"), [cheap, west])
    assert [portion.venue for portion in found.portions] == ["west"]
    assert [omission.reason for omission in found.omissions] == [LeftOut.ACCOUNT_IN_DOUBT]
    assert await pair.execute(Side.BUY, found.portions) == found.cost
    assert pair.servers["east"].exchange.fills("main") == []
