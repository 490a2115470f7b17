"""A process that starts and stops with a real server: it waits, it says why, it logs out."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from goalkick.common.adapters.secrets.settings import SecretsSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.config.secret import Secret
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from tests.vault.server import VaultServer
from tests.vault.stores import READS, all_said

pytestmark = pytest.mark.slow

WAIT_S = 20


class Venue(Settings):
    key: Secret = Secret("vault:start#key")


def stores(server: VaultServer, **changes: Any) -> Stores:
    words = {"patience": WAIT_S * NS_PER_SECOND, **changes}
    return Stores(SecretsSettings(allow=("vault",)), server.settings(**words), {}, "risk")


@pytest.fixture(autouse=True)
def _kept(vault: VaultServer) -> None:
    vault.put("start", key="hunter2")


async def test_a_start_waits_for_vault_and_says_why_once(vault: VaultServer) -> None:
    with capture_logs() as said:
        await start_while_sealed(vault, said)
    reasons = [one["reason"] for one in said if one["event"] == "vault does not give secrets"]
    assert len([reason for reason in reasons if "found it sealed" in reason]) == 1


async def start_while_sealed(vault: VaultServer, said: Sequence[Mapping[str, Any]]) -> None:
    vault.seal()
    async with stores(vault) as one:
        resolving = asyncio.create_task(one.resolve(Venue()))
        try:
            async with asyncio.timeout(WAIT_S):
                while waits(said) < 3:  # noqa: ASYNC110 -- it tells nobody
                    await asyncio.sleep(0.01)
            assert (one.fresh() or "").startswith("key: ")
            assert "to be unsealed, found it sealed" in (one.fresh() or "")
            assert one.vault is not None
            assert not (one.vault.fresh() or "").startswith("key: ")
            assert not resolving.done()
        finally:
            await asyncio.to_thread(vault.unseal)
        async with asyncio.timeout(WAIT_S):
            assert (await resolving).key.reveal() == "hunter2"
        assert one.fresh() is None


def waits(said: Sequence[Mapping[str, Any]]) -> int:
    return len([one for one in said if one["event"] == "waiting for vault"])


async def test_a_start_gives_up_when_its_patience_ends(vault: VaultServer) -> None:
    vault.kill()
    try:
        async with stores(vault, patience=200 * NS_PER_MS) as one:
            with pytest.raises(VaultError, match=r"^key: .* found nobody there") as caught:
                await one.resolve(Venue())
    finally:
        vault.start_again()
    assert caught.value.trouble is Trouble.DOWN
    assert vault.token not in all_said(caught.value)


async def test_a_start_does_not_wait_for_a_secret_that_is_not_there(vault: VaultServer) -> None:
    async with stores(vault) as one:
        with pytest.raises(SettingsError, match=r"^key: vault:start#no: expected a key no"):
            await one.resolve(Venue(key=Secret("vault:start#no")))


async def test_a_running_process_sees_a_new_version_by_itself(vault: VaultServer) -> None:
    words = {"refresh": 50 * NS_PER_MS, **vault.approle("running", READS)}
    before = vault.accessors()
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_path: str, _version: int) -> None:
        loop.call_soon_threadsafe(changed.set)

    async with stores(vault, **words) as one:
        assert one.vault is not None
        one.vault.on_change(tell)
        assert (await one.resolve(Venue())).key.reveal() == "hunter2"
        vault.put("start", key="hunter3")
        async with asyncio.timeout(WAIT_S):
            await changed.wait()
        assert (await one.resolve(Venue())).key.reveal() == "hunter3"
    assert vault.accessors() == before
