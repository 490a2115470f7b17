"""Events as JSON, for logs, `--json` and fixtures; and their canonical bytes, for hashes.

JSON is for people and tools outside: decimals are texts, so that no reader turns them into floats.
What travels between services is protobuf.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from goalkick.common.codec.protobuf import KINDS, type_name
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.common.values.time import format_time

_NEGATIVE_ZERO = re.compile(rb"-0(?<=[\xa2-\xbf]-0)(?!\.\d*[1-9])").search
"""Where a negative zero may stand: after msgpack's head of a short text, and with no digit but
zeros; an id with "-0" in it is none. Begins with plain bytes, which are found fast."""

_CANONICAL = msgspec.msgpack.Encoder(order="deterministic")


def as_dict(event: Event) -> dict[str, Any]:
    """The event as built-in values that every JSON library writes.

    First `type` (as on the wire), `id` and `time` (ISO 8601 in UTC), then the event's own fields:
    times in UTC ns, decimals as text with all their digits, enums as their values.

    Raises:
        InvariantError: the type does not travel.
    """
    return {
        "type": type_name(type(event)),
        "id": event.id,
        "time": format_time(event.time_ns),
        **msgspec.to_builtins(event),
    }


def to_line(event: Event) -> str:
    """`as_dict` as one line of JSON, without the line's end.

    Raises:
        InvariantError: the type does not travel.
    """
    return msgspec.json.encode(as_dict(event)).decode()


def from_dict(fields: Mapping[str, Any]) -> Event:
    """The event that `as_dict` was given; `id` and `time` are derived and not looked at.

    Raises:
        InvalidDataError: the type is not known, a field is missing or of another type.
    """
    name = fields.get("type")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidDataError(f"expected the type of an event, found {name!r}")
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise InvalidDataError(f"{name}: {error}") from error


def from_line(line: str | bytes) -> Event:
    """The event that `to_line` was given.

    Raises:
        InvalidDataError: it is no JSON object, or no event.
    """
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidDataError(f"expected a line with an event as JSON, found {error}") from error
    return from_dict(fields)


def canonical(event: Event) -> bytes:
    """Bytes that are equal for equal events, on every machine and on both sides of the wire.

    msgpack of [type name, fields in the order in which the type declares them], keys of mappings
    sorted, decimals as text with their scale, zero without a sign. They delimit themselves: hash
    the bytes of many events one after the other. Fields must hold what their types say: an int in
    place of a float gives other bytes.

    Raises:
        InvariantError: the type does not travel.
    """
    name = type_name(type(event))
    data = _CANONICAL.encode((name, event))
    # The wire drops the sign of a decimal zero. Hardly any event has one, so look before walking.
    if _NEGATIVE_ZERO(data):
        plain = _unsigned_zeros(msgspec.to_builtins(event, builtin_types=(Decimal,)))
        return _CANONICAL.encode((name, msgspec.convert(plain, type(event))))
    return data


def canonical_all(events: Sequence[Event]) -> bytes:
    """`canonical` of each event, one after the other.

    Raises:
        InvariantError: a type does not travel.
    """
    encode = _CANONICAL.encode
    data = b"".join([encode((type_name(type(event)), event)) for event in events])
    return b"".join(map(canonical, events)) if _NEGATIVE_ZERO(data) else data


def _unsigned_zeros(value: Any) -> Any:
    """`value` with every negative decimal zero inside it made positive."""
    if isinstance(value, Decimal):
        return value if value else value.copy_abs()
    if isinstance(value, dict):
        return {key: _unsigned_zeros(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_unsigned_zeros(inner) for inner in value]
    return value
