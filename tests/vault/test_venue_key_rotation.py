"""A venue's key turns under order load: real Vault, an exchange in a box, minutes as parts of one.

At the venue several keys are valid at once. Each turn goes as a person makes it: a new key at the
venue, its secret into Vault, and, once the turn is reported, the old key revoked at the venue.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from goalkick.common.adapters.secrets.rotation import KeyId, KeyRefused, KeyRotated
from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.adapters.secrets.venue_keys import KeyPair, VenueKeys
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.values.time import NS_PER_MS
from goalkick.venue.accounts import ApiKey
from goalkick.venue.binance.settings import BinanceSettings
from goalkick.venue.faults import Action, Fault, Params, Point
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.conformance.raw_binance import RawBinance, Reply
from tests.vault.server import VaultServer

pytestmark = pytest.mark.slow

PATH = "venues/trading/binance/main"
TURNS = 10
WORKERS = 4
WAIT_S = 20
OVERLAP_NS = 60 * NS_PER_MS
ORDER = "POST /api/v3/order"
REFUSALS = {-2014, -2015, -1022}
"""Binance's words for a key that it does not know, or a signature that is not its."""


@dataclass
class Desk:
    """Places orders with whatever key is in use, and remembers what became of them."""

    venue: VenueServer
    keys: VenueKeys
    stack: AsyncExitStack
    told: asyncio.Queue[KeyRotated | KeyRefused]
    sent: list[str] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    used: set[KeyId] = field(default_factory=set)
    _clients: dict[KeyId, RawBinance] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    async def place(self) -> None:
        """One order."""
        handle = f"gk-{next(self._numbers)}"
        self.sent.append(handle)
        async with self.keys.using() as pair:
            self.used.add(pair.id)
            client = await self._client(pair)
            self.replies.append(
                await client.order(
                    newClientOrderId=handle,
                    quantity="0.01",
                    price=str(self.venue.exchange.ticker("BTC/USDT").last // 2),
                    timeInForce="IOC",
                )
            )

    async def trade(self, stop: asyncio.Event) -> None:
        """Orders one after another."""
        while not stop.is_set():
            await self.place()

    async def outcome(self) -> KeyRotated | KeyRefused:
        """What the audit is told next."""
        async with asyncio.timeout(WAIT_S):
            return await self.told.get()

    @property
    def refused(self) -> list[Any]:
        """Replies that say that a key is not good, or that no order was placed."""
        return [reply.body for reply in self.replies if reply.status != 200]

    @property
    def placed(self) -> set[str]:
        """Client order ids that the exchange knows."""
        orders = self.venue.exchange.ledger().accounts["main"].orders
        return {order.client_order_id for order in orders}

    async def _client(self, pair: KeyPair) -> RawBinance:
        if pair.id not in self._clients:
            client = RawBinance(self.venue.binance_url, pair.key, pair.secret)
            self._clients[pair.id] = await self.stack.enter_async_context(client)
        return self._clients[pair.id]


@asynccontextmanager
async def desk(vault: VaultServer) -> AsyncIterator[Desk]:
    """A desk at a new exchange, whose first key is in Vault; requests take a while to arrive."""
    settings = quiet_settings(
        front_ends=["binance"],
        binance=BinanceSettings(orders_per_10s=100_000, weight_limit=1_000_000),
    )
    vault.put(PATH, key=KEY, secret=SECRET)
    secrets = VaultSecrets(vault.settings(refresh=20 * NS_PER_MS), "execution")
    told: asyncio.Queue[KeyRotated | KeyRefused] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        stack.callback(secrets.close)
        venue = await stack.enter_async_context(VenueServer(settings))
        venue.faults.arm(
            Fault(
                name="slow",
                point=Point.REQUEST,
                action=Action.DELAY,
                where=f"rest:{ORDER}",
                count=None,
                params=Params(delay_s=0.02),
            )
        )
        keys = VenueKeys(
            secrets,
            PATH,
            asks(venue.binance_url),
            told.put_nowait,
            overlap_ns=OVERLAP_NS,
            retry_ns=20 * NS_PER_MS,
        )
        await keys.start()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in (secrets.run(), keys.run())]
            yield Desk(venue, keys, stack, told)
            for task in running:
                task.cancel()


def asks(url: str) -> Callable[[KeyPair], Any]:
    """Asks the venue for the account's balances."""

    async def attempt(pair: KeyPair) -> None:
        async with RawBinance(url, pair.key, pair.secret) as client:
            reply = await client.signed("GET /api/v3/account")
        if reply.status == 200:
            return
        if reply.body.get("code") in REFUSALS:
            raise SettingsError(f"{pair.id}: expected a key that the venue knows, found another")
        raise TransientError(f"{pair.id}: expected an answer, found {reply.status}")

    return attempt


