"""The turn of a venue's key without a gap in trading, as a pure protocol: ids in, steps out.

A new key is tried by a harmless request first. Once the venue has accepted it, new requests are
signed with it, while the old one stays valid for an overlap: requests that were signed with it may
still be on their way. The old one is dropped when the overlap is over and nothing that uses it is
under way, and only then is the turn reported, after which it may be revoked at the venue. Until
the new key is accepted, and again if it is refused within the overlap, the old one is used.

It knows keys by their ids alone; the keys themselves are the shell's.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import NewType

from goalkick.common.core.errors import InvariantError

KeyId = NewType("KeyId", str)
"""Which key: says nothing that could be signed with."""


def key_id(version: int, key: str) -> KeyId:
    """The id of a key: the version of its path in Vault, and a digest of its public half.

    Args:
        version: as Vault counts.
        key: what is sent along with requests; never what they are signed with.
    """
    return KeyId(f"v{version}-{sha256(key.encode()).hexdigest()[:8]}")


@dataclass(frozen=True)
class Try:
    """Step: ask the venue for something harmless with this key."""

    key: KeyId


@dataclass(frozen=True)
class Use:
    """Step: sign everything new with this key from now on."""

    key: KeyId


@dataclass(frozen=True)
class Drop:
    """Step: forget this key; nothing uses it."""

    key: KeyId


@dataclass(frozen=True)
class KeyRotated:
    """For the audit: the turn is complete, and the old key may be revoked.

    Attributes:
        old: the key that was dropped.
        new: the key in use.
        began_ns: when the new key was first used.
        ended_ns: when the old one was dropped.
    """

    old: KeyId
    new: KeyId
    began_ns: int
    ended_ns: int


@dataclass(frozen=True)
class KeyRefused:
    """For the audit: the venue refuses a key.

    Attributes:
        key: which.
        using: the key in use.
    """

    key: KeyId
    using: KeyId


Step = Try | Use | Drop | KeyRotated | KeyRefused


class KeyRotation:
    """The keys of one account: one in use, perhaps an old one, perhaps one that is offered."""

    def __init__(self, using: KeyId, overlap_ns: int, retry_ns: int) -> None:
        """Begins with a key that the venue accepts.

        Args:
            using: the key.
            overlap_ns: how long the old key stays valid; at least as long as the venue may sit on
                a request: `recv_window` and `engine_timeout` of the execution service.
            retry_ns: wait before a refused key is tried again.
        """
        self._using = using
        self._overlap_ns = overlap_ns
        self._retry_ns = retry_ns
        self._old: KeyId | None = None
        self._offered: KeyId | None = None
        self._began_ns = 0
        self._try_at_ns: int | None = None
        self._told: KeyId | None = None
        self._under_way: Counter[KeyId] = Counter()

    @property
    def using(self) -> KeyId:
        """The key that new requests are signed with."""
        return self._using

    @property
    def held(self) -> frozenset[KeyId]:
        """All keys that the shell must still have."""
        used = (key for key, count in self._under_way.items() if count)
        named = (key for key in (self._using, self._old, self._offered) if key is not None)
        return frozenset((*used, *named))

    def offer(self, key: KeyId, now_ns: int) -> list[Step]:
        """A new key is there; of several that wait the newest counts."""
        if key in (self._using, self._old, self._offered):
            return []
        before, self._offered = self._offered, key
        self._try_at_ns = None
        steps: list[Step] = [] if before is None else self._dropped(before)
        return steps + self._try_if_due(now_ns)

    def accepted(self, key: KeyId, now_ns: int) -> list[Step]:
        """The venue has answered a request that was signed with `key`."""
        if key != self._offered or self._old is not None:
            return []
        self._old, self._using, self._offered = self._using, key, None
        self._began_ns, self._try_at_ns, self._told = now_ns, None, None
        return [Use(key)]

    def refused(self, key: KeyId, now_ns: int) -> list[Step]:
        """The venue does not know `key`, or lets it do nothing."""
        if key == self._using and self._old is not None:
            # It was accepted and is not any more: the old one is still good.
            self._using, self._old = self._old, None
            replaced, self._offered = self._offered, self._offered or key
            gone = self._dropped(key) if replaced is not None else []
            self._try_at_ns = now_ns + self._retry_ns
            return [Use(self._using), *gone, *self._tell(key)]
        if key == self._using:
            return [*self._tell(key), *self._try_if_due(now_ns, at_once=True)]
        if key == self._offered:
            self._try_at_ns = now_ns + self._retry_ns
            return self._tell(key)
        return []

    def unanswered(self, key: KeyId, now_ns: int) -> list[Step]:
        """The venue did not say whether it accepts `key`: it is tried again later."""
        if key == self._offered:
            self._try_at_ns = now_ns + self._retry_ns
        return []

    def advance(self, now_ns: int) -> list[Step]:
        """Time has gone on, or something under way has ended."""
        old = self._old
        if old is None:
            return self._try_if_due(now_ns)
        if now_ns < self._began_ns + self._overlap_ns or self._under_way[old]:
            return []
        self._old = None
        turned = KeyRotated(old, self._using, self._began_ns, now_ns)
        return [*self._dropped(old), turned, *self._try_if_due(now_ns)]

    def begin(self) -> KeyId:
        """Something that uses a key begins: a request, a private stream; says which key."""
        self._under_way[self._using] += 1
        return self._using

    def end(self, key: KeyId) -> list[Step]:
        """It has ended; `advance` says whether that lets a key go."""
        if not self._under_way[key]:
            raise InvariantError(f"{key}: expected something under way with it, found nothing")
        self._under_way[key] -= 1
        if self._under_way[key] or key in self.held:
            return []
        return [Drop(key)]

    def wakes_at_ns(self, now_ns: int) -> int | None:
        """When `advance` is to be called next; None: not before something else happens."""
        if self._old is not None:
            ends_ns = self._began_ns + self._overlap_ns
            return ends_ns if now_ns < ends_ns else None
        return self._try_at_ns if self._offered is not None else None

    def _try_if_due(self, now_ns: int, *, at_once: bool = False) -> list[Step]:
        waits = self._try_at_ns is not None and now_ns < self._try_at_ns and not at_once
        if self._offered is None or self._old is not None or waits:
            return []
        # Until its outcome is told it is not tried again, unless that gets lost.
        self._try_at_ns = now_ns + self._retry_ns
        return [Try(self._offered)]

    def _dropped(self, key: KeyId) -> list[Step]:
        return [] if key in self.held else [Drop(key)]

    def _tell(self, key: KeyId) -> list[Step]:
        """Each refusal once: retries would fill the audit."""
        if self._told == key:
            return []
        self._told = key
        return [KeyRefused(key, self._using)]
