"""Saved state that only its owner can read: sealed on its way out, opened on its way in.

`SealedState` stands before a store, `SealedLog` before the log whose state topics it seals; neither
the store nor who uses it knows. What is sealed is bound to its place: a snapshot of one key or
partition cannot be put in another's.

This module asks nobody and imports nothing heavy: `Stores.seal` makes a `Seal`.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from goalkick.common.adapters.secrets.settings import Sealing
from goalkick.common.core.errors import GoalkickError, SettingsError
from goalkick.common.ports.log import Change, Log, Message, Partition, Record
from goalkick.common.ports.state import StateStore

if TYPE_CHECKING:
    from goalkick.common.adapters.secrets.envelope import Envelope

MAGIC: Final = b"GKE1"
"""What sealed bytes begin with."""


def is_sealed(data: bytes) -> bool:
    """Whether bytes look sealed."""
    return data.startswith(MAGIC)


def see_it_is_clear(data: bytes, about: str) -> None:
    """For who reads saved state without a seal.

    Raises:
        SettingsError: it is sealed.
    """
    if is_sealed(data):
        raise SettingsError(
            f"{about}: expected state in the clear where secrets.seal_state is never, found it "
            "sealed; say `always`, with the Vault whose key has sealed it"
        )


class Seal:
    """Seals and opens what is saved."""

    def __init__(self, mode: Sealing, envelope: "Envelope") -> None:
        """Asks nothing yet.

        Args:
            mode: `always`, or `adopt`, which takes over what is not sealed.
            envelope: does it.
        """
        self._adopts = mode == "adopt"
        self._envelope = envelope

    @property
    def ready(self) -> bool:
        """Whether the next `closed` does without Vault."""
        return self._envelope.ready

    def prepare(self) -> None:
        """Takes a data key, so that nothing waits for it later.

        Raises:
            VaultError: Vault cannot be asked now, or may not be.
        """
        self._envelope.prepare()

    def closed(self, data: bytes, belongs_to: str) -> bytes:
        """The bytes as they are saved.

        Raises:
            VaultError: a key is needed, and Vault cannot be asked now.
        """
        return self._envelope.seal(data, belongs_to)

    def opened(self, data: bytes, belongs_to: str) -> bytes:
        """The bytes that were saved.

        Raises:
            SettingsError: they are not sealed, or by a key that Vault does not have.
            InvalidDataError: they were changed, or belong elsewhere.
            VaultError: their key is needed, and Vault cannot be asked now.
        """
        if not is_sealed(data):
            if self._adopts:
                return data
            raise SettingsError(
                f"{belongs_to}: expected sealed state where secrets.seal_state is always, found it "
                "in the clear; `adopt` takes it over and seals what is saved next"
            )
        try:
            return self._envelope.open(data, belongs_to)
        except GoalkickError as error:
            if belongs_to not in str(error):
                error.args = (f"state of {belongs_to}: {error}",)
            raise


class SealedState:
    """A store of state with a seal before it; see the port."""

    def __init__(self, store: StateStore, seal: Seal, owner: str) -> None:
        """Owns the store from now on.

        Args:
            store: holds what is sealed.
            seal: seals it.
            owner: whose state it is, bound to all that is sealed.
        """
        self._store = store
        self._seal = seal
        self._owner = owner

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None; see `Seal.opened`."""
        data = self._store.load(key)
        return None if data is None else self._seal.opened(data, f"{self._owner}/{key}")

    def save(self, entries: dict[str, bytes], *, covers: int = 0) -> None:
        """Replaces all `entries` together, or none of them."""
        closed = {
            key: self._seal.closed(value, f"{self._owner}/{key}") for key, value in entries.items()
        }
        self._store.save(closed, covers=covers)

    def append(self, entries: Mapping[int, bytes]) -> None:
        """Adds entries to the log, all or none."""
        self._store.append(
            {number: self._seal.closed(entry, self._logged(number))
             for number, entry in entries.items()}
        )  # fmt: skip

    def logged(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The entries of the log with numbers above `after`, in their order."""
        for number, entry in self._store.logged(after):
            yield number, self._seal.opened(entry, self._logged(number))

    def close(self) -> None:
        """Releases the store."""
        self._store.close()

    def _logged(self, number: int) -> str:
        return f"{self._owner}/log/{number}"


class SealedLog:
    """A log with a seal before the topics of saved state; all others pass as they are."""

    def __init__(self, log: Log, seal: Seal, topics: Collection[str]) -> None:
        """Owns the log from now on.

        Args:
            log: one member's access to it.
            seal: seals values.
            topics: whose records are sealed.
        """
        self._log = log
        self._seal = seal
        self._topics = frozenset(topics)

    async def start(self) -> None:
        """Connects."""
        await self._log.start()

    async def close(self) -> None:
        """Disconnects."""
        await self._log.close()

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many partitions each topic has."""
        return await self._log.partitions(topics)

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        """Becomes a member of a group."""
        await self._log.join(group, topic, lost, gained)

    async def leave(self) -> None:
        """Is no member any more."""
        await self._log.leave()

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        """From now on `poll` reads these partitions; those of saved state are read by `tails`."""
        await self._log.read_from(offsets)

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        """The next records."""
        return await self._log.poll(timeout_s)

    def pause(self, partitions: Collection[Partition]) -> None:
        """`poll` returns nothing of these."""
        self._log.pause(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        """Undoes `pause`."""
        self._log.resume(partitions)

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        """Hands messages over in order, saved state sealed."""
        if any(message.partition.topic in self._topics for message in messages):
            if self._seal.ready:
                messages = self._closed(messages)
            else:
                messages = await asyncio.to_thread(self._closed, messages)
        await self._log.send(messages, whole=whole)

    async def flush(self) -> None:
        """Returns when all that was sent is safe."""
        await self._log.flush()

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """First offset that is kept, and the offset that the next record will get."""
        return await self._log.ends(partitions)

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        """The last records of each partition, saved state opened; see `Seal.opened`."""
        found = await self._log.tails(partitions, count)
        if not any(place.topic in self._topics for place in found):
            return found
        return await asyncio.to_thread(self._opened, found)

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Notes for onlookers how far the group has come."""
        return await self._log.commit(offsets)

    def _closed(self, messages: Sequence[Message]) -> Sequence[Message]:
        return [
            message._replace(value=self._seal.closed(message.value, _place(message)))
            if message.value and message.partition.topic in self._topics
            else message
            for message in messages
        ]

    def _opened(
        self, found: Mapping[Partition, Sequence[Record]]
    ) -> Mapping[Partition, Sequence[Record]]:
        return {
            place: [
                record._replace(value=self._seal.opened(record.value, _place(record)))
                if record.value and place.topic in self._topics
                else record
                for record in records
            ]
            for place, records in found.items()
        }


def _place(one: Message | Record) -> str:
    topic, number = one.partition
    return f"{topic}/{number}/{one.key}"
