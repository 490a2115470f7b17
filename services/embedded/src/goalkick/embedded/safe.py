"""What one process keeps safe: secrets, asked for while it trades, and its state on the disk."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from goalkick.common.adapters.secrets.sealing import SealedState, see_it_is_clear
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.ports.state import StateStore
from goalkick.embedded.configuration import PlatformSettings, load_sections

Model = TypeVar("Model", bound=BaseModel)

SERVICE = "execution"
"""As whom Vault is asked: the one process does what execution does, and holds what it holds."""


def stores_of(settings: PlatformSettings, environ: Mapping[str, str] = os.environ) -> Stores:
    """The stores of secrets that the settings allow.

    Args:
        settings: of the platform.
        environ: where secrets `env:NAME` are.

    Raises:
        SettingsError: Vault is to be asked and is not configured.
    """
    return Stores(settings.secrets, settings.vault, environ, SERVICE)


def with_secrets(
    settings: Model,
    config: Path | None,
    environ: Mapping[str, str] = os.environ,
    *,
    patient: bool = True,
) -> Model:
    """Settings with the values of their secrets, for a command that asks once.

    Args:
        settings: any, as they were loaded from `config`.
        config: the file that says where secrets are.
        environ: where secrets `env:NAME` are.
        patient: whether Vault is waited for, for `vault.patience`.

    Raises:
        SettingsError: a secret cannot be had.
        TransientError: Vault did not give it.
    """
    secrets, vault = load_sections(config, environ)
    if not patient:
        vault = vault.model_copy(update={"patience": 0})
    with Stores(secrets, vault, environ, SERVICE).tended() as stores:
        return stores.resolve_now(settings)


def open_state(file: Path, stores: Stores, *, room_bytes: int = 0) -> StateStore:
    """The file of a run's state, sealed where the settings say so.

    Args:
        file: where it is.
        stores: have the key that seals it.
        room_bytes: space on the disk that its log has from the beginning.

    Raises:
        SettingsError: it cannot be used, or is sealed where nothing is to be.
        TransientError: another run is using it, or Vault gives no key for it.
        InvalidDataError: it is damaged.
    """
    store = SqliteStateStore(file, room_bytes=room_bytes)
    try:
        seal = stores.seal(SERVICE)
        if seal is None:
            see_it_is_clear(store.load("run") or b"", f"state in {file}")
            return store
        stores.ask_now(seal.prepare)
    except BaseException:
        store.close()
        raise
    return SealedState(store, seal, "run")
