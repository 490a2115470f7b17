"""What stands around an event on the log: CloudEvents attributes, its place, its trace.

CloudEvents 1.0, Kafka protocol binding, binary mode: the attributes are headers `ce_*`.
"""

import contextlib
from collections.abc import Sequence

from goalkick.common.codec import protobuf
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.ports.log import Headers, Record
from goalkick.common.runtime.place import BEFORE_ALL, HEADER, Group, Place, read_place
from goalkick.common.telemetry.traces import HEADER as TRACE
from goalkick.common.topics import Topic

CONTENT_TYPE = ("content-type", b"application/protobuf")
SPEC_VERSION = ("ce_specversion", b"1.0")

TAIL = 10
"""Records looked at to find where a partition stands; more than what is there of others'."""

_TYPES: dict[type[Event], bytes] = {}
_SOURCES: dict[str, bytes] = {}


def envelope(event: Event, source: str, place: Place | None, trace: bytes) -> Headers:
    """The headers of an event's record.

    Args:
        event: the event.
        source: who says it, for example `goalkick/risk`.
        place: its place in its group; None from somebody who works without moments.
        trace: W3C traceparent, or empty.
    """
    kind = type(event)
    name = _TYPES.get(kind)
    if name is None:
        name = _TYPES[kind] = protobuf.type_name(kind).encode()
    origin = _SOURCES.get(source)
    if origin is None:
        origin = _SOURCES[source] = f"/goalkick/{source}".encode()
    headers: Headers = (
        CONTENT_TYPE,
        SPEC_VERSION,
        ("ce_type", name),
        ("ce_source", origin),
        ("ce_id", event.id.encode()),
    )
    if place is not None:
        headers = (*headers, (HEADER, place.header()))
    return (*headers, (TRACE, trace)) if trace else headers


def read_place_of(record: Record, topic: Topic) -> Place | None:
    """The place of a record; None on a topic whose producer works without moments.

    Raises:
        InvalidDataError: the record does not say.
    """
    if not topic.synchronised:
        return None
    return read_place(header_of(record, HEADER))


def read_event(record: Record) -> Event:
    """The event of a record.

    Raises:
        InvalidDataError: its type or its bytes cannot be understood.
    """
    name = header_of(record, "ce_type")
    if name is None:
        raise InvalidDataError("header ce_type: expected the type of the event, found none")
    return protobuf.decode(name.decode("utf-8", "replace"), record.value)


def last_group(tail: Sequence[Record]) -> Group:
    """The last group that anybody said something about on a partition, by its last records."""
    for record in reversed(tail):
        with contextlib.suppress(InvalidDataError):
            return read_place(header_of(record, HEADER)).group
    return BEFORE_ALL


def header_of(record: Record, name: str) -> bytes | None:
    """The value of a header; None if it is not there."""
    for key, value in record.headers:
        if key == name:
            return value
    return None
