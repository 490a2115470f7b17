"""A live feed that listens to the exchange in a box, and a market that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

from goalkick.common.events.base import Event
from goalkick.common.events.market import BookSnapshotTaken, TradePrinted
from goalkick.common.ports.feed import Quiet, Tape
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_MS
from goalkick.ingest.feeds.stream import StreamFeed
from goalkick.ingest.settings import CcxtSettings
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.bybit.settings import BybitSettings
from goalkick.venue.engine.model import Kind, NewOrder, Side, TimeInForce
from goalkick.venue.faults import Action, Fault, Params, Point
from goalkick.venue.presets import preset
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import quiet_settings

WITHIN_S = 10.0
"""How long a test waits for what comes within a fraction of a second; machines may be busy."""

BTC, ETH = InstrumentId("binance:BTC/USDT"), InstrumentId("binance:ETH/USDT")
BYBIT_BTC = InstrumentId("bybit:BTC/USDT")

Said = TypeVar("Said", bound=Event)


class SkewedClock:
    """A clock that is ahead of the venue's, or behind (negative)."""

    def __init__(self, venue: VenueServer, by_ns: int) -> None:
        self._venue = venue
        self.by_ns = by_ns

    def now_ns(self) -> int:
        return self._venue.clock.now_ns() + self.by_ns


