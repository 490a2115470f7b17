"""Vault keeps the promises that every store of secrets keeps, asked of a real server."""

from collections.abc import Iterator

import pytest

from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.testing.contracts.secrets import Keeper, SecretsContract
from tests.vault.server import VaultServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[VaultServer]:
    server = VaultServer()
    yield server
    server.close()


class TestVaultSecrets(SecretsContract):
    @pytest.fixture
    def store(self, server: VaultServer) -> Iterator[VaultSecrets]:
        store = VaultSecrets(server.settings())
        yield store
        store.close()

    @pytest.fixture
    def keep(self, server: VaultServer) -> Keeper:
        def keep(value: str) -> str:
            server.put("kept/here", key=value)
            return "kept/here#key"

        return keep

    @pytest.fixture
    def absent(self, keep: Keeper) -> str:
        return f"{keep('hunter2')}-of-another"
