"""Recordings of raw frames: what a venue said, letter by letter, and when it was received.

A recording is a gzip file of many members, each of which holds the frames of a moment and says in
its header (RFC 1952, extra field `GK`) how long it is and which times it spans. So any tool reads
it, a killed process leaves a file that is good up to its last member, and a reader may skip what
it does not want. Each line inside is a JSON array: received_ns, connection, kind, text.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from goalkick.common.core.errors import InvalidDataError

SUFFIX: Final = ".frames.gz"

_MAGIC: Final = b"\x1f\x8b\x08\x04"
_FIXED: Final = struct.Struct("<4sIBBH")
"""Magic with the flag of an extra field; time, flags and system of gzip; length of the extra."""
_EXTRA: Final = struct.Struct("<2sHIIqq")
"""Name and length of the field; length of the member, frames, first and last time of receipt."""
_TAIL: Final = struct.Struct("<II")
_HEADER_BYTES: Final = _FIXED.size + _EXTRA.size
_FIELD: Final = b"GK"
MAX_MEMBER_BYTES: Final = 64 * 1024 * 1024
"""Unpacked; no member is written that is larger, and none is read."""


class Kind(StrEnum):
    """What a frame is."""

    OPENED = "opened"
    CLOSED = "closed"
    RECEIVED = "received"
    SENT = "sent"
    ANSWERED = "answered"
    DROPPED = "dropped"


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What happened on a connection.

    Attributes:
        received_ns: when, by the recorder's clock, UTC ns.
        connection: which: a name of its own, or the address; of an answer the whole address.
        kind: `RECEIVED` and `SENT` messages, `ANSWERED` requests; `DROPPED`: so many frames could
            not be recorded.
        text: as it was; a reason for opening and closing; a number of dropped frames.
    """

    received_ns: int
    connection: str
    kind: Kind
    text: str


class Span(msgspec.Struct, frozen=True):
    """A member of a recording.

    Attributes:
        offset: where it begins in the file, bytes.
        length: of it, bytes.
        frames: how many it holds.
        from_ns: receipt of its first frame, UTC ns.
        to_ns: receipt of its last one.
    """

    offset: int
    length: int
    frames: int
    from_ns: int
    to_ns: int


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Frame)


def pack(frames: Sequence[Frame], level: int = 6) -> bytes:
    """A member that holds the frames, in order of receipt; at least one.

    Args:
        frames: what to pack; together at most `MAX_MEMBER_BYTES`.
        level: of zlib, 1 (fast) to 9 (small).

    Raises:
        InvalidDataError: they are too many for one member.
    """
    data = b"".join([_ENCODER.encode(frame) + b"\n" for frame in frames])
    if len(data) > MAX_MEMBER_BYTES:
        raise InvalidDataError(
            f"recording: expected at most {MAX_MEMBER_BYTES} bytes in one member, found {len(data)}"
        )
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(data) + packer.flush()
    length = _HEADER_BYTES + len(body) + _TAIL.size
    times = [frame.received_ns for frame in frames]
    extra = _EXTRA.pack(_FIELD, _EXTRA.size - 4, length, len(frames), min(times), max(times))
    fixed = _FIXED.pack(_MAGIC, 0, 0, 255, len(extra))
    return fixed + extra + body + _TAIL.pack(zlib.crc32(data), len(data))


class Recording:
    """One file.

    Attributes:
        path: of the file.
        cut: whether its last member is not whole, as a killed process leaves it; known once the
            end has been read. What is left of such a member is not read.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path
        self.cut = False

    def spans(self) -> Iterator[Span]:
        """Its members, without unpacking them.

        Raises:
            InvalidDataError: something else stands where a member should.
            OSError: it cannot be read.
        """
        with self.path.open("rb") as file:
            yield from self._spans(file)

    def frames(self, from_ns: int | None = None) -> Iterator[Frame]:
        """Its frames in the order in which they were recorded, in bounded memory.

        Args:
            from_ns: members that end earlier are skipped; None: none are.

        Raises:
            InvalidDataError: a member is corrupt; what was before it has been given.
            OSError: it cannot be read.
        """
        with self.path.open("rb") as file:
            for span in self._spans(file):
                if from_ns is not None and span.to_ns < from_ns:
                    continue
                file.seek(span.offset)
                yield from self._unpacked(file.read(span.length), span)
                file.seek(span.offset + span.length)

    def _spans(self, file: BinaryIO) -> Iterator[Span]:
        size = file.seek(0, 2)
        offset = 0
        while offset < size:
            file.seek(offset)
            head = file.read(_HEADER_BYTES)
            if len(head) < _HEADER_BYTES and _MAGIC[: len(head)] == head[: len(_MAGIC)]:
                break
            span = self._span(head, offset)
            if offset + span.length > size:
                break
            yield span
            offset += span.length
        self.cut = offset < size

    def _span(self, head: bytes, offset: int) -> Span:
        if len(head) == _HEADER_BYTES and head.startswith(_MAGIC):
            name, _, length, frames, from_ns, to_ns = _EXTRA.unpack_from(head, _FIXED.size)
            if name == _FIELD and length > _HEADER_BYTES:
                return Span(offset, length, frames, from_ns, to_ns)
        raise self._corrupt(offset, f"expected a member of a recording, found {head[:8].hex()}")

    def _unpacked(self, member: bytes, span: Span) -> Sequence[Frame]:
        crc, size = _TAIL.unpack(member[-_TAIL.size :])
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(member[_HEADER_BYTES : -_TAIL.size], MAX_MEMBER_BYTES + 1)
        except zlib.error as error:
            raise self._corrupt(span.offset, str(error)) from None
        if len(data) > MAX_MEMBER_BYTES:
            raise self._corrupt(span.offset, f"expected at most {MAX_MEMBER_BYTES} bytes in it")
        if len(data) != size or zlib.crc32(data) != crc:
            raise self._corrupt(span.offset, "its checksum is wrong")
        try:
            frames = _DECODER.decode_lines(data)
        except msgspec.MsgspecError as error:
            raise self._corrupt(span.offset, f"a frame in it is none: {error}") from None
        return frames

    def _corrupt(self, offset: int, reason: str) -> InvalidDataError:
        return InvalidDataError(f"{self.path}: corrupt at byte {offset}: {reason}")
