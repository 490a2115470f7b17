"""Vault's transit engine: encrypts and decrypts there, with keys that never leave it."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError

CIPHERTEXT: Final = re.compile(r"vault:v(\d+):[A-Za-z0-9+/]+={0,2}")
"""A value that transit has encrypted, with the version of its key."""


@dataclass(frozen=True)
class DataKey:
    """A key to encrypt data with here, and the same key as only transit can read it.

    Attributes:
        key: 32 bytes; never shown, never kept beside the data.
        wrapped: what is kept beside the data: `vault:v1:...`.
    """

    key: bytes = field(repr=False)
    wrapped: str


def key_version(ciphertext: str) -> int:
    """The version of the key that a value was encrypted with.

    Raises:
        SettingsError: it is no ciphertext of transit.
    """
    match = CIPHERTEXT.fullmatch(ciphertext)
    if match is None:
        raise SettingsError("expected a value that transit has encrypted (vault:v1:...)")
    return int(match[1])


class Transit:
    """One key of the engine."""

    def __init__(self, session: VaultSession, mount: str, key: str) -> None:
        """Asks nothing yet.

        Args:
            session: who asks.
            mount: where the engine is mounted.
            key: the key's name.
        """
        self._session = session
        self._mount = mount
        self._key = key

    def of(self, key: str) -> "Transit":
        """The same engine with another key."""
        return Transit(self._session, self._mount, key)

    def encrypt(self, value: str) -> str:
        """The ciphertext of a text, by the newest version of the key."""
        answer = self._ask("encrypt", "encrypt_data", plaintext=_coded(value.encode()))
        return str(answer["ciphertext"])

    def decrypt(self, ciphertext: str) -> str:
        """The text behind a ciphertext.

        Raises:
            SettingsError: it is none, or of another key, or of a version that is gone.
            VaultError: transit cannot be asked now, or may not be.
        """
        return self.decrypt_bytes(ciphertext).decode()

    def decrypt_bytes(self, ciphertext: str) -> bytes:
        """The bytes behind a ciphertext; see `decrypt`."""
        key_version(ciphertext)
        answer = self._ask("decrypt", "decrypt_data", ciphertext=ciphertext)
        return base64.b64decode(answer["plaintext"])

    def decrypt_all(self, ciphertexts: Sequence[str]) -> list[str]:
        """The texts behind several ciphertexts; see `decrypt`."""
        return [self.decrypt(ciphertext) for ciphertext in ciphertexts]

    def rewrap(self, ciphertext: str) -> str:
        """The same value by the newest version of the key; the value itself stays in Vault."""
        key_version(ciphertext)
        answer = self._ask("rewrap", "rewrap_data", ciphertext=ciphertext)
        return str(answer["ciphertext"])

    def rotate(self) -> int:
        """Makes a new version of the key and returns its number; old ones still decrypt."""
        self._ask("rotate", "rotate_key")
        return self.latest_version()

    def latest_version(self) -> int:
        """The number of the newest version of the key."""
        return int(self._ask("read", "read_key")["latest_version"])

    def data_key(self) -> DataKey:
        """A fresh key of 32 bytes."""
        answer = self._ask("make a data key with", "generate_data_key", key_type="plaintext")
        return DataKey(base64.b64decode(answer["plaintext"]), str(answer["ciphertext"]))

    def _ask(self, what: str, method: str, **words: Any) -> Mapping[str, Any]:
        about = f"{what} {self._mount}/{self._key}"

        def request(client: Any) -> Any:
            return getattr(client.secrets.transit, method)(
                name=self._key, mount_point=self._mount, **words
            )

        try:
            answer = self._session.ask(about, request)
        except VaultError as error:
            if error.trouble in (Trouble.BROKEN, Trouble.MISSING):
                raise SettingsError(
                    f"{about}: expected a key of that name, and a value that it has encrypted "
                    "with a version that is still there, found another"
                ) from None
            raise
        found: Mapping[str, Any] = answer.get("data") or {}
        return found


class ConfigTransit:
    """Encrypted configuration: one key that every service may use, and one for each alone.

    What was encrypted for one service only that service may decrypt; a ciphertext does not say
    by which key it was made, so they are tried in turn.
    """

    def __init__(self, transit: Transit, keys: Sequence[str]) -> None:
        """Asks nothing yet.

        Args:
            transit: the engine.
            keys: names of the keys that may have been used, likely ones first.
        """
        self._keys = [transit.of(key) for key in keys]

    def decrypt(self, ciphertext: str) -> str:
        """The text behind a ciphertext.

        Raises:
            SettingsError: none of the keys that we may use has made it.
            VaultError: transit cannot be asked now.
        """
        return self._first(lambda key: key.decrypt(ciphertext))

    def rewrap(self, ciphertext: str) -> str:
        """The same value by the newest version of the key that made it; see `Transit.rewrap`."""
        return self._first(lambda key: key.rewrap(ciphertext))

    def _first(self, ask: Callable[[Transit], str]) -> str:
        wrong: SettingsError | VaultError | None = None
        for key in self._keys:
            try:
                return ask(key)
            except SettingsError as error:
                wrong = error
            except VaultError as error:
                if error.trouble is not Trouble.DENIED:
                    raise
                wrong = wrong or error
        assert wrong is not None  # noqa: S101 -- there is a key
        raise wrong


def config_keys(base: str, service: str, services: Sequence[str] = ()) -> list[str]:
    """Names of the keys that a service's configuration may be encrypted with.

    Args:
        base: `vault.transit_key`.
        service: whose; "": of all in `services`.
        services: see there.
    """
    return [f"{base}-{name}" for name in ((service,) if service else services)] + [base]


def _coded(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
