"""The look at a whole account: what it asks for, whom it tells, and what it does when it cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from goalkick.common.events.venue import (
    VenueEvent,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
)
from goalkick.common.values.time import NS_PER_MS
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues import client as clients
from goalkick.execution.venues.binance import BinanceDialect
from goalkick.execution.venues.client import VenueClient
from goalkick.execution.venues.watch import LATE_MS, OVERLAP_MS, REACH_MS, TRIES, AccountWatch

NOW_MS = 1_800_000_000_000
OURS, THEIRS = "gk-1", "web-1"


class NotThereError(Exception):
    """The library's, for an order that the venue does not know."""


class Library:
    """Stands in for ccxt: a Binance of which a test says what it answers."""

    OrderNotFound = NotThereError
    InvalidNonce = AuthenticationError = BaseError = ConnectionError

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.orders: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.owners: dict[str, str] = {"7": OURS, "8": THEIRS}
        self.since: list[int] = []
        self.asked_for_owners: list[str] = []
        self.failures = 0
        self.while_holdings: Callable[[], None] = lambda: None
        self.markets_by_id = ("BTCUSDT", "ETHUSDT")
        library = self

        class Binance:
            """A client; what it is asked, the library answers."""

            def __init__(self, config: Mapping[str, Any]) -> None:
                self.urls: dict[str, Any] = {"api": {}}
                self.options: dict[str, Any] = {}

            def __getattr__(self, name: str) -> Any:
                return getattr(library, name)

        self.binance = Binance

    def set_markets_from_exchange(self, other: Any) -> None: ...

    def milliseconds(self) -> int:
        return self.now_ms

    def safe_market(self, symbol: str, *_: Any) -> Mapping[str, str]:
        return {"symbol": f"{symbol[:3]}/USDT"}

    async def load_markets(self) -> None: ...

    async def load_time_difference(self) -> None: ...

    async def close(self) -> None: ...

    async def private_get_openorders(self) -> Any:
        if self.failures:
            self.failures -= 1
            raise TimeoutError
        return self.orders

    async def private_get_mytrades(self, asked: Mapping[str, Any]) -> Any:
        self.since.append(asked["startTime"])
        return [
            row
            for row in self.trades
            if row["symbol"] == asked["symbol"] and row["time"] >= asked["startTime"]
        ]

    async def private_get_order(self, asked: Mapping[str, Any]) -> Any:
        self.asked_for_owners.append(asked["orderId"])
        if asked["orderId"] not in self.owners:
            raise NotThereError
        return {"clientOrderId": self.owners[asked["orderId"]]}

    async def private_get_account(self) -> Any:
        self.while_holdings()
        return {"balances": [{"asset": "USDT", "free": "1", "locked": "2"}]}

    def open_order(self, number: int, handle: str) -> None:
        self.orders.append(
            {
                "symbol": "BTCUSDT",
                "orderId": number,
                "clientOrderId": handle,
                "side": "BUY",
                "type": "LIMIT",
                "origQty": "1",
                "executedQty": "0",
                "price": "90",
                "time": NOW_MS,
            }
        )

    def trade(self, number: int, order: int, time_ms: int, symbol: str = "BTCUSDT") -> None:
        self.trades.append(
            {
                "symbol": symbol,
                "id": number,
                "orderId": order,
                "time": time_ms,
                "isBuyer": True,
                "qty": "1",
                "price": "90",
                "commission": "0",
                "commissionAsset": "BNB",
            }
        )


class Desk:
    """A watch and all that it says."""

    def __init__(self, library: Library, client: VenueClient) -> None:
        self.library = library
        self.said: list[VenueEvent] = []
        self.ours: list[str] = []
        self.listed: list[list[str]] = []
        self.trades = 0
        self._heard = asyncio.Event()
        self.watch = AccountWatch(
            client,
            BinanceDialect(),
            self._say,
            lambda handle, instrument: self.ours.append(f"{handle} {instrument}"),
            self._list,
            lambda: self.trades,
        )
        self.watch.begin()

    async def look(self, since_ns: int = 0) -> None:
        """One look, to its end."""
        self._heard.clear()
        self.watch.look(since_ns)
        await asyncio.wait_for(self._heard.wait(), 5)

    def told(self, kind: type[VenueEvent]) -> list[Any]:
        return [event for event in self.said if isinstance(event, kind)]

    async def _say(self, event: VenueEvent) -> None:
        self.said.append(event)
        if isinstance(event, VenueHoldings):
            self._heard.set()

    async def _list(self, asked_s: float, ours: Mapping[str, VenueExternalOrder]) -> None:
        self.listed.append(list(ours))


