"""Execution's adapter with keys that Vault keeps: they turn under orders, and age stops new risk.

Real Vault, the exchange in a box, and the venue as the execution service builds it.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.adapters.secrets.settings import SecretsSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.config.secret import Secret
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    CancelOrder,
    PlaceOrder,
    VenueAccepted,
    VenueClosed,
    VenueEvent,
    VenueKeyRefused,
    VenueKeyRotated,
    VenueRejected,
    VenueUnreachable,
)
from goalkick.common.ports.venue import Venue
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.build import build_venue
from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.faults.desk import QUICK
from tests.vault.server import VaultServer

pytestmark = pytest.mark.slow

TURNS = 10
WORKERS = 3
WAIT_S = 30
LEASE_S = 3

QUICK_TURNS: dict[str, Any] = {**QUICK, "recv_window": "300ms", "timeout": "3s"}


@dataclass
class Dealer:
    """Places orders over the adapter and hears what becomes of them."""

    name: str
    box: VenueServer
    venue: Venue
    stores: Stores
    heard: list[VenueEvent] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        while True:
            self.heard += await self.venue.answers()
            self._news.set()

    async def until(self, kind: type[VenueEvent], handle: str = "", count: int = 1) -> Any:
        """The last of so many pieces of news of a kind, of one order or any."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = [
                    event
                    for event in self.heard
                    if isinstance(event, kind)
                    and (not handle or getattr(event, "client_order_id", "") == handle)
                ]
                if len(found) >= count:
                    return found[-1]
                self._news.clear()
                await self._news.wait()

    def place(self, *, at_once: bool = False) -> str:
        """One order far below the market: it rests in the book, or is over at once."""
        handle = f"gk-{secrets.token_hex(8)}"
        price = self.box.exchange.ticker("BTC/USDT").last // 2
        self.sent.append(handle)
        self.venue.carry_out(
            PlaceOrder(
                time_ns=time.time_ns(),
                client_order_id=ClientOrderId(handle),
                instrument=InstrumentId(f"{self.name}:BTC/USDT"),
                side=Side.BUY,
                quantity=Decimal("0.01"),
                kind=OrderKind.LIMIT,
                limit_price=Decimal(price),
                time_in_force=TimeInForce.IMMEDIATE if at_once else TimeInForce.UNTIL_CANCELLED,
            )
        )
        return handle

    def cancel(self, handle: str) -> None:
        self.venue.carry_out(
            CancelOrder(
                time_ns=time.time_ns(),
                client_order_id=ClientOrderId(handle),
                instrument=InstrumentId(f"{self.name}:BTC/USDT"),
            )
        )

    async def deal(self, stop: asyncio.Event) -> None:
        """Orders one after another."""
        while not stop.is_set():
            await self.until(VenueClosed, self.place(at_once=True))

    @property
    def placed(self) -> set[str]:
        orders = self.box.exchange.ledger().accounts["main"].orders
        return {order.client_order_id for order in orders}

    def wrong(self) -> list[VenueEvent]:
        bad = (VenueRejected, VenueUnreachable, VenueKeyRefused)
        return [event for event in self.heard if isinstance(event, bad)]


def path_of(name: str) -> str:
    return f"venues/trading/{name}/main"


def settings_of(name: str, url: str) -> ExecutionSettings:
    return ExecutionSettings(
        venue=VenueSettings(
            name=name,
            endpoint=url,
            key=Secret(f"vault:{path_of(name)}#key"),
            secret=Secret(f"vault:{path_of(name)}#secret"),
            **QUICK_TURNS,
        )
    )


@asynccontextmanager
async def dealer(vault: VaultServer, name: str = "binance") -> AsyncIterator[Dealer]:
    """A dealer at a new exchange, whose first key is in Vault."""
    vault.put(path_of(name), key=KEY, secret=SECRET)
    stores = Stores(
        SecretsSettings(allow=("vault",)),
        vault.settings(
            refresh=50 * NS_PER_MS, lease=LEASE_S * NS_PER_SECOND, timeout=NS_PER_SECOND
        ),
        {},
        "execution",
    )
    box_settings = quiet_settings(
        binance=BinanceSettings(orders_per_10s=100_000, weight_limit=1_000_000)
    )
    async with VenueServer(box_settings) as box, stores:
        settings = await stores.resolve(settings_of(name, box.urls[name]))
        one = Dealer(name, box, build_venue(settings, stores), stores)
        await one.venue.start()
        listening = asyncio.create_task(one.listen())
        try:
            yield one
        finally:
            listening.cancel()
            await one.venue.close()


async def put_new_key(vault: VaultServer, one: Dealer) -> ApiKey:
    """As a person does it: at the venue first, then in Vault."""
    made = ApiKey(key=secrets.token_hex(32), secret=secrets.token_hex(32), account="main")
    one.box.context.accounts.add(made)
    await asyncio.to_thread(vault.put, path_of(one.name), key=made.key, secret=made.secret)
    return made


@pytest.mark.parametrize("name", ["binance", "bybit"])
async def test_keys_turn_under_orders_and_nothing_is_refused(vault: VaultServer, name: str) -> None:
    async with dealer(vault, name) as one:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(one.deal(stop))
            current = KEY
            for turn in range(1, TURNS + 1):
                made = await put_new_key(vault, one)
                await one.until(VenueKeyRotated, count=turn)
                assert one.box.context.accounts.revoke(current)
                current = made.key
            stop.set()
        assert one.wrong() == []
        assert one.placed == set(one.sent)
        assert len(one.sent) > TURNS * WORKERS
        turns = [event for event in one.heard if isinstance(event, VenueKeyRotated)]
        assert all(a.new == b.old for a, b in itertools.pairwise(turns))


async def test_secrets_that_are_too_old_stop_new_orders_and_no_cancels(
    vault: VaultServer,
) -> None:
    async with dealer(vault) as one:
        resting, working = one.place(), one.place()
        await one.until(VenueAccepted, resting)
        await one.until(VenueAccepted, working)
        await asyncio.to_thread(vault.kill)
        try:
            within = one.place()
            await one.until(VenueAccepted, within)
            async with asyncio.timeout(WAIT_S):
                while one.stores.fresh() is None:  # noqa: ASYNC110 -- it tells nobody
                    await asyncio.sleep(0.05)
            refused = await one.until(VenueRejected, one.place())
            assert "expected fresh secrets before new risk, found that 1 secrets" in refused.reason
            one.cancel(resting)
            await one.until(VenueClosed, resting)
        finally:
            await asyncio.to_thread(vault.start_again)
        async with asyncio.timeout(WAIT_S):
            while one.stores.fresh() is not None:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.05)
        await one.until(VenueAccepted, one.place())
        assert one.sent[3] not in one.placed
        assert len(one.placed) == 4
