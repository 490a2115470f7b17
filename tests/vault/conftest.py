"""A Vault for each module: in dev mode, and in production mode with TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vault.server import VaultServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder start a server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vault)


@pytest.fixture(scope="module")
def dev_vault() -> Iterator[VaultServer]:
    """In memory, unsealed, without TLS."""
    server = VaultServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def vault() -> Iterator[VaultServer]:
    """In production mode: with TLS, a folder, and a seal."""
    server = VaultServer(production=True)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _nothing_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that other tests put into the environment are no business of ours."""
    for name in ("VENUE_KEY", "VENUE_SECRET"):
        monkeypatch.delenv(name, raising=False)
