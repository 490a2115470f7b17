"""The exchange in a box in a process of its own, and what a benchmark has it do."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.clock import VenueClock
from goalkick.venue.engine.model import Kind, NewOrder, OrderChanged, Side, TimeInForce
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import AccountSettings, FlowSettings, MarketSettings, VenueSettings

KEY, SECRET = "k" * 64, "s" * 64
ACCOUNT, OTHER = "main", "other"
PAIR = "BTC/USDT"
PRICE = Decimal(60_000)

_MANY = 1_000_000
"""No limit of the venue is to be felt but that of the time that it takes."""


class Hurry(NamedTuple):
    """A clock that began right and has been running fast since.

    Attributes:
        since_ns: when it was right, UTC ns.
        rate: its seconds in a real one.
    """

    since_ns: int
    rate: float

    def now_ns(self) -> int:
        """What it shows, UTC ns."""
        return self.since_ns + round((_real_ns() - self.since_ns) * self.rate)


_real_ns = time.time_ns


class Box:
    """A running exchange.

    Attributes:
        url: where Binance is served.
    """

    def __init__(self, pipe: Connection) -> None:
        """Waits until it runs."""
        self._pipe = pipe
        self.url = str(pipe.recv())

    def rest(self, handles: Sequence[str], price: Decimal, quantity: Decimal) -> dict[str, str]:
        """Buys of the account that rest in the book.

        Args:
            handles: their client order ids.
            price: of the first; each further one is a tick lower.
            quantity: of each.

        Returns:
            Client order id -> the exchange's number.
        """
        found: dict[str, str] = self._ask("rest", list(handles), price, quantity)
        return found

    def sell_into(self, quantity: Decimal, rate: float) -> None:
        """Somebody sells `quantity` into the best buy, so many times a second; 0: no more."""
        self._ask("sell_into", quantity, rate)

    def seen(self) -> "Seen":
        """What the account has done so far."""
        return Seen(*self._ask("seen"))

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


class Seen(NamedTuple):
    """What the exchange knows.

    Attributes:
        arrivals: client order id -> when it came, monotonic seconds.
        orders: how many orders the account ever had.
        fills: how many fills.
        balances: currency -> what the account has, free and set aside.
    """

    arrivals: dict[str, float]
    orders: int
    fills: int
    balances: dict[str, Decimal]


@contextlib.contextmanager
def box(*, trades_per_second: float = 0.0, clock: Hurry | None = None) -> Iterator[Box]:
    """A running exchange with one instrument.

    Args:
        trades_per_second: of others; 0: nobody quotes or trades.
        clock: the exchange's; None: it is right.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, trades_per_second, clock), daemon=True)
    process.start()
    try:
        yield Box(ours)
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection, trades_per_second: float, clock: Hurry | None) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(pipe, trades_per_second, clock))


async def _run(pipe: Connection, trades_per_second: float, clock: Hurry | None) -> None:
    shown = VenueClock(clock.now_ns) if clock else None
    async with VenueServer(_settings(trades_per_second), clock=shown) as server:
        keeper = _Keeper(server)
        asyncio.get_running_loop().add_reader(
            pipe.fileno(), lambda: pipe.send(keeper.answer(pipe.recv()))
        )
        pipe.send(server.binance_url)
        await asyncio.Event().wait()


def _settings(trades_per_second: float) -> VenueSettings:
    rich = {"USDT": Decimal(10**9), "BTC": Decimal(10**6)}
    flow = FlowSettings(
        enabled=trades_per_second > 0,
        trades_per_second=trades_per_second,
        interval=5 * NS_PER_MS,
        history=0,
        levels=10,
    )
    return VenueSettings(
        front_ends=("binance",),
        binance_port=0,
        control_port=0,
        markets={PAIR: MarketSettings(price=PRICE, max_orders=_MANY)},
        accounts={
            ACCOUNT: AccountSettings(balances=rich, key=KEY, secret=SECRET),
            OTHER: AccountSettings(balances=rich, key="o" * 64, secret="t" * 64),
        },
        flow=flow,
        binance=BinanceSettings(
            weight_limit=_MANY, orders_per_10s=_MANY, orders_per_day=_MANY, queue_limit=_MANY
        ),
    )


class _Keeper:
    """Does what it is told, within the exchange's own event loop."""

    def __init__(self, server: VenueServer) -> None:
        self._server = server
        self._arrivals: dict[str, float] = {}
        self._selling: asyncio.Task[None] | None = None
        server.exchange.subscribe(self._note)
        self._does: dict[str, Callable[..., Any]] = {
            "rest": self._rest,
            "sell_into": self._sell_into,
            "seen": self._seen,
        }

    def answer(self, question: tuple[Any, ...]) -> Any:
        name, *given = question
        return self._does[name](*given)

    def _note(self, happening: object) -> None:
        if isinstance(happening, OrderChanged) and happening.order.account == ACCOUNT:
            now_s = asyncio.get_running_loop().time()
            self._arrivals.setdefault(happening.order.client_order_id, now_s)

    def _rest(self, handles: list[str], price: Decimal, quantity: Decimal) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, handle in enumerate(handles):
            at = price - number * Decimal("0.01")
            order = self._place(ACCOUNT, Side.BUY, at, quantity, TimeInForce.GTC, handle)
            found[handle] = str(order.order_id)
        return found

    def _sell_into(self, quantity: Decimal, rate: float) -> None:
        if self._selling is not None:
            self._selling.cancel()
            self._selling = None
        if rate:
            self._selling = asyncio.create_task(self._sell(quantity, rate))

    async def _sell(self, quantity: Decimal, rate: float) -> None:
        loop = asyncio.get_running_loop()
        began_s, done = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, began_s + done / rate - loop.time()))
            best = self._server.exchange.depth(PAIR, 1).bids[0][0]
            self._place(OTHER, Side.SELL, best, quantity, TimeInForce.IOC)
            done += 1

    def _place(
        self,
        account: str,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        lasts: TimeInForce,
        handle: str = "",
    ) -> Any:
        self._server.context.advance()
        return self._server.exchange.place(
            account,
            NewOrder(
                instrument=PAIR,
                side=side,
                kind=Kind.LIMIT,
                quantity=quantity,
                price=price,
                time_in_force=lasts,
                client_order_id=handle,
            ),
        )

    def _seen(self) -> tuple[dict[str, float], int, int, dict[str, Decimal]]:
        account = self._server.exchange.ledger().accounts[ACCOUNT]
        balances = {name: each.free + each.locked for name, each in account.balances.items()}
        return self._arrivals, len(account.orders), len(account.fills), balances
