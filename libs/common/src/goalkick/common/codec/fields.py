"""How one field of an event becomes a protobuf field and back, by its Python type.

A field is a pair of Python expressions, which `plans` compiles into one function for each event
type, and the functions that they call.

Absent fields. protobuf reads an absent field as zero, an empty text or an empty message, all of
which are falsy. So a truthy value is present, and only a falsy one is looked at twice, by `Late`.
"""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, get_args

import msgspec

from goalkick.common.codec import decimals
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import EventId

ABSENT = object()
"""The default of a field that may not be absent."""

Nested = Callable[[type[msgspec.Struct], Any], tuple[Callable[[Any], Any], Callable[[Any], Any]]]
"""(struct type, descriptor of its message) -> (writer, reader)."""


class FieldPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One field, ready to be compiled.

    Attributes:
        name: in the event and in the message.
        write: expression of what the message's constructor takes, from the event `e`.
        read: expression of the event's value, from the message `m`.
        scope: what the expressions call, by name; names are unique over a whole message.
        unsaid: expressions of whether the event `e`, and the message `m`, do not say it at all;
            None: the field must always be looked at.
    """

    name: str
    write: str
    read: str
    scope: Mapping[str, Any]
    unsaid: tuple[str, str] | None = None


class _Way(msgspec.Struct, frozen=True):
    """How values of one type travel.

    Attributes:
        write: expression; `{v}` is the event's value, `{w}` calls `writer`.
        read: expression; `{v}` is the message's value, `{n}` the field's name, `{r}` calls
            `reader`, `{late}(m)` looks at the field again.
        present: reads a value that is present though falsy; None: the value is right as it is.
    """

    write: str
    read: str
    writer: Callable[..., Any] | None = None
    reader: Callable[[Any], Any] | None = None
    present: Callable[[Any], Any] | None = None


class Late:
    """The second look at a field that reads as falsy: present, absent with a default, or wrong."""

    def __init__(self, name: str, default: object, present: Callable[[Any], Any] | None) -> None:
        """Args: the field's name; its value when absent; how to read it when present."""
        self._name = name
        self._default = default
        self._present = present

    def __call__(self, message: Any) -> Any:
        """The field's value.

        Raises:
            InvalidDataError: the field may not be absent, or its value is not allowed.
        """
        if message.HasField(self._name):
            value = getattr(message, self._name)
            return self._present(value) if self._present else value
        if self._default is ABSENT:
            raise InvalidDataError("expected the field, found none")
        return self._default


def plan_field(name: str, hint: Any, default: object, wire: Any, nested: Nested) -> FieldPlan:
    """The plan of one field.

    Args:
        name: of the field.
        hint: its type in the event.
        default: its default in the event, or `ABSENT`.
        wire: descriptor of the protobuf field.
        nested: makes writer and reader of a struct inside, given its type and the descriptor of
            its message.

    Raises:
        TypeError: no rule says how a field of this type travels.
    """
    optional = hint in _OPTIONAL or _inside_optional(hint) is not None
    if optional and default is not None:
        raise TypeError(f"{name}: expected None as the default of a field that may be None")
    way = _way(name, hint, wire, nested)
    absent = f"not m.{name}" if hint == EventId | None else f"not m.HasField({name!r})"
    names = {"n": name, "w": f"write_{name}", "r": f"read_{name}", "late": f"late_{name}"}
    return FieldPlan(
        name=name,
        write=way.write.format(v=f"e.{name}", **names),
        read=way.read.format(v=f"m.{name}", **names),
        scope={
            names["w"]: way.writer,
            names["r"]: way.reader,
            names["late"]: Late(name, default, way.present),
        },
        unsaid=(f"e.{name} is None", absent) if optional else None,
    )


def _way(name: str, hint: Any, wire: Any, nested: Nested) -> _Way:
    if hint in _WAYS:
        return _WAYS[hint]
    if getattr(hint, "__supertype__", None) is str:
        # A NewType of str is an id, and an empty id names nothing.
        return _Way("{v} or {w}()", "{v} or {late}(m)", writer=_empty_id, present=_empty_id)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum_way(hint, wire.enum_type)
    optional = _inside_optional(hint)
    if optional is not None:
        write, read = nested(optional, wire.message_type)
        return _Way(
            "None if {v} is None else {w}({v})",
            f"{{r}}({{v}}) if m.HasField({name!r}) else None",
            write,
            read,
        )
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        write, read = nested(hint, wire.message_type)
        return _Way(
            "{w}({v})", f"{{r}}({{v}}) if m.HasField({name!r}) else {{late}}(m)", write, read
        )
    raise TypeError(f"{name}: expected a type that the codec knows, found {hint}")


