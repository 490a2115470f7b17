"""The journal: every event of a run, one a line, readable by people and back into events."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from goalkick.common.codec.json import from_line
from goalkick.common.codec.protobuf import type_name
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.topics import TOPIC_OF

_ENCODER: Final = msgspec.json.Encoder()
_BEGINNINGS: Final = {kind: b'{"type":"%s",' % type_name(kind).encode() for kind in TOPIC_OF}
_BUFFERED: Final = 1 << 20
"""Bytes to collect before they go to the disk."""


class Journal:
    """Writes events to a file as they happen."""

    def __init__(self, path: Path) -> None:
        """Begins the file anew.

        Args:
            path: where to write; its folder must exist.
        """
        self._file = path.open("wb", buffering=_BUFFERED)

    def __enter__(self) -> "Journal":
        """The journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file, also after an error: what happened until then is in it."""
        self._file.close()

    def sinks(self) -> Sequence[tuple[type[Event], Callable[..., object]]]:
        """What to connect to the bus."""
        return [(kind, self.write) for kind in TOPIC_OF]

    def write(self, event: Event) -> None:
        """Adds one event: a line that `codec.json.from_line` reads.

        Without what `codec.json.to_line` says for people (id, ISO time): it is derived, and would
        make a backtest take twice as long.
        """
        # Every event has a time, so there is something to follow the type.
        self._file.write(b"%b%b\n" % (_BEGINNINGS[type(event)], _ENCODER.encode(event)[1:]))


def read_journal(path: Path) -> Iterator[Event]:
    """The events of a journal, in order.

    Raises:
        InvalidDataError: a line is no event; says which.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield from_line(line)
            except InvalidDataError as error:
                raise InvalidDataError(f"{path}: line {number}: {error}") from error
