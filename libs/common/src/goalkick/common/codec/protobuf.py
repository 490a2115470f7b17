"""Events <-> protobuf bytes: what travels in a record's value, and its `ce_type`.

Everything is derived from the generated code: a message named like an event of the same family is
that event on the wire, with the same field names. A new event is a struct and a message; nothing is
written here. Struct and message that do not fit each other fail at import.

The codec says no to what cannot be read or written without guessing: an unknown type, broken bytes,
a missing field, an unknown enum value, an empty id, a number that is not finite. It does not judge
what it carries (a target of 7, a negative price): that is the cores' part, and they must see the
same events on Kafka as in one process.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from goalkick.common.codec.plans import REFUSALS, Check, Plan
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events import control, feature, market, order, prediction, signal
from goalkick.common.events.base import Event
from goalkick.proto.control.v1 import control_pb2
from goalkick.proto.feature.v1 import feature_pb2
from goalkick.proto.market.v1 import market_pb2
from goalkick.proto.order.v1 import order_pb2
from goalkick.proto.prediction.v1 import prediction_pb2
from goalkick.proto.signal.v1 import signal_pb2

FAMILIES: tuple[tuple[Any, Any], ...] = (
    (market, market_pb2),
    (feature, feature_pb2),
    (prediction, prediction_pb2),
    (signal, signal_pb2),
    (order, order_pb2),
    (control, control_pb2),
)
"""(events, messages) of each family."""


class _Codec(msgspec.Struct, frozen=True):
    """One row of the table."""

    type_name: str
    kind: type[Event]
    message: Any
    plan: Plan


def _a_value_for_each_name(event: feature.FeatureVector) -> None:
    if len(event.names) != len(event.values):
        raise InvalidDataError(
            f"expected a value for each name, found {len(event.names)} names and "
            f"{len(event.values)} values"
        )


_CHECKS: Mapping[type[Event], Check] = {feature.FeatureVector: _a_value_for_each_name}


def _rows(events: Any, messages: Any) -> Iterator[_Codec]:
    package, version = messages.DESCRIPTOR.package.removeprefix("goalkick.proto.").split(".")
    for name, descriptor in messages.DESCRIPTOR.message_types_by_name.items():
        kind = getattr(events, name, None)
        if isinstance(kind, type) and issubclass(kind, Event):
            message = getattr(messages, name)
            plan = Plan(kind, descriptor, message, _CHECKS.get(kind))
            yield _Codec(f"goalkick.{package}.{name}.{version}", kind, message, plan)


_CODECS = tuple(row for family in FAMILIES for row in _rows(*family))
_BY_KIND: Mapping[type[Event], _Codec] = {codec.kind: codec for codec in _CODECS}
_BY_NAME: Mapping[str, _Codec] = {codec.type_name: codec for codec in _CODECS}

KINDS: Mapping[str, type[Event]] = MappingProxyType(
    {codec.type_name: codec.kind for codec in _CODECS}
)
"""Type name -> event type, of all that can travel."""


def type_name(kind: type[Event]) -> str:
    """The name of an event type on the wire: `goalkick.market.BarClosed.v1`.

    Raises:
        InvariantError: the type does not travel.
    """
    try:
        return _BY_KIND[kind].type_name
    except KeyError:
        raise _does_not_travel(kind) from None


def encode(event: Event) -> bytes:
    """The bytes of an event; equal events with equal scales give equal bytes.

    Raises:
        InvariantError: the type does not travel.
        InvalidDataError: a value cannot be written: not finite, out of range, an empty id.
    """
    codec = _BY_KIND.get(type(event))
    if codec is None:
        raise _does_not_travel(type(event))
    try:
        data: bytes = codec.plan.write(event).SerializeToString()
    except REFUSALS as error:
        reason = codec.plan.write_refusal(event, error)
        raise InvalidDataError(f"{codec.type_name}: {reason}") from error
    return data


def decode(type_name: str, data: bytes) -> Event:
    """The event that `encode` was given.

    Fields that are not known are ignored, so an old reader reads what a newer writer wrote. An
    absent field with a default gets it, so a new reader reads what an older writer wrote.

    Args:
        type_name: as `type_name` said it.
        data: the record's value.

    Raises:
        InvalidDataError: the type is not known, the bytes are broken, a field is missing, or a
            value is not allowed.
    """
    codec = _BY_NAME.get(type_name)
    if codec is None:
        raise InvalidDataError(f"expected a known event type, found {type_name!r}")
    message = _parse(codec, data)
    try:
        event: Event = codec.plan.read(message)
    except REFUSALS as error:
        reason = codec.plan.read_refusal(message, error)
        raise InvalidDataError(f"{codec.type_name}: {reason}") from error
    return event


def _parse(codec: _Codec, data: bytes) -> Any:
    try:
        return codec.message.FromString(data)
    except (DecodeError, TypeError) as error:
        found = f"{len(data)} others" if isinstance(data, bytes) else type(data).__name__
        raise InvalidDataError(
            f"{codec.type_name}: expected the bytes of such a message, found {found}"
        ) from error


def _does_not_travel(kind: type) -> InvariantError:
    return InvariantError(f"codec: expected a type of event that travels, found {kind.__name__}")
