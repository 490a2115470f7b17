"""Recordings that others made, line by line: what hftbacktest's and cryptofeed's collectors write.

hftbacktest: `<received ns> <JSON>`. cryptofeed: `<url> -> <s>: <answer>`, `<url> <-> <s>` (opened),
`<url> <- <s>: <sent>`, `<s>: <received>`, `configuration: {...}`; seconds with a fraction.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.recording import Frame, Kind

_MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of the longest line that is read; a full list of a venue's instruments has a few MB."""
_TEXT: Final = r"(?P<seconds>\d+(?:\.\d+)?): (?P<text>.*)"
_FORMS: Final = tuple(
    (re.compile(pattern, re.DOTALL).fullmatch, kind)
    for pattern, kind in (
        (r"(?P<ns>\d{19}) (?P<text>.*)", Kind.RECEIVED),
        (_TEXT, Kind.RECEIVED),
        (rf"(?P<url>\S+) -> {_TEXT}", Kind.ANSWERED),
        (rf"(?P<url>\S+) <- {_TEXT}", Kind.SENT),
        (r"(?P<url>\S+) <-> (?P<seconds>\d+(?:\.\d+)?)(?P<text>)", Kind.OPENED),
    )
)


class ForeignRecording:
    """One file, plain or gzip.

    Attributes:
        path: of the file.
        cut: whether it ends in the middle; known once the end has been read.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path
        self.cut = False

    def frames(self, from_ns: int | None = None) -> Iterator[Frame]:
        """Its frames in the order of the file.

        Args:
            from_ns: frames that were received earlier are left out; None: none are.

        Raises:
            InvalidDataError: a line has none of the forms, or the file is corrupt.
            OSError: it cannot be read.
        """
        connection = ""
        for number, line in enumerate(self._lines(), 1):
            if line.startswith("configuration: ") or not line:
                continue
            frame = self._frame(line, number, connection)
            if frame.kind is Kind.OPENED:
                connection = frame.connection
            if from_ns is None or frame.received_ns >= from_ns:
                yield frame

    def _lines(self) -> Iterator[str]:
        with self.path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw, "rb") as file:
                    yield from self._split(file)
            else:
                yield from self._split(raw)

    def _split(self, file: "BinaryIO | gzip.GzipFile") -> Iterator[str]:
        number = 0
        try:
            while line := file.readline(_MAX_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    # The last line of a collector that was killed; or one without its end.
                    self.cut = len(line) == _MAX_LINE or not _whole(line)
                    if self.cut:
                        return
                yield line.decode().rstrip("\n")
        except EOFError:
            self.cut = True
        except (OSError, zlib.error, UnicodeError) as error:
            raise InvalidDataError(f"{self.path}: corrupt after line {number}: {error}") from error

    def _frame(self, line: str, number: int, connection: str) -> Frame:
        for match, kind in _FORMS:
            found = match(line)
            if found is None:
                continue
            named = found.groupdict()
            if "ns" in named:
                received_ns = int(named["ns"])
            else:
                received_ns = int(Decimal(named["seconds"]) * NS_PER_SECOND)
            return Frame(received_ns, named.get("url") or connection, kind, named["text"])
        raise InvalidDataError(
            f"{self.path}: line {number}: expected a recorded message, found {line[:80]!r}"
        )


def _whole(line: bytes) -> bool:
    """Whether a last line without an end is complete: JSON ends where its brackets do."""
    return line.rstrip().endswith((b"}", b"]"))
