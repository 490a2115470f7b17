"""Where snapshots are kept between runs."""

from typing import Protocol


class StateStore(Protocol):
    """Durable bytes by key; a save is atomic."""

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None."""
        ...

    def save(self, entries: dict[str, bytes]) -> None:
        """Replaces all `entries` together, or none of them.

        Raises:
            TransientError: the store cannot be written now.
        """
        ...

    def close(self) -> None:
        """Releases the store; later calls fail."""
        ...
