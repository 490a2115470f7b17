"""State in memory: the fake of the state port; gone when the process ends."""

from goalkick.common.core.errors import InvariantError


class MemoryStateStore:
    """Keeps entries in a dict; opening it on the same dict again is a restart."""

    def __init__(self, entries: dict[str, bytes] | None = None) -> None:
        """Starts from `entries` (not copied), or empty."""
        self._entries: dict[str, bytes] | None = {} if entries is None else entries

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None."""
        return self._opened().get(key)

    def save(self, entries: dict[str, bytes]) -> None:
        """Replaces all `entries` together."""
        self._opened().update({key: bytes(value) for key, value in entries.items()})

    def close(self) -> None:
        """Later calls fail."""
        self._entries = None

    def _opened(self) -> dict[str, bytes]:
        if self._entries is None:
            raise InvariantError("state: expected an open store, found a closed one")
        return self._entries
