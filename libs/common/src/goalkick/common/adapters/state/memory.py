"""State in memory: the fake of the state port; gone when the process ends."""

from collections.abc import Iterator, Mapping

from goalkick.common.core.errors import InvariantError


class MemoryStateStore:
    """Keeps entries in a dict; opening it on the same dicts again is a restart."""

    def __init__(
        self, entries: dict[str, bytes] | None = None, log: dict[int, bytes] | None = None
    ) -> None:
        """Starts from `entries` and `log` (not copied), or empty."""
        self._entries: dict[str, bytes] | None = {} if entries is None else entries
        self._log: dict[int, bytes] = {} if log is None else log

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None."""
        return self._opened().get(key)

    def save(self, entries: dict[str, bytes], *, covers: int = 0) -> None:
        """Replaces all `entries` together, and forgets the log up to `covers`."""
        self._opened().update({key: bytes(value) for key, value in entries.items()})
        for number in [each for each in self._log if each <= covers]:
            del self._log[number]

    def append(self, entries: Mapping[int, bytes]) -> None:
        """Adds entries to the log, all or none.

        Raises:
            InvariantError: a number is in the log already.
        """
        self._opened()
        if known := entries.keys() & self._log.keys():
            raise InvariantError(f"state: expected new entries of the log, found {min(known)}")
        self._log.update({number: bytes(entry) for number, entry in entries.items()})

    def logged(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The entries of the log with numbers above `after`, in their order."""
        self._opened()
        return iter(sorted(each for each in self._log.items() if each[0] > after))

    def close(self) -> None:
        """Later calls fail."""
        self._entries = None

    def _opened(self) -> dict[str, bytes]:
        if self._entries is None:
            raise InvariantError("state: expected an open store, found a closed one")
        return self._entries
