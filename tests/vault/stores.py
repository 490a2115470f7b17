"""What the tests of Vault share: a clock that is set, and a look for secrets in errors."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.values.time import NS_PER_SECOND
from tests.vault.server import VaultServer

LEASE_S, REFRESH_S = 600, 60

READS = 'path "goalkick/data/*" { capabilities = ["read"] }'


class SetClock:
    """Seconds that go on only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def opened(
    server: VaultServer, clock: SetClock | None = None, **more: Any
) -> Iterator[VaultSecrets]:
    """A store that is closed in the end; words besides are those of `VaultServer.settings`."""
    words = {"lease": LEASE_S * NS_PER_SECOND, "refresh": REFRESH_S * NS_PER_SECOND, **more}
    store = VaultSecrets(server.settings(**words), "risk", clock=clock or SetClock())
    try:
        yield store
    finally:
        store.close()


def all_said(error: BaseException) -> str:
    """Everything that a log could print of an error, with its causes."""
    return "".join(traceback.format_exception(error)) + repr(error)
