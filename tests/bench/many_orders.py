"""A thousand open orders and a hundred fills a second: how long the account takes to be compared,
what that does to placements, and how long a restart takes.

The live session of `goalkick run` with execution's core alone in it, for risk makes no order that
rests; the exchange is in another process.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.config.secret import Secret
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import OrderApproved, OrderKind
from goalkick.common.events.venue import VenueEvent, VenueHoldings
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.instruments import Instrument
from goalkick.embedded.order_log import Given
from goalkick.embedded.run import LOG_ROOM, NOTHING_YET, SAVE_SECONDS, Market, Session
from goalkick.embedded.settings import GoalkickSettings
from goalkick.execution.live import LiveExecution
from goalkick.execution.order_state import Order, OrderStatus
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.execution.venues.watch import AccountWatch
from tests.bench.box import ACCOUNT, KEY, PAIR, PRICE, SECRET, Box, box
from tests.bench.figures import Bench, Figure
from tests.bench.socket_to_order import handle_in

BTC: Final = InstrumentId(f"binance:{PAIR}")
OPEN: Final = 1_000
FILLS: Final = 100.0
"""A second."""
BATCH: Final = 20
"""Orders that are placed at once in the beginning."""
EVERY_S: Final = 0.1
"""Between two of the placements that are watched."""
COMPARE_S: Final = 3
WANTED_S, WANTED_MS = 2.0, 50.0
PATIENCE_S: Final = 60.0


class Decided:
    """Stands where the pipeline does: execution's core, and decisions that come from outside."""

    def __init__(self, settings: GoalkickSettings) -> None:
        """Knows no orders."""
        self.core = LiveExecution(settings.execution)
        self.moment_ns = NOTHING_YET
        self.reports = 0

    def open_account(self, holdings: Mapping[str, Decimal]) -> None:
        """See `Pipeline`."""
        self.core.open(holdings)

    def set_clock(self, now_ns: int) -> None:
        """See `Pipeline`."""
        self.core.set_clock(now_ns)
        self.moment_ns = now_ns

    def feed(self, step: Sequence[Event]) -> None:
        """Takes decisions."""
        for event in step:
            self.reports += len(self.core.handlers[type(event)](event))

    def hear(self, answers: Iterable[VenueEvent]) -> None:
        """See `Pipeline`."""
        self.reports += len(self.core.answer(answers, self.moment_ns))

    def doubt(self) -> None:
        """See `Pipeline`."""
        self.reports += len(self.core.doubts(self.moment_ns))

    def leave(self) -> None:
        """Orders stay: a kill is what is measured."""

    left = True

    def commands(self) -> Sequence[VenueEvent]:
        """See `Pipeline`."""
        return self.core.commands()

    def snapshot(self) -> bytes:
        """See `Pipeline`."""
        return encode_snapshot("decided/1", "", (self.moment_ns, self.core.snapshot()))

    def restore(self, data: bytes) -> None:
        """See `Pipeline`."""
        self.moment_ns, core = decode_snapshot(data, "decided/1", "", tuple[int, bytes])
        self.core.restore(core)


class Desk(Session):
    """A live session whose decisions are the benchmark's.

    Attributes:
        compared_s: how long each look at the account took.
        looks: how many of them ended with a comparison of holdings.
        changed: is set whenever something was handled.
    """

    def __init__(self, exchange: Box, store: SqliteStateStore, compare_s: float) -> None:
        """Begins, or goes on from what is stored; what the market's steps are is said later."""
        self.waiting: asyncio.Queue[Sequence[Event]] = asyncio.Queue()
        self.compared_s: list[float] = []
        self.changed = asyncio.Event()
        self.looks = 0
        settings = _venue_settings(exchange, compare_s)
        market = Market(name="bench", pace="", identity="bench", steps=lambda _: self._told())
        self.outside = CcxtVenue(settings, BinanceDialect(), ACCOUNT)
        super().__init__(
            GoalkickSettings(execution=ExecutionSettings(venue=settings)),
            market,
            store,
            lambda _: None,
            venue=self.outside,
        )

    @property
    def core(self) -> LiveExecution:
        """Execution's core, as it stands."""
        decided: Any = self._pipeline
        return decided.core  # type: ignore[no-any-return]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds; looked at when something was handled."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def _told(self) -> AsyncIterator[Sequence[Event]]:
        while True:
            yield await self.waiting.get()

    def _piped(self, settings: GoalkickSettings, *, quietly: bool = False) -> Any:
        return Decided(settings)

    def _take(self, given: Given) -> None:
        super()._take(given)
        if any(isinstance(event, VenueHoldings) for event in given.events):
            self.looks += 1
        self.changed.set()


