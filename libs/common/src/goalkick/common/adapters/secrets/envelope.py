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

from goalkick.common.adapters.secrets.sealing import MAGIC, is_sealed
from goalkick.common.adapters.secrets.transit import DataKey
from goalkick.common.core.errors import InvalidDataError, TransientError

_NONCE: Final = 12
"""Bytes; what GCM is specified for."""

SEALS_PER_KEY: Final = 2**20
"""After so many a new data key is taken: far below the 2**32 at which random nonces may meet."""

MOST_SEALS: Final = 2**30
"""So many at most while Vault is away and gives no new one."""

_TRIES_EVERY: Final = 2**12
"""Seals between two requests for a new key that is overdue."""


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
        self._renew_at = 0
        self._opened: dict[str, bytes] = {}

    @property
    def ready(self) -> bool:
        """Whether the next seal does without Vault."""
        return self._current is not None and self._seals < self._renew_at

    def prepare(self) -> None:
        """Takes a data key unless there is one.

        Raises:
            VaultError: Vault cannot be asked now, or may not be.
        """
        self._key()

    def seal(self, data: bytes, belongs_to: str) -> bytes:
        """The bytes, sealed.

        Args:
            data: what to hide.
            belongs_to: what it is, such as `risk/main`; must be said again to open it.

        Raises:
            VaultError: a key is needed, and Vault cannot be asked now.
        """
        using = self._key()
        self._seals += 1
        nonce = self._chance(_NONCE)
        body = AESGCM(using.key).encrypt(nonce, data, belongs_to.encode())
        return MAGIC + msgspec.msgpack.encode(_Sealed(using.wrapped, nonce, body))

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

    def _key(self) -> DataKey:
        """The data key to seal with; one that is overdue goes on while Vault is away."""
        if self._current is not None and self._seals < self._renew_at:
            return self._current
        try:
            self._current = self._keys.data_key()
        except TransientError:
            if self._current is None or self._seals >= MOST_SEALS:
                raise
            self._renew_at = self._seals + _TRIES_EVERY
        else:
            self._seals, self._renew_at = 0, SEALS_PER_KEY
        return self._current


def _parts(sealed: bytes, belongs_to: str) -> _Sealed:
    try:
        if not is_sealed(sealed):
            raise msgspec.DecodeError
        return msgspec.msgpack.decode(sealed[len(MAGIC) :], type=_Sealed)
    except msgspec.MsgspecError:
        raise InvalidDataError(
            f"{belongs_to}: expected sealed bytes, found {len(sealed)} others"
        ) from None