class Listener:
    """What a feed told so far.

    Attributes:
        feed: the feed.
        clock: the feed's.
        events: all events, in the order of their being told.
        moments: times of the steps and of the promises.
        promises: how many quiet moments were promised.
    """

    def __init__(self, feed: StreamFeed, clock: SkewedClock) -> None:
        self.feed = feed
        self.clock = clock
        self.events: list[Event] = []
        self.moments: list[int] = []
        self.promises = 0
        self._since = 0
        self._changed = asyncio.Event()

    @property
    def fresh(self) -> list[Event]:
        """What was told since `forget`."""
        return self.events[self._since :]

    def forget(self) -> None:
        """Looks only at what is told from now on."""
        self._since = len(self.events)

    def told(self, kind: type[Said], **fields: object) -> list[Said]:
        """The events of a kind, with these fields, since `forget`."""
        return [
            event
            for event in self.fresh
            if type(event) is kind
            and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def event(self, kind: type[Said], **fields: object) -> Said:
        """The first event of a kind, with these fields, since `forget`; waits for it."""
        await self.until(lambda: bool(self.told(kind, **fields)))
        return self.told(kind, **fields)[0]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds; looked at when something is told, and now and then."""
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def listen(self) -> None:
        """Takes what the feed tells until it is closed."""
        async with aclosing(self.feed.steps()) as steps:
            async for said in steps:
                if isinstance(said, Quiet):
                    self.moments.append(said.until_ns)
                    self.promises += 1
                elif not isinstance(said, Tape):
                    self.moments.append(said[0].time_ns)
                self.events += said
                self._changed.set()


@asynccontextmanager
async def lively_venue(*, seconds: bool = False, **changes: Any) -> AsyncIterator[VenueServer]:
    """A venue that says everything several times faster than a real one, and a book to begin.

    Args:
        seconds: it has bars of one second, too: there are none before a first trade.
        changes: of its settings.
    """
    settings = {
        "binance": BinanceSettings(
            fast_interval=20 * NS_PER_MS,
            kline_interval=60 * NS_PER_MS,
            kline_second_interval=60 * NS_PER_MS,
            **changes.pop("binance", {}),
        ),
        "bybit": BybitSettings(kline_interval=60 * NS_PER_MS, **changes.pop("bybit", {})),
        **changes,
    }
    async with VenueServer(quiet_settings(**settings)) as venue:
        for step in range(5):
            place(venue, Side.BUY, 59_999 - step)
            place(venue, Side.SELL, 60_001 + step)
        place(venue, Side.SELL, 3_001, instrument="ETH/USDT")
        if seconds:
            trade(venue)
            trade(venue, instrument="ETH/USDT")
        yield venue


@asynccontextmanager
async def listening(
    venue: VenueServer, *instruments: str, skew_ns: int = 0, **options: Any
) -> AsyncIterator[Listener]:
    """A feed with short patience.

    Args:
        venue: whom it listens to.
        instruments: of Binance or Bybit; none: one of Binance.
        skew_ns: by how much our clock is ahead of the venue's.
        options: settings.
    """
    chosen = instruments or (BTC,)
    urls = {"binance": venue.binance_url, "bybit": venue.bybit_url}
    usual: dict[str, Any] = {
        "instruments": chosen,
        "endpoints": {name.split(":")[0]: urls[name.split(":")[0]] for name in chosen},
        "streams": ("bars", "trades", "quotes", "books"),
        "warmup": 2,
        "poll": "200ms",
        "settle": "100ms",
        "grace": "200ms",
        "book_interval": "0s",
        "retry_delay": "50ms",
        "max_retry_delay": "1s",
        "patience": {"bar": "500ms", "trade": None, "quote": None, "book": None, "all": "10s"},
    }
    clock = SkewedClock(venue, skew_ns)
    feed = StreamFeed(CcxtSettings(**usual | options), clock, jitter=lambda: 0.0)
    listener = Listener(feed, clock)
    task = asyncio.create_task(listener.listen())
    task.add_done_callback(lambda _: listener._changed.set())
    try:
        yield listener
    finally:
        feed.close()
        async with asyncio.timeout(WITHIN_S):
            await task


def place(
    venue: VenueServer,
    side: Side,
    price: int | str | None,
    quantity: int | str = 1,
    *,
    instrument: str = "BTC/USDT",
    account: str = "main",
) -> None:
    """Somebody places an order; without a price it takes what is there."""
    venue.context.advance()
    venue.exchange.place(
        account,
        NewOrder(
            instrument=instrument,
            side=side,
            kind=Kind.MARKET if price is None else Kind.LIMIT,
            price=None if price is None else Decimal(price),
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.GTC,
        ),
    )


def trade(venue: VenueServer, quantity: str = "0.1", instrument: str = "BTC/USDT") -> None:
    """Somebody buys at the best price."""
    place(venue, Side.BUY, None, quantity, instrument=instrument, account="other")


def arm(
    venue: VenueServer,
    point: Point,
    where: str,
    action: Action,
    *,
    count: int | None = 1,
    skip: int = 0,
    **params: Any,
) -> None:
    """Arms a fault."""
    given: Params = params
    venue.faults.arm(
        Fault(
            name="test",
            point=point,
            where=where,
            action=action,
            count=count,
            skip=skip,
            params=given,
        )
    )


def arm_preset(venue: VenueServer, name: str, **changes: Any) -> None:
    """Arms a fault of the catalogue."""
    for fault in preset(name, **changes).faults:
        venue.faults.arm(fault)


async def settled(venue: VenueServer, heard: Listener) -> None:
    """Waits until everything flows: a trade, a book that is right, bars; then forgets it."""
    await heard.event(BookSnapshotTaken)
    known = len(venue.exchange.trades("BTC/USDT"))
    trade(venue)
    await heard.event(TradePrinted, trade_id=str(known + 1))
    heard.forget()


def books_agree(venue: VenueServer, heard: Listener, instrument: InstrumentId = BTC) -> bool:
    """Whether the last book that was told is the venue's, at the venue's number."""
    books = [
        event
        for event in heard.events
        if isinstance(event, BookSnapshotTaken) and event.instrument == instrument
    ]
    depth = venue.exchange.depth("BTC/USDT", 20)
    return bool(books) and (books[-1].bids, books[-1].asks) == (
        tuple(depth.bids),
        tuple(depth.asks),
    )


def trade_ids(heard: Listener, instrument: InstrumentId = BTC) -> list[str]:
    """Ids of all trades that were told, in their order."""
    return [
        event.trade_id
        for event in heard.events
        if isinstance(event, TradePrinted) and event.instrument == instrument
    ]