def many_orders(short: bool) -> Iterator[Figure]:
    """All of it."""
    count = OPEN // 5 if short else OPEN
    yield from asyncio.run(_bench(count, 6 if short else 20))


BENCHES: Sequence[Bench] = (many_orders,)


async def _bench(count: int, seconds: float) -> list[Figure]:
    with box() as exchange, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.sqlite"
        async with _desk(exchange, file, 3_600) as desk:
            alone = await _placements(desk, 0, 50)
            handles = await _placed(desk, count)
        began_s = time.monotonic()
        async with _desk(exchange, file, 3_600) as desk:
            await desk.until(lambda: desk.looks > 0)
            restart_s = time.monotonic() - began_s
            exchange.sell_into(Decimal("0.001"), FILLS)
            quiet = await _placements(desk, 1_000, seconds / EVERY_S)
        async with _desk(exchange, file, COMPARE_S) as desk:
            busy = await _placements(desk, 10_000, seconds / EVERY_S)
            compared_s, looks = desk.compared_s[1:], desk.looks - 1
            exchange.sell_into(Decimal(0), 0)
            wrong = await _wrong(desk, exchange)
    open_now = len(handles)
    yielded = [
        Figure(
            f"restart with {open_now:,} open orders, to holdings compared",
            f"{restart_s:.2f} s",
            f"held against {WANTED_S:g} s; from the file opened, connecting included",
            wrong,
        ),
        Figure(
            f"a comparison, {open_now:,} open, {FILLS:g} fills/s, worst of {len(compared_s)}",
            f"{max(compared_s, default=0):.2f} s",
            f"held against {WANTED_S:g} s; median {statistics.median(compared_s or [0]):.2f}; "
            f"{looks} with holdings",
        ),
    ]
    names = ("nothing open", f"{open_now:,} open, fills", f"{open_now:,} open, fills, comparisons")
    base = statistics.median(alone)
    for name, found in zip(names, (alone, quiet, busy), strict=True):
        late_ms = sorted(1e3 * each for each in found)
        yielded.append(
            Figure(
                f"placement due to sent, {name}",
                f"{late_ms[-1]:.1f} ms worst",
                f"p50 {statistics.median(late_ms):.1f}, {len(late_ms)} of them; worst delay "
                f"{late_ms[-1] - 1e3 * base:.1f} held against {WANTED_MS:g}",
            )
        )
    return yielded


@contextlib.asynccontextmanager
async def _desk(exchange: Box, file: Path, compare_s: float) -> AsyncIterator[Desk]:
    """A desk at work; at the end it stops dead, as if killed."""
    with contextlib.closing(SqliteStateStore(file, room_bytes=LOG_ROOM)) as store:
        desk = Desk(exchange, store, compare_s)
        with _timed(desk):
            trading = asyncio.create_task(desk.trade())
            keeping = asyncio.create_task(_keep(desk))
            try:
                resumed = desk.resumed
                while not (desk.outside.connected and (resumed or desk.core._book.opening)):
                    if trading.done():
                        trading.result()
                    await asyncio.sleep(0.005)
                yield desk
            finally:
                if trading.done():
                    trading.result()
                for task in (trading, keeping):
                    task.cancel()
                await asyncio.wait((trading, keeping))


