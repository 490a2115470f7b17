"""Where secrets come from; only adapters and the composition root ever see one."""

from typing import Protocol


class Secrets(Protocol):
    """A store of secrets of one kind (`env`, `file`, `vault`)."""

    def read(self, name: str) -> str:
        """The secret's value, without a final line end.

        Args:
            name: the reference without its scheme: `NAME`, `/path`, `path#key`.

        Raises:
            SettingsError: there is no such secret, or it is empty; the message names it.
            TransientError: the store cannot be asked now.
        """
        ...
