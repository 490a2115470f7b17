"""Where snapshots are kept between runs, and a log of what happened since."""

from collections.abc import Iterator, Mapping
from typing import Protocol


class StateStore(Protocol):
    """Durable bytes by key, and a log of numbered entries; every change is atomic."""

    def load(self, key: str) -> bytes | None:
        """What was last saved under `key`, or None."""
        ...

    def save(self, entries: dict[str, bytes], *, covers: int = 0) -> None:
        """Replaces all `entries` together, or none of them.

        Args:
            entries: by key.
            covers: entries of the log up to this number are forgotten together with it: what they
                told is in what is saved.

        Raises:
            TransientError: the store cannot be written now.
        """
        ...

    def append(self, entries: Mapping[int, bytes]) -> None:
        """Adds entries to the log, all or none; returns when they are durable, as a save is.

        What it takes does not depend on what the store holds.

        Args:
            entries: by number; numbers are positive and rise over the life of the store.

        Raises:
            InvariantError: a number is in the log already.
            TransientError: the store cannot be written now.
        """
        ...

    def logged(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The entries of the log with numbers above `after`, in their order."""
        ...

    def close(self) -> None:
        """Releases the store; later calls fail."""
        ...
