"""Data keys as Vault's transit gives them, made here: for tests without a server."""

import os

from goalkick.common.adapters.secrets.transit import DataKey
from goalkick.common.core.errors import SettingsError, TransientError


class DataKeys:
    """Wraps a key by remembering it.

    Attributes:
        made: keys that were given out.
        away: whether there is nobody to ask.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self.made = 0
        self.away = False

    def data_key(self) -> DataKey:
        """A fresh key."""
        self._see()
        self.made += 1
        made = DataKey(os.urandom(32), f"vault:v1:{os.urandom(8).hex()}")
        self._kept[made.wrapped] = made.key
        return made

    def decrypt_bytes(self, ciphertext: str) -> bytes:
        """The key behind its wrapped form."""
        self._see()
        if ciphertext not in self._kept:
            raise SettingsError("decrypt transit/state: expected a key that is there, found none")
        return self._kept[ciphertext]

    def _see(self) -> None:
        if self.away:
            raise TransientError("expected Vault, found nobody there")
