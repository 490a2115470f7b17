"""Bytes at rest, sealed: a data key of Vault's transit encrypts here, transit encrypts the key.

Layout: `GKE1`, then msgpack of (wrapped key, nonce of 12 bytes, ciphertext with tag). AES-256 in
GCM (NIST SP 800-38D); what the bytes belong to is authenticated with them, so that a snapshot of
one task cannot be put in another's place.
"""

import os
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from goalkick.common.adapters.secrets.transit import DataKey
from goalkick.common.core.errors import InvalidDataError

_MAGIC: Final = b"GKE1"
_NONCE: Final = 12
"""Bytes; what GCM is specified for."""

SEALS_PER_KEY: Final = 2**20
"""After so many a new data key is taken: far below the 2**32 at which random nonces may meet."""


class Keys(Protocol):
    """Where data keys come from: `Transit`."""

    def data_key(self) -> DataKey:
        """A fresh key; asks Vault."""
        ...

    def decrypt_bytes(self, ciphertext: str) -> bytes:
        """The key behind its wrapped form; asks Vault."""
        ...


class _Sealed(msgspec.Struct, array_like=True, frozen=True):
    wrapped: str
    nonce: bytes
    body: bytes


class Envelope:
    """Seals and opens; asks Vault for the first seal and for the first opening of each key."""

    def __init__(self, keys: Keys, chance: Callable[[int], bytes] = os.urandom) -> None:
        """Asks nothing yet.

        Args:
            keys: where data keys come from.
            chance: so many random bytes, unpredictable.
        """
        self._keys = keys
        self._chance = chance
        self._current: DataKey | None = None
        self._seals = 0
        self._opened: dict[str, bytes] = {}

    def seal(self, data: bytes, belongs_to: str) -> bytes:
        """The bytes, sealed.

        Args:
            data: what to hide.
            belongs_to: what it is, such as `risk/main`; must be said again to open it.

        Raises:
            VaultError: a key is needed, and Vault cannot be asked now.
        """
        if self._current is None or self._seals >= SEALS_PER_KEY:
            self._current = self._keys.data_key()
            self._seals = 0
        self._seals += 1
        nonce = self._chance(_NONCE)
        body = AESGCM(self._current.key).encrypt(nonce, data, belongs_to.encode())
        return _MAGIC + msgspec.msgpack.encode(_Sealed(self._current.wrapped, nonce, body))

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """The bytes that were sealed.

        Raises:
            InvalidDataError: they are no sealed bytes, were changed, or belong to another thing.
            SettingsError: transit does not know the key.
            VaultError: the key is needed, and Vault cannot be asked now.
        """
        parts = _parts(sealed, belongs_to)
        key = self._opened.get(parts.wrapped)
        if key is None:
            key = self._opened[parts.wrapped] = self._keys.decrypt_bytes(parts.wrapped)
        try:
            return AESGCM(key).decrypt(parts.nonce, parts.body, belongs_to.encode())
        except (InvalidTag, ValueError):
            raise InvalidDataError(
                f"{belongs_to}: expected sealed bytes of its own, unchanged, found others"
            ) from None

    def renew(self) -> None:
        """Takes a new data key for the next seal: after the transit key was rotated."""
        self._current = None


def is_sealed(data: bytes) -> bool:
    """Whether bytes look sealed."""
    return data.startswith(_MAGIC)


def _parts(sealed: bytes, belongs_to: str) -> _Sealed:
    try:
        if not is_sealed(sealed):
            raise msgspec.DecodeError
        return msgspec.msgpack.decode(sealed[len(_MAGIC) :], type=_Sealed)
    except msgspec.MsgspecError:
        raise InvalidDataError(
            f"{belongs_to}: expected sealed bytes, found {len(sealed)} others"
        ) from None
