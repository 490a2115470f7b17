"""Two venues as one: what goes where, what is in doubt, and what all of it comes to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.adapters.venue.memory import MemoryVenue
from goalkick.common.adapters.venue.memory_exchange import MemoryExchange
from goalkick.common.core.errors import TransientError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    QueryAccount,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueContact,
    VenueEvent,
    VenueHoldings,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.execution.venues.depth import Depth
from goalkick.execution.venues.routed import Leg, RoutingVenue

D = Decimal
BTC = InstrumentId("east:BTC/USDT")
WITHIN_S = 5


class Place:
    """One of the exchanges, and how a look at it goes."""

    def __init__(self, name: str, ask: str) -> None:
        self.exchange = MemoryExchange(InstrumentId(f"{name}:BTC/USDT"))
        self.exchange.ask, self.exchange.bid = D(ask), D(ask) - 10
        self.exchange.fee_rate = D(0)
        self.venue = MemoryVenue(self.exchange)
        self.offered = D(1)
        self.lost = False
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, instrument: InstrumentId) -> Depth:
        assert instrument == self.exchange.instrument, "in its own name"
        await self.open.wait()
        if self.lost:
            raise TransientError("no answer")
        rules = Instrument(
            id=instrument, base="BTC", quote="USDT", lot_size=D("0.01"), taker_fee=D(0)
        )
        levels = self.exchange.bid, self.exchange.ask
        bids, asks = ([(price, self.offered)] for price in levels)
        return Depth(rules=rules, bids=bids, asks=asks)

    @property
    def placed(self) -> list[tuple[str, Decimal]]:
        return [(o.asked.client_order_id, o.asked.quantity) for o in self.exchange.orders]


class Pair:
    """Both, and the venue over them."""

    def __init__(self) -> None:
        self.east, self.west = Place("east", "100"), Place("west", "101")
        self.heard: list[VenueEvent] = []
        self.venue = self.fresh()

    def fresh(self) -> RoutingVenue:
        legs = [
            Leg(name=name, prefix=name, venue=MemoryVenue(place.exchange), look=place)
            for name, place in (("east", self.east), ("west", self.west))
        ]
        return RoutingVenue(legs, "main")

    def place(self, name: str, quantity: str = "1.5", **changes: Any) -> ClientOrderId:
        fields: dict[str, Any] = {"kind": OrderKind.MARKET, "side": Side.BUY} | changes
        handle = ClientOrderId(f"gk-{name}")
        self.venue.carry_out(
            PlaceOrder(
                time_ns=1,
                client_order_id=handle,
                instrument=BTC,
                quantity=D(quantity),
                **fields,
            )
        )
        return handle

    def do(self, kind: type[CancelOrder | QueryOrder], name: str) -> None:
        handle = ClientOrderId(f"gk-{name}")
        self.venue.carry_out(kind(time_ns=1, client_order_id=handle, instrument=BTC))

    async def until(self, kind: type[Any], count: int = 1) -> Sequence[Any]:
        """So many of a kind were heard."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.of(kind)) < count:
                self.heard += await self.venue.answers()
        return self.of(kind)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


@asynccontextmanager
async def started(pair: Pair) -> AsyncIterator[Pair]:
    await pair.venue.start()
    try:
        yield pair
    finally:
        await pair.venue.close()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started(Pair()) as made:
        yield made


LIMIT: dict[str, Any] = {"kind": OrderKind.LIMIT, "limit_price": D(50)}


async def test_an_order_is_split_under_one_name(pair: Pair) -> None:
    handle = pair.place("one")
    trades = await pair.until(VenueTraded, 2)
    assert pair.east.placed == [(handle, D(1))]
    assert pair.west.placed == [(handle, D("0.5"))]
    assert {trade.instrument for trade in trades} == {BTC}
    assert len({trade.trade_id for trade in trades}) == 2
    asked = pair.east.exchange.orders[0].asked
    assert (asked.kind, asked.time_in_force, asked.limit_price) == (
        OrderKind.LIMIT,
        TimeInForce.IMMEDIATE,
        D(100),
    )


async def test_what_nobody_offers_expires(pair: Pair) -> None:
    pair.place("one", "3")
    (closed,) = await pair.until(VenueClosed)
    assert not closed.cancelled
    assert "1 was not sent" in closed.reason
    assert sum(trade.quantity for trade in pair.of(VenueTraded)) == 2


async def test_a_limit_keeps_an_order_from_the_dearer_venue(pair: Pair) -> None:
    pair.place("one", kind=OrderKind.LIMIT, limit_price=D(100), time_in_force=TimeInForce.IMMEDIATE)
    await pair.until(VenueClosed)
    assert pair.west.placed == []


