"""What a series holds: its files with spans, rows and hashes, and what is missing.

The manifest is written whole after every file, so that a download that dies anywhere goes on from
the last file that is in it. It says nothing of when or by whom it was written: the same history
gives the same bytes.
"""

from pathlib import Path
from typing import Final

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.ingest.archive.layout import MANIFEST, Kind, Series
from goalkick.ingest.archive.tables import PARTIAL, replace

_FORMAT: Final = "goalkick-archive-1"


class Missing(msgspec.Struct, frozen=True):
    """Something that is not there: the venue was asked for it twice, or imported files lack it.

    Attributes:
        start: open of the first missing bar, as ISO time in UTC; of trades the first missing id.
        end: where it goes on, in the same words.
        count: how many bars, trades or funding times.
    """

    start: str | int
    end: str | int
    count: int


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file.

    Attributes:
        file: relative to the manifest's folder.
        start: what was asked for, from here: ISO time in UTC, of trades an id.
        end: and to here, exclusive.
        rows: how many there are.
        bytes: size of the file.
        sha256: its hash.
        missing: what is not there, in order.
        refused: reason -> rows that the venue sent and that made no sense.
        asked: whether the venue was asked for what is missing; not so where files were imported.
    """

    file: str
    start: str | int
    end: str | int
    rows: int
    bytes: int
    sha256: str
    missing: tuple[Missing, ...] = ()
    refused: dict[str, int] = {}
    asked: bool = True

    def covers(self, start: str | int, end: str | int) -> bool:
        """Whether nothing is left to ask for in [start, end); ISO times sort as text."""
        if self.missing and not self.asked:
            return False
        if isinstance(self.start, str):
            return self.start <= str(start) and str(end) <= str(self.end)
        return self.start <= int(start) and int(end) <= int(self.end)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a series.

    Attributes:
        format: name of this format.
        kind: of the series, like `instrument` and `grain`.
        instrument: `<venue>:<name>`.
        grain: length of a bar, or kind of trades.
        rows: of all files.
        missing: in all files.
        parts: the files, in order of their names.
    """

    format: str
    kind: Kind
    instrument: str
    grain: str
    rows: int = 0
    missing: int = 0
    parts: tuple[Part, ...] = ()

    @classmethod
    def load(cls, folder: Path, series: Series) -> "Manifest":
        """The manifest of a folder; an empty one where there is none.

        Raises:
            InvalidDataError: it cannot be read, or is of another series.
        """
        path = folder / MANIFEST
        empty = cls(
            format=_FORMAT, kind=series.kind, instrument=series.instrument, grain=series.grain
        )
        if not path.is_file():
            return empty
        try:
            found = msgspec.json.decode(path.read_bytes(), type=cls)
        except msgspec.MsgspecError as error:
            raise InvalidDataError(
                f"{path}: expected a manifest, found: {error}; remove it to fetch anew"
            ) from error
        told = (found.format, found.kind, found.instrument, found.grain)
        wanted = (_FORMAT, series.kind, series.instrument, series.grain)
        if told != wanted:
            raise InvalidDataError(f"{path}: expected a manifest of {wanted}, found one of {told}")
        return found

    def part(self, file: str) -> Part | None:
        """What is known of a file."""
        return next((part for part in self.parts if part.file == file), None)

    def present(self, folder: Path, part: Part) -> bool:
        """Whether a part's file is on the disk, as long as it was written."""
        path = folder / part.file
        return path.is_file() and path.stat().st_size == part.bytes

    def with_parts(self, parts: tuple[Part, ...]) -> "Manifest":
        """The manifest with files added, or known anew."""
        by_file = {part.file: part for part in (*self.parts, *parts)}
        ordered = tuple(by_file[file] for file in sorted(by_file))
        return msgspec.structs.replace(
            self,
            parts=ordered,
            rows=sum(part.rows for part in ordered),
            missing=sum(one.count for part in ordered for one in part.missing),
        )

    def save(self, folder: Path) -> None:
        """Writes it, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{MANIFEST}{PARTIAL}"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
        replace(partial, folder / MANIFEST)
