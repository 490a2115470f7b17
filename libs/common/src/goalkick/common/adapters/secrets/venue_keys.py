"""A venue account's keys out of Vault, turned without a gap; see `rotation.py` for the protocol.

What signs requests takes the key for each of them here, and gives it back when the request has
ended. A private stream does the same for as long as it lasts: `turned` says when to make it anew.

A key that is in use stays in use when Vault is away for longer than its lease: orders can be taken
back then. That no new risk is taken is the matter of `VaultSecrets.fresh`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from goalkick.common.adapters.secrets.rotation import (
    Drop,
    KeyId,
    KeyRefused,
    KeyRotated,
    KeyRotation,
    Step,
    Try,
    Use,
    key_id,
)
from goalkick.common.core.errors import GoalkickError, SettingsError, TransientError
from goalkick.common.values.time import NS_PER_SECOND

if TYPE_CHECKING:
    from goalkick.common.adapters.secrets.vault import VaultSecrets

log = structlog.get_logger()


@dataclass(frozen=True)
class KeyPair:
    """What a request is signed with.

    Attributes:
        id: which; the only part that may be told.
        key: what is sent along.
        secret: what signs.
    """

    id: KeyId
    key: str = field(repr=False)
    secret: str = field(repr=False)


Attempt = Callable[[KeyPair], Awaitable[None]]
"""Asks the venue for something harmless; SettingsError: the key is refused, TransientError: the
venue does not say."""

Tell = Callable[[KeyRotated | KeyRefused], None]
"""Is told what belongs into the audit."""


class VenueKeys:
    """The keys of one account, kept in turn with a path of Vault."""

    def __init__(
        self,
        secrets: "VaultSecrets",
        path: str,
        attempt: Attempt,
        tell: Tell,
        *,
        overlap_ns: int,
        retry_ns: int = 10 * NS_PER_SECOND,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Reads nothing before `start`.

        Args:
            secrets: where the path is; whoever owns it tends it.
            path: holds `key` and `secret`.
            attempt: see there.
            tell: see there.
            overlap_ns: how long the old key stays valid.
            retry_ns: wait before a refused key is tried again.
            now_ns: the time, UTC ns.
        """
        self._secrets = secrets
        self._path = path
        self._attempt = attempt
        self._tell = tell
        self._overlap_ns = overlap_ns
        self._retry_ns = retry_ns
        self._now_ns = now_ns
        self._pairs: dict[KeyId, KeyPair] = {}
        self._rotation: KeyRotation | None = None
        self._woken = asyncio.Event()
        self._turned = asyncio.Event()
        self._to_try: list[Step] = []

    async def start(self) -> None:
        """Reads the key that is there now, and takes it as accepted: the venue is asked next.

        Once started it goes on with the keys it has: a venue may be connected to anew while Vault
        is away.

        Raises:
            SettingsError: the path has no `key` or no `secret`.
            TransientError: Vault cannot be asked now.
        """
        if self._rotation is not None:
            return
        loop = asyncio.get_running_loop()
        pair = await asyncio.to_thread(self._read)
        self._pairs[pair.id] = pair
        self._rotation = KeyRotation(pair.id, self._overlap_ns, self._retry_ns)

        def changed(path: str, _version: int) -> None:
            if path == self._path:
                with contextlib.suppress(RuntimeError):  # the loop has ended, and we with it
                    loop.call_soon_threadsafe(self._woken.set)

        self._secrets.on_change(changed)

    @property
    def held(self) -> frozenset[KeyId]:
        """The ids of all keys in memory."""
        return frozenset(self._pairs)

    @asynccontextmanager
    async def using(self) -> AsyncIterator[KeyPair]:
        """The key to sign with, for as long as the block runs."""
        rotation = self._started()
        key = rotation.begin()
        try:
            yield self._pairs[key]
        finally:
            self._carry_out(rotation.end(key))
            if key != rotation.using:
                self._woken.set()

    async def turned(self, key: KeyId) -> None:
        """Returns when another key than `key` is to be used: a private stream is to be renewed."""
        while self._started().using == key:
            await self._turned.wait()

    def refused(self, key: KeyId) -> None:
        """Says that the venue refuses a key that was accepted: another is taken if there is one."""
        self._carry_out(self._started().refused(key, self._now_ns()))

    async def run(self) -> None:
        """Follows the path until it is cancelled."""
        rotation = self._started()
        while True:
            self._woken.clear()
            await self._take_in(rotation)
            left, self._to_try = self._to_try, []
            await self._go_on([*left, *rotation.advance(self._now_ns())])
            await self._wait(rotation.wakes_at_ns(self._now_ns()))

    async def _take_in(self, rotation: KeyRotation) -> None:
        try:
            pair = await asyncio.to_thread(self._read)
        except GoalkickError as error:
            log.warning("venue key cannot be read", path=self._path, reason=str(error))
            return
        if pair.id not in self._pairs:
            self._pairs[pair.id] = pair
            await self._go_on(rotation.offer(pair.id, self._now_ns()))

    async def _go_on(self, steps: Iterable[Step]) -> None:
        """Carries out steps, and those that they lead to."""
        waiting = list(steps)
        while waiting:
            step = waiting.pop(0)
            if isinstance(step, Try):
                waiting = await self._tried(step.key) + waiting
            else:
                self._carry_out([step])

    async def _tried(self, key: KeyId) -> list[Step]:
        rotation = self._started()
        pair = self._pairs.get(key)
        if pair is None:
            return []  # a newer one has come in its place
        try:
            await self._attempt(pair)
        except SettingsError:
            return rotation.refused(key, self._now_ns())
        except TransientError as error:
            log.warning("venue does not say whether it takes a key", key=key, reason=str(error))
            return rotation.unanswered(key, self._now_ns())
        return rotation.accepted(key, self._now_ns())

    def _carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Use():
                    self._turned.set()
                    self._turned = asyncio.Event()
                case Drop():
                    self._pairs.pop(step.key, None)
                case KeyRotated() | KeyRefused():
                    self._tell(step)
                case Try():
                    self._to_try.append(step)
                    self._woken.set()

    async def _wait(self, wakes_at_ns: int | None) -> None:
        wait_s = None
        if wakes_at_ns is not None:
            wait_s = max(0.0, (wakes_at_ns - self._now_ns()) / NS_PER_SECOND)
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _read(self) -> KeyPair:
        version, values = self._secrets.current(self._path)
        for name in ("key", "secret"):
            if not values.get(name, "").strip():
                raise SettingsError(
                    f"vault:{self._path}#{name}: expected a venue's {name}, found none"
                )
        key, secret = values["key"].strip(), values["secret"].strip()
        return KeyPair(key_id(version, key), key, secret)

    def _started(self) -> KeyRotation:
        if self._rotation is None:
            raise TransientError(f"vault:{self._path}: expected to be started, found it is not")
        return self._rotation