@asynccontextmanager
async def at_work(library: Library, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(clients, "_load", lambda: library)
    settings = VenueSettings(retry_delay="1ms", max_retry_delay="2ms")
    client = VenueClient(settings, BinanceDialect(), "binance/main")
    await client.load()
    desk = Desk(library, client)
    running = asyncio.create_task(desk.watch.run())
    try:
        yield desk
    finally:
        running.cancel()
        await asyncio.wait([running])
        await client.close()


async def test_open_orders_of_ours_are_listed_and_those_of_others_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    library.open_order(7, OURS)
    library.open_order(8, THEIRS)
    async with at_work(library, monkeypatch) as desk:
        await desk.look()
    assert desk.listed == [[OURS]]
    (order,) = desk.told(VenueExternalOrder)
    assert (order.client_order_id, order.instrument) == (THEIRS, "binance:BTC/USDT")


async def test_a_trade_of_ours_turns_up_and_one_of_others_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    library.trade(1, 7, NOW_MS)
    library.trade(2, 8, NOW_MS)
    library.trade(3, 9, NOW_MS)  # of an order that the venue has forgotten
    async with at_work(library, monkeypatch) as desk:
        desk.watch.trades_here("BTCUSDT")
        for _ in range(2):
            await desk.look()
    assert set(desk.ours) == {f"{OURS} binance:BTC/USDT"}
    assert {trade.trade_id for trade in desk.told(VenueExternalTrade)} == {"2", "3"}
    assert library.asked_for_owners == ["7", "8", "9"], "each is asked about once"


async def test_whose_a_listed_order_is_need_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    library.open_order(7, OURS)
    library.trade(1, 7, NOW_MS)
    async with at_work(library, monkeypatch) as desk:
        desk.watch.owned("BTCUSDT", "", "gk-2")  # of no number: nothing to remember
        await desk.look()
    assert desk.ours
    assert library.asked_for_owners == []


async def test_instruments_that_nobody_named_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    library.trade(1, 8, NOW_MS, "ETHUSDT")
    async with at_work(library, monkeypatch) as desk:
        await desk.look()
        assert library.since == []
        desk.watch.trades_here("ETHUSDT")
        await desk.look()
    assert [t.instrument for t in desk.told(VenueExternalTrade)] == ["binance:ETH/USDT"]


async def test_trades_from_before_the_beginning_are_in_what_the_account_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    library.trade(1, 8, NOW_MS - 1)
    async with at_work(library, monkeypatch) as desk:
        desk.watch.trades_here("BTCUSDT")
        await desk.look()
        assert desk.told(VenueExternalTrade) == []
        await desk.look((NOW_MS - 1) * NS_PER_MS)
    assert len(desk.told(VenueExternalTrade)) == 1, "unless it is asked for"


async def test_trades_are_asked_for_again_from_a_little_before_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    last_ms = NOW_MS + 3 * OVERLAP_MS
    library.trade(1, 8, last_ms)
    async with at_work(library, monkeypatch) as desk:
        desk.watch.trades_here("BTCUSDT")
        library.now_ms = last_ms
        for _ in range(2):
            await desk.look()
    assert library.since == [NOW_MS, last_ms - OVERLAP_MS]


async def test_on_a_quiet_account_the_time_that_is_asked_from_goes_on_step_by_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No step is longer than a venue's answer reaches, and the last hour stays in view."""
    library, days = Library(), 9
    async with at_work(library, monkeypatch) as desk:
        desk.watch.trades_here("BTCUSDT")
        library.now_ms = NOW_MS + days * REACH_MS
        for _ in range(days + 3):
            await desk.look()
    steps = [later - earlier for earlier, later in pairwise(library.since)]
    assert max(steps) <= REACH_MS
    assert library.since[-1] == library.now_ms - LATE_MS - OVERLAP_MS


async def test_a_look_that_fails_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    library.failures = 3
    async with at_work(library, monkeypatch) as desk:
        await desk.look()
    assert library.failures == 0
    assert len(desk.told(VenueHoldings)) == 1


async def test_holdings_between_which_something_was_traded_are_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, trades_to_come = Library(), [1] * (TRIES - 1)
    async with at_work(library, monkeypatch) as desk:

        def trade_meanwhile() -> None:
            if trades_to_come:
                desk.trades += trades_to_come.pop()

        library.while_holdings = trade_meanwhile
        await desk.look()
    (told,) = desk.told(VenueHoldings)
    assert told.holdings == {"USDT": Decimal(3)}
    assert told.time_ns == NOW_MS * NS_PER_MS


async def test_an_account_that_trades_all_the_time_is_looked_at_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, asked = Library(), 0
    enough = asyncio.Event()
    async with at_work(library, monkeypatch) as desk:

        def trade_meanwhile() -> None:
            nonlocal asked
            asked += 1
            desk.trades += 1
            if asked == TRIES:
                enough.set()

        library.while_holdings = trade_meanwhile
        desk.watch.look()
        await asyncio.wait_for(enough.wait(), 5)
        library.while_holdings = lambda: None
        await desk.look()
    assert len(desk.told(VenueHoldings)) == 1
    assert asked == TRIES