async def test_a_venue_that_does_not_say_what_it_offers_gets_nothing(pair: Pair) -> None:
    pair.east.lost = True
    pair.place("one", "0.5")
    await pair.until(VenueTraded)
    assert (pair.east.placed, len(pair.west.placed)) == ([], 1)
    pair.west.lost = True
    pair.place("two", "0.5")
    (rejected,) = await pair.until(VenueRejected)
    assert "east: stale_book" in rejected.reason


async def test_an_account_trades_no_more_than_it_can_pay() -> None:
    poor = Pair()
    poor.east.exchange.balances["USDT"] = D(40)
    async with started(poor):
        poor.place("one", "1")
        await poor.until(VenueTraded, 2)
        assert [quantity for _, quantity in poor.east.placed] == [D("0.4")]


async def test_what_waits_goes_whole_to_the_first_without_doubt(pair: Pair) -> None:
    handle = pair.place("one", **LIMIT)
    await pair.until(VenueAccepted)
    assert pair.east.placed == [(handle, D("1.5"))]
    pair.east.exchange.trouble("request lost")
    pair.place("two", **LIMIT)
    await pair.until(VenueUnreachable)
    assert "fate of gk-two" in pair.venue.doubt_about("east")
    third = pair.place("three", **LIMIT)
    await pair.until(VenueAccepted, 2)
    assert pair.west.placed == [(third, D("1.5"))]
    pair.do(QueryOrder, "two")
    await pair.until(VenueNotFound)
    assert pair.venue.doubt_about("east") == ""


async def test_where_all_are_in_doubt_nothing_is_sent(pair: Pair) -> None:
    for place in (pair.east, pair.west):
        place.exchange.trouble("request lost")
    pair.place("one")
    await pair.until(VenueUnreachable, 2)
    pair.place("two")
    pair.place("three", **LIMIT)
    rejected = await pair.until(VenueRejected, 2)
    assert all("not sent" in each.reason for each in rejected)
    pair.do(QueryOrder, "one")
    assert [each.client_order_id for each in await pair.until(VenueNotFound)] == ["gk-one"]


async def test_an_order_that_is_cancelled_before_it_was_routed_is_not_sent(pair: Pair) -> None:
    pair.east.open.clear()
    pair.place("one")
    pair.do(CancelOrder, "one")
    pair.east.open.set()
    (closed,) = await pair.until(VenueClosed)
    assert closed.cancelled
    assert pair.east.placed == pair.west.placed == []


async def test_whoever_comes_after_asks_every_venue(pair: Pair) -> None:
    pair.place("one")
    await pair.until(VenueTraded, 2)
    handle = pair.place("rests", **LIMIT)
    await pair.until(VenueAccepted)
    await pair.venue.close()
    pair.venue, pair.heard = pair.fresh(), []
    await pair.venue.start()
    pair.do(QueryOrder, "rests")
    (accepted, *_) = await pair.until(VenueAccepted)
    assert accepted.client_order_id == handle
    pair.do(QueryOrder, "one")
    await pair.until(VenueTraded, 2)
    pair.do(CancelOrder, "rests")
    await pair.until(VenueClosed)
    assert pair.east.exchange.open_orders() == 0


async def test_holdings_are_told_once_all_have_said_theirs(pair: Pair) -> None:
    pair.place("one")
    await pair.until(VenueTraded, 2)
    pair.venue.carry_out(QueryAccount(time_ns=1))
    (told, *_) = await pair.until(VenueHoldings)
    assert told.holdings == dict(await pair.venue.holdings())
    assert told.holdings["BTC"] == 20 + D("1.5")
    assert len(pair.of(VenueHoldings)) == 1


@pytest.mark.parametrize(
    ("silent", "resting", "connected"),
    [
        ([], True, True),
        (["west"], True, True),
        (["east"], False, True),
        (["east"], True, False),
        (["east", "west"], False, False),
    ],
)
async def test_contact_is_lost_where_an_order_is_or_everywhere(
    pair: Pair, silent: list[str], resting: bool, connected: bool
) -> None:
    if resting:
        pair.place("one", **LIMIT)
        await pair.until(VenueAccepted)
    legs = pair.venue._legs
    for name in ("west", "east"):
        news = VenueContact(time_ns=1, connected=name not in silent, at_ns=1)
        (told,) = pair.venue._heard(legs[name], news)
    assert isinstance(told, VenueContact)
    assert told.connected is connected
