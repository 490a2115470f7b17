"""What can be wrong with Vault, in plain words.

Nothing that Vault or a library said is repeated: an answer may quote what was sent, and what was
sent may be a secret. Hence messages are made here, of addresses, paths, names and numbers only.
"""

from enum import StrEnum
from typing import NamedTuple

import hvac.exceptions
import requests.exceptions

from goalkick.common.core.errors import TransientError


class Trouble(StrEnum):
    """Why Vault did not give what was asked for; also a label of metrics."""

    DOWN = "down"
    UNTRUSTED = "untrusted"
    SLOW = "slow"
    SEALED = "sealed"
    BUSY = "busy"
    DENIED = "denied"
    EXPIRED = "expired"
    LOGIN = "login"
    MISSING = "missing"
    BROKEN = "broken"


class VaultError(TransientError):
    """Vault cannot be asked now.

    Attributes:
        trouble: why.
    """

    def __init__(self, message: str, trouble: Trouble) -> None:
        super().__init__(message)
        self.trouble = trouble


class Place(NamedTuple):
    """What messages name.

    Attributes:
        address: of Vault.
        timeout_s: how long it was waited for.
    """

    address: str
    timeout_s: float

    def error(self, about: str, trouble: Trouble, status: int = 0) -> VaultError:
        """The error that says it.

        Args:
            about: what was wanted, without a secret: a reference, a path, `login`.
            trouble: what went wrong.
            status: of HTTP, where Vault answered.
        """
        words = _WORDS[trouble].format(where=f"Vault at {self.address}", **self._asdict())
        return VaultError(f"{about}: {words}{f' (status {status})' if status else ''}", trouble)


_WORDS = {
    Trouble.DOWN: "expected {where} to answer, found nobody there",
    Trouble.UNTRUSTED: (
        "expected {where} to show a certificate that vault.ca_file vouches for, found another"
    ),
    Trouble.SLOW: "expected {where} to answer within {timeout_s:g} s, found no answer",
    Trouble.SEALED: "expected {where} to be unsealed, found it sealed",
    Trouble.BUSY: "expected {where} to take the request, found that it takes no more now",
    Trouble.DENIED: "expected a right to it, found that {where} denies it to our policy",
    Trouble.EXPIRED: (
        "expected a valid token, found that {where} does not know ours: it has ended or was revoked"
    ),
    Trouble.LOGIN: "expected {where} to accept our login, found that it refuses it",
    Trouble.MISSING: "expected {where} to have it, found nothing there",
    Trouble.BROKEN: "expected an answer in the words of Vault's API from {where}, found another",
}


class Finding(NamedTuple):
    """What an exception of the libraries means."""

    trouble: Trouble
    status: int = 0


def diagnose(error: Exception) -> Finding:
    """What went wrong, by the kind of the exception and by no text that may hold a secret."""
    for kind, finding in _KINDS:
        if isinstance(error, kind):
            if finding.trouble is Trouble.SEALED and "sealed" not in str(error).lower():
                return Finding(Trouble.BROKEN, 503)
            return finding
    return Finding(Trouble.BROKEN)


_KINDS: tuple[tuple[type[Exception], Finding], ...] = (
    (requests.exceptions.SSLError, Finding(Trouble.UNTRUSTED)),
    (requests.exceptions.Timeout, Finding(Trouble.SLOW)),
    (requests.exceptions.ConnectionError, Finding(Trouble.DOWN)),
    (hvac.exceptions.VaultDown, Finding(Trouble.SEALED)),
    (hvac.exceptions.VaultNotInitialized, Finding(Trouble.SEALED)),
    (hvac.exceptions.RateLimitExceeded, Finding(Trouble.BUSY)),
    (hvac.exceptions.Forbidden, Finding(Trouble.DENIED)),
    (hvac.exceptions.Unauthorized, Finding(Trouble.DENIED)),
    (hvac.exceptions.InvalidPath, Finding(Trouble.MISSING)),
    (hvac.exceptions.InvalidRequest, Finding(Trouble.BROKEN, 400)),
    (hvac.exceptions.InternalServerError, Finding(Trouble.BROKEN, 500)),
    (hvac.exceptions.BadGateway, Finding(Trouble.DOWN, 502)),
)
"""The first that fits counts: a connection that times out is both kinds."""