def _inside_optional(hint: Any) -> type[msgspec.Struct] | None:
    """The struct of `Struct | None`; None: it is something else."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(kinds) != 1 or type(None) not in get_args(hint):
        return None
    (kind,) = kinds
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _enum_way(kind: type[StrEnum], enum: Any) -> _Way:
    """Members by name; the number 0 is left out, as nobody may say it."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    numbers = {value.name.removeprefix(prefix): value.number for value in enum.values[1:]}
    if numbers.keys() != kind.__members__.keys():
        differing = ", ".join(sorted(numbers.keys() ^ kind.__members__.keys()))
        raise TypeError(f"{kind.__name__}: expected the same members on the wire, not {differing}")

    def refuse(found: object) -> int:
        raise InvalidDataError(f"expected one of {', '.join(kind)}, found {found!r}")

    known = {member: numbers[member.name] for member in kind}
    members = {number: member for member, number in known.items()}
    return _Way("{w}({v})", "{r}({v}) or {late}(m)", known.__getitem__, members.get, refuse)


def finite(value: float) -> float:
    """`value`, if it is finite.

    Raises:
        InvalidDataError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise InvalidDataError(f"expected a finite number, found {value}")
    return value


def _empty_id(_: str = "") -> str:
    raise InvalidDataError("expected an id, found an empty text")


def _write_floats(values: tuple[float, ...]) -> tuple[float, ...]:
    # A finite sum has finite terms; only a sum that overflows is looked at term by term.
    if not math.isfinite(sum(values)):
        for value in values:
            finite(value)
    return values


def _read_floats(values: Any) -> tuple[float, ...]:
    return _write_floats(tuple(values))


def _read_decimal(message: Any, name: str) -> Decimal:
    """A Decimal inside a repeated message, where none may be absent."""
    inner = getattr(message, name)
    value = decimals.read(inner)
    if value is None:
        if not message.HasField(name):
            raise InvalidDataError(f"expected {name}, found none")
        return decimals.read_rare(inner)
    return value


def _write_levels(levels: tuple[tuple[Decimal, Decimal], ...]) -> list[dict[str, Any]]:
    write = decimals.write
    return [{"price": write(price), "quantity": write(quantity)} for price, quantity in levels]


def _read_levels(levels: Any) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple(
        (_read_decimal(level, "price"), _read_decimal(level, "quantity")) for level in levels
    )


def _write_figures(figures: dict[str, Decimal]) -> list[dict[str, Any]]:
    return [{"name": name, "value": decimals.write(value)} for name, value in figures.items()]


def _read_figures(figures: Any) -> dict[str, Decimal]:
    read = {}
    for figure in figures:
        if not figure.HasField("name") or figure.name in read:
            raise InvalidDataError("expected figures with a name each, none twice")
        read[figure.name] = _read_decimal(figure, "value")
    return read


_PLAIN = _Way("{v}", "{v} or {late}(m)")
_MANY = "{w}({v})", "{r}({v})"
"""Of fields with many values; none at all is as good as many."""
_WAYS: Mapping[Any, _Way] = {
    int: _PLAIN,
    int | None: _Way("{v}", "{v} if m.HasField('{n}') else None"),
    bool: _PLAIN,
    str: _PLAIN,
    float: _Way("{w}({v})", "{r}({v}) or {late}(m)", finite, finite),
    Decimal: _Way(
        "{w}({v})", "{r}({v}) or {late}(m)", decimals.write, decimals.read, decimals.read_rare
    ),
    Decimal | None: _Way(
        "None if {v} is None else {w}({v})",
        # To touch an absent message makes an empty one, which costs more than to ask for it.
        "({r}({v}) or {late}(m)) if m.HasField('{n}') else None",
        decimals.write,
        decimals.read,
        decimals.read_rare,
    ),
    EventId | None: _Way(
        "None if {v} is None else {v} or {w}()",
        # An empty text, which no writer sends, names nothing either.
        "{v} or None",
        _empty_id,
    ),
    tuple[float, ...]: _Way(*_MANY, _write_floats, _read_floats),
    tuple[str, ...]: _Way("{v}", "{r}({v})", None, tuple),
    tuple[tuple[Decimal, Decimal], ...]: _Way(*_MANY, _write_levels, _read_levels),
    dict[str, Decimal]: _Way(*_MANY, _write_figures, _read_figures),
}
"""Type -> way, of the types that need to know nothing but the value."""
_OPTIONAL = (int | None, Decimal | None, EventId | None)
"""Types whose None travels as an absent field."""
