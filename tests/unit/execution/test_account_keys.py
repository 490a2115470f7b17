"""Calls of ccxt while the account's key turns, and what is said about it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from goalkick.common.adapters.secrets import rotation
from goalkick.common.adapters.secrets.rotation import KeyId
from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.adapters.secrets.venue_keys import KeyPair
from goalkick.common.codec.protobuf import decode, encode, type_name
from goalkick.common.config.encrypted import Decrypted
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import SettingsError
from goalkick.common.events.order import KeyRefused, KeyRotated
from goalkick.common.events.venue import VenueKeyRefused, VenueKeyRotated
from goalkick.common.values.ids import AccountId
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.build import build_venue
from goalkick.execution.venues.keys import news_of, signing

OLD = KeyPair(KeyId("v1-old"), "key one", "secret one")
MAIN = AccountId("main")
NEW = KeyPair(KeyId("v2-new"), "key two", "secret two")


class RefusalError(Exception):
    """As ccxt tells that a key is not accepted."""


class Keys:
    """Two keys, turned by hand."""

    def __init__(self) -> None:
        self.current = OLD
        self.under_way: Counter[KeyId] = Counter()
        self.refusals: list[KeyId] = []

    async def start(self) -> None:
        """Knows both."""

    async def run(self) -> None:
        """Follows nothing."""

    @asynccontextmanager
    async def using(self) -> AsyncIterator[KeyPair]:
        """The current one."""
        pair = self.current
        self.under_way[pair.id] += 1
        try:
            yield pair
        finally:
            self.under_way[pair.id] -= 1

    async def turned(self, key: KeyId) -> None:
        """Never."""

    def refused(self, key: KeyId) -> None:
        """Notes it."""
        self.refusals.append(key)


class Client:
    """The way in which ccxt signs: somewhere within a call, after its turn has come."""

    apiKey = secret = ""  # noqa: N815 -- ccxt's name

    def __init__(self) -> None:
        self.turn, self.answer = asyncio.Event(), asyncio.Event()
        self.signed: list[tuple[str, str]] = []

    async def fetch2(self, path: str) -> str:
        """A call."""
        await self.turn.wait()
        self.sign(path)
        await self.answer.wait()
        if path == "refused":
            raise RefusalError
        return path

    def sign(self, path: str) -> None:
        """With whatever key the client has."""
        self.signed.append((self.apiKey, self.secret))


async def test_a_call_is_signed_with_the_key_that_it_began_with() -> None:
    keys = Keys()
    client = signing(Client, keys, RefusalError)()
    first = asyncio.create_task(client.fetch2("order"))
    await asyncio.sleep(0)
    keys.current = NEW
    second = asyncio.create_task(client.fetch2("order"))
    await asyncio.sleep(0)
    assert keys.under_way == {OLD.id: 1, NEW.id: 1}
    client.turn.set()
    client.answer.set()
    assert [await first, await second] == ["order", "order"]
    assert client.signed == [(OLD.key, OLD.secret), (NEW.key, NEW.secret)]
    assert set(keys.under_way.values()) == {0}


async def test_a_refusal_is_told_of_the_key_that_met_it() -> None:
    keys = Keys()
    client = signing(Client, keys, RefusalError)()
    client.turn.set()
    call = asyncio.create_task(client.fetch2("refused"))
    await asyncio.sleep(0)
    keys.current = NEW
    client.answer.set()
    with pytest.raises(RefusalError):
        await call
    assert keys.refusals == [OLD.id]


def test_what_became_of_a_key_is_reported_by_ids_and_travels() -> None:
    live = LiveExecution(ExecutionSettings())
    turned = news_of(rotation.KeyRotated(OLD.id, NEW.id, 5, 9))
    refused = news_of(rotation.KeyRefused(NEW.id, OLD.id))
    assert (type(turned), type(refused)) == (VenueKeyRotated, VenueKeyRefused)
    reports = live.answer((turned, refused), 11)
    assert reports == [
        KeyRotated(time_ns=11, account=MAIN, old="v1-old", new="v2-new", began_ns=5, ended_ns=9),
        KeyRefused(time_ns=11, account=MAIN, refused="v2-new", using="v1-old"),
    ]
    for report in reports:
        assert decode(type_name(type(report)), encode(report)) == report


def stores() -> Stores:
    allowed = SecretsSettings(allow=("vault",))
    return Stores(allowed, VaultSettings(address="http://127.0.0.1:1"), {})


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("vault:a#key", "vault:b#secret"),
        ("vault:a#key", "file:/x"),
        ("vault:a#k", "vault:a#secret"),
    ],
)
def test_a_key_and_its_secret_turn_together_or_not_at_all(key: str, secret: str) -> None:
    venue = VenueSettings(key=Secret(key), secret=Secret(secret))
    with pytest.raises(SettingsError, match="expected key and secret in one path of Vault"):
        build_venue(ExecutionSettings(venue=venue), stores())


def test_keys_that_stand_encrypted_in_the_configuration_do_not_turn() -> None:
    ciphertext = "vault:v1:abcd"
    secret = VenueSettings(key=Decrypted.of(ciphertext, "hunter2")).key
    assert secret is not None
    assert not secret.kept_in("vault")
    assert Secret("vault:a#key").kept_in("vault")
