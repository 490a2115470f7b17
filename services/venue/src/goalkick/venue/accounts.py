"""Who may do what: API keys and the accounts behind them, the same on all front ends."""

import secrets
from collections.abc import Iterator

import msgspec


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of an account.

    Attributes:
        key: what a client sends.
        secret: shared secret of HMAC signatures; "" where `public_key` is set.
        public_key: PEM of an Ed25519 or RSA key that signatures are checked with; "" for HMAC.
        account: whose it is.
        can_trade: whether it may place and cancel orders; all keys may read.
    """

    key: str
    account: str
    secret: str = ""
    public_key: str = ""
    can_trade: bool = True


class Accounts:
    """All keys that are valid now."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """Makes a key valid; one of the same name is replaced."""
        self._keys[key.key] = key

    def generate(self, account: str) -> ApiKey:
        """Makes a new HMAC key for an account, of the length that real ones have."""
        key = ApiKey(key=secrets.token_hex(32), secret=secrets.token_hex(32), account=account)
        self.add(key)
        return key

    def find(self, key: str) -> ApiKey | None:
        """The key of that text; None if it is unknown or was revoked."""
        return self._keys.get(key)

    def revoke(self, key: str) -> bool:
        """Makes a key invalid; says whether it was valid."""
        return self._keys.pop(key, None) is not None

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(list(self._keys.values()))