async def put_new_key(vault: VaultServer, venue: VenueServer, *, known: bool = True) -> ApiKey:
    """A new key, valid at the venue unless it is not `known` there, and put into Vault."""
    made = venue.context.accounts.generate("main")
    if not known:
        venue.context.accounts.revoke(made.key)
    await asyncio.to_thread(vault.put, PATH, key=made.key, secret=made.secret)
    return made


async def test_ten_turns_under_load_lose_no_order_and_meet_no_refusal(vault: VaultServer) -> None:
    async with desk(vault) as one:
        stop = asyncio.Event()
        audit: list[KeyRotated | KeyRefused] = []
        async with asyncio.TaskGroup() as load:
            for _ in range(WORKERS):
                load.create_task(one.trade(stop))
            current = KEY
            for _ in range(TURNS):
                made = await put_new_key(vault, one.venue)
                audit.append(await one.outcome())
                assert one.venue.context.accounts.revoke(current)
                current = made.key
            stop.set()
        await one.place()
        assert one.refused == []
        assert one.placed == set(one.sent)
        assert len(one.sent) > TURNS * WORKERS
        assert len(one.used) == TURNS + 1
        assert [type(each) for each in audit] == [KeyRotated] * TURNS
        turns = [each for each in audit if isinstance(each, KeyRotated)]
        assert all(a.new == b.old for a, b in itertools.pairwise(turns))
        assert all(each.ended_ns - each.began_ns >= OVERLAP_NS for each in turns)
        assert one.keys.held == {turns[-1].new}


async def test_the_audit_holds_ids_and_no_key(vault: VaultServer) -> None:
    async with desk(vault) as one:
        made = await put_new_key(vault, one.venue)
        said = repr(await one.outcome())
        async with one.keys.using() as pair:
            said += repr(pair)
        assert pair.key == made.key
        for key in (KEY, SECRET, made.key, made.secret):
            assert key not in said
            assert key[:16] not in said


async def test_a_key_that_the_venue_does_not_know_changes_nothing(vault: VaultServer) -> None:
    async with desk(vault) as one:
        await put_new_key(vault, one.venue, known=False)
        assert isinstance(await one.outcome(), KeyRefused)
        await one.place()
        await put_new_key(vault, one.venue)
        assert isinstance(await one.outcome(), KeyRotated)
        await one.place()
        assert one.refused == []
        assert len(one.used) == 2
        assert one.told.empty()


async def test_a_key_that_is_known_only_later_is_taken_then(vault: VaultServer) -> None:
    async with desk(vault) as one:
        made = await put_new_key(vault, one.venue, known=False)
        refused = await one.outcome()
        assert isinstance(refused, KeyRefused)
        one.venue.context.accounts.add(made)
        turned = await one.outcome()
        assert isinstance(turned, KeyRotated)
        assert turned.new == refused.key


async def test_a_private_stream_holds_the_old_key_until_it_has_moved(vault: VaultServer) -> None:
    async with desk(vault) as one:
        moved = asyncio.Event()

        async def stream() -> None:
            async with one.keys.using() as pair:
                await one.keys.turned(pair.id)
                await moved.wait()

        streaming = asyncio.create_task(stream())
        await asyncio.sleep(0)
        await put_new_key(vault, one.venue)
        while len(one.used) < 2:
            await one.place()
        for _ in range(5):
            await one.place()
        assert one.told.empty()
        assert len(one.keys.held) == 2
        moved.set()
        await streaming
        assert isinstance(await one.outcome(), KeyRotated)
        assert len(one.keys.held) == 1


async def test_a_key_that_was_revoked_too_early_is_replaced_by_the_one_that_waits(
    vault: VaultServer,
) -> None:
    async with desk(vault) as one:
        made = await put_new_key(vault, one.venue, known=False)
        refused = await one.outcome()
        assert isinstance(refused, KeyRefused)
        one.venue.context.accounts.add(made)
        one.venue.context.accounts.revoke(KEY)
        one.keys.refused(refused.using)
        while len(one.used) < 2:
            await one.place()
        assert one.replies[-1].status == 200


async def test_the_key_in_use_stays_in_use_while_vault_is_away(vault: VaultServer) -> None:
    async with desk(vault) as one:
        await asyncio.to_thread(vault.kill)
        try:
            for _ in range(5):
                await one.place()
        finally:
            await asyncio.to_thread(vault.start_again)
        await put_new_key(vault, one.venue)
        assert isinstance(await one.outcome(), KeyRotated)
        assert one.refused == []
