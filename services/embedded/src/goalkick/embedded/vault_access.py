"""How the commands reach Vault: the sections `vault` and `secrets`, whatever else the file says."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.stores import Stores
from goalkick.common.adapters.secrets.transit import CIPHERTEXT, key_version
from goalkick.common.adapters.secrets.vault import VaultSecrets
from goalkick.common.config.document import read_document
from goalkick.common.config.encrypted import encrypted_values
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import GoalkickError, SettingsError
from goalkick.embedded.configuration import load_sections
from goalkick.embedded.safe import SERVICE


class Checked(NamedTuple):
    """A secret or an encrypted value of a configuration.

    Attributes:
        key: dotted.
        what: the reference, or `encrypted, key version 3`.
        wrong: what is wrong with it; "" if nothing is.
    """

    key: str
    what: str
    wrong: str


def load_vault(config: Path | None, environ: Mapping[str, str] = os.environ) -> VaultSettings:
    """How Vault is reached; see `load_sections`."""
    return load_sections(config, environ)[1]


def login(settings: VaultSettings) -> str:
    """Logs in at Vault and out again; what is wrong, or ""."""
    try:
        session = VaultSession(settings, SERVICE)
    except GoalkickError as error:
        return str(error)
    try:
        session.ask("login", lambda client: client.auth.token.lookup_self())
    except GoalkickError as error:
        return str(error)
    finally:
        session.close()
    return ""


def check(config: Path, environ: Mapping[str, str] = os.environ) -> list[Checked]:
    """Looks whether every secret of a file can be had, and every encrypted value decrypted.

    Values are neither returned nor kept; of encrypted ones not even Vault's answer tells them.

    Raises:
        SettingsError: the file cannot be read.
    """
    secrets, vault = load_sections(config, environ)
    document = read_document(config)
    references = dict(_references(document.tree))
    encrypted = dict(encrypted_values(document.tree))
    if encrypted and vault.address is None:
        raise SettingsError(f"{config}: expected vault.address where values are encrypted")
    stores = Stores(secrets, vault, environ)
    cipher = stores.vault or (VaultSecrets(vault) if encrypted else None)
    found = []
    for path, reference in references.items():
        wrong = _wrong(partial(Secret(reference).resolve, stores.by_scheme))
        found.append(Checked(".".join(path), reference, wrong))
    for path, ciphertext in encrypted.items():
        assert cipher is not None  # noqa: S101 -- see above
        what = f"encrypted, key version {key_version(ciphertext)}"
        wrong = _wrong(partial(cipher.config.rewrap, ciphertext))
        found.append(Checked(".".join(path), what, wrong))
    if cipher is not None:
        cipher.close()
    return found


def rewrap(text: str, cipher: VaultSecrets) -> tuple[str, int]:
    """A file's text with every encrypted value by the newest version of its key, and how many.

    Everything else, comments too, stays as it is.

    Raises:
        SettingsError: a value was encrypted by no key of ours.
        VaultError: Vault cannot be asked now.
    """
    changed = 0

    def renewed(match: re.Match[str]) -> str:
        nonlocal changed
        new = cipher.config.rewrap(match[0])
        if key_version(new) == key_version(match[0]):
            return match[0]
        changed += 1
        return new

    return CIPHERTEXT.sub(renewed, text), changed


def _references(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(tree, str):
        if not CIPHERTEXT.fullmatch(tree) and _is_reference(tree):
            yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _references(value, (*path, str(key)))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _references(value, (*path, str(index)))


def _is_reference(text: str) -> bool:
    try:
        Secret(text)
    except SettingsError:
        return False
    return True


def _wrong(ask: Callable[[], object]) -> str:
    try:
        ask()
    except GoalkickError as error:
        return str(error)
    return ""