async def _keep(desk: Desk) -> None:
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        desk.keep()


@contextlib.contextmanager
def _timed(desk: Desk) -> Iterator[None]:
    look = AccountWatch._look_once

    async def timed(watch: AccountWatch) -> None:
        began_s = time.monotonic()
        await look(watch)
        desk.compared_s.append(time.monotonic() - began_s)

    with patch.object(AccountWatch, "_look_once", timed):
        yield


async def _placed(desk: Desk, count: int) -> list[str]:
    """Has so many orders rest in the book."""
    for first in range(0, count, BATCH):
        orders = [
            _approved(100_000 + each, PRICE - each / Decimal(100))
            for each in range(first, first + BATCH)
        ]
        desk.waiting.put_nowait(orders)
        working = desk.core.execution.working
        handles = [order.client_order_id for order in orders]
        await desk.until(partial(_are_accepted, working, handles))
    return list(desk.core.execution.working)


def _are_accepted(working: Mapping[ClientOrderId, Order], handles: Sequence[ClientOrderId]) -> bool:
    return all(
        handle in working and working[handle].status is OrderStatus.ACCEPTED for handle in handles
    )


async def _placements(desk: Desk, first: int, count: float) -> list[float]:
    """Places orders far below the market on a beat; seconds from when each was due to its request
    being sent."""
    sent: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    client = desk.outside.client.trading
    fetch = client.fetch

    async def sending(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        if method == "POST":
            sent.setdefault(handle_in(body.encode()), loop.time())
        return await fetch(url, method, headers, body)

    due: dict[str, float] = {}
    with patch.object(client, "fetch", sending):
        began_s = loop.time()
        for number in range(int(count)):
            at_s = began_s + number * EVERY_S
            await asyncio.sleep(max(0.0, at_s - loop.time()))
            order = _approved(first + number, PRICE / 2 - number)
            due[order.client_order_id] = at_s
            if number == 0:
                listed = InstrumentListed(
                    time_ns=1, instrument=BTC, rules=Instrument(id=BTC, base="BTC", quote="USDT")
                )
                desk.waiting.put_nowait([listed])
            desk.waiting.put_nowait([order])
        await desk.until(lambda: all(handle in sent for handle in due))
    return [sent[handle] - due[handle] for handle in due]


async def _wrong(desk: Desk, exchange: Box) -> str:
    """What the desk believes against what the exchange knows."""
    balances, cash = exchange.seen().balances, desk.core.execution.ledger
    with contextlib.suppress(TimeoutError):
        await desk.until(lambda: cash.cash == exchange.seen().balances["USDT"])
    balances = exchange.seen().balances
    if cash.cash != balances["USDT"]:
        return f"expected {balances['USDT']} USDT, found {cash.cash}"
    held = cash.positions[BTC].quantity + desk.core._book.opening["BTC"]
    if held != balances["BTC"]:
        return f"expected {balances['BTC']} BTC, found {held}"
    return ""


def _approved(number: int, price: Decimal) -> OrderApproved:
    order = derive_id(f"{ACCOUNT}|{number}", "order")
    return OrderApproved(
        time_ns=time.time_ns(),
        account=AccountId(ACCOUNT),
        order=order,
        cause=order,
        client_order_id=client_order_id(order),
        strategy=StrategyId("bench"),
        instrument=BTC,
        side=Side.BUY,
        quantity=Decimal("0.02"),
        kind=OrderKind.LIMIT,
        limit_price=price,
    )


def _venue_settings(exchange: Box, compare_s: float) -> VenueSettings:
    return VenueSettings(
        endpoint=exchange.url,
        key=Secret("env:KEY", KEY),
        secret=Secret("env:SECRET", SECRET),
        compare_every=int(compare_s * 1e9),
    )
