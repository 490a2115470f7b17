"""The account's keys while they turn: each call of ccxt is signed with the key that it began with.

ccxt reads a client's key in the moment of signing, which happens somewhere within a call. Whoever
is in the middle of a call when the key turns goes on with the old one, and that one is kept until
the call has ended: `VenueKeys` counts who uses what.
"""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, Protocol

from goalkick.common.adapters.secrets.rotation import KeyId, KeyRefused, KeyRotated
from goalkick.common.adapters.secrets.venue_keys import Attempt, KeyPair, Tell
from goalkick.common.events.venue import VenueEvent, VenueKeyRefused, VenueKeyRotated


class AccountKeys(Protocol):
    """The keys of one account: `VenueKeys`."""

    async def start(self) -> None:
        """Reads the key that is there now."""
        ...

    async def run(self) -> None:
        """Follows what is kept until it is cancelled."""
        ...

    def using(self) -> AbstractAsyncContextManager[KeyPair]:
        """The key to sign with, for as long as the block runs."""
        ...

    async def turned(self, key: KeyId) -> None:
        """Returns when another key than `key` is to be used."""
        ...

    def refused(self, key: KeyId) -> None:
        """Says that the venue refuses a key that was accepted."""
        ...


MakeKeys = Callable[[Attempt, Tell], AccountKeys]
"""Makes the keys of an account, given how one is tried and who is told."""


def news_of(told: KeyRotated | KeyRefused) -> VenueEvent:
    """What became of a key as the venue's news; ids alone."""
    now_ns = time.time_ns()
    if isinstance(told, KeyRefused):
        return VenueKeyRefused(time_ns=now_ns, refused=told.key, using=told.using)
    return VenueKeyRotated(
        time_ns=now_ns,
        old=told.old,
        new=told.new,
        began_ns=told.began_ns,
        ended_ns=told.ended_ns,
    )


_PAIR: ContextVar[KeyPair] = ContextVar("_PAIR")
"""What the call that is under way in this task is signed with."""


def signing(kind: Any, keys: AccountKeys, refusal: type[Exception]) -> Any:
    """The exchange's class with every call signed with the key in use when it begins.

    Args:
        kind: ccxt's class.
        keys: of the account.
        refusal: ccxt's error of a key that the venue does not accept.
    """

    class Signing(kind):  # type: ignore[misc]
        async def fetch2(self, *words: Any, **named: Any) -> Any:
            async with keys.using() as pair:
                marked = _PAIR.set(pair)
                try:
                    return await super().fetch2(*words, **named)
                except refusal:
                    keys.refused(pair.id)
                    raise
                finally:
                    _PAIR.reset(marked)

        def sign(self, *words: Any, **named: Any) -> Any:
            pair = _PAIR.get()
            self.apiKey, self.secret = pair.key, pair.secret
            return super().sign(*words, **named)

    return Signing
