"""Compiles the way of one struct to its protobuf message and back into two functions.

A loop over fields would spend as much time on looping as on converting; so each type gets, once, at
import, one expression of its own, as `dataclasses` does for `__init__`. It is made of nothing but
field names and the expressions of `fields`, all from our own sources.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from goalkick.common.codec.fields import ABSENT, FieldPlan, plan_field
from goalkick.common.core.errors import InvalidDataError

REFUSALS = (
    InvalidDataError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
)
"""What conversions raise: ours, protobuf's (range and type), tables', a struct's own checks."""


_KEYWORDS = 15
"""As many as CPython passes without a dict."""

Check = Callable[[Any], None]
"""Raises InvalidDataError where the fields of a struct, each right, do not fit each other."""


class Plan:
    """The way of one struct type to its message and back.

    Attributes:
        write: struct -> message (or dict). Raises one of `REFUSALS`.
        read: message -> struct. Raises one of `REFUSALS`.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        descriptor: Any,
        target: Any,
        check: Check | None = None,
    ) -> None:
        """Compiles it.

        Args:
            kind: a struct whose fields are named like those of the message.
            descriptor: of the message.
            target: what is called with the fields to write: the message's class, or `dict`.
            check: what no field can say alone.

        Raises:
            TypeError: struct and message differ in their fields, or a type cannot travel.
        """
        self._fields = _plan_fields(kind, descriptor)
        self._target = target
        write = _compile_write(self._fields, target)
        read = _compile_read(self._fields, kind)
        self.write = write if check is None else _checked_before(check, write)
        self.read = read if check is None else _checked_after(read, check)

    def write_refusal(self, struct: Any, error: Exception) -> InvalidDataError:
        """Why `write` failed with `error`: with the name of the first field to blame."""
        pieces = (_compile_write((field,), self._target) for field in self._fields)
        return self._refusal(pieces, struct, error)

    def read_refusal(self, message: Any, error: Exception) -> InvalidDataError:
        """Why `read` failed with `error`: with the name of the first field to blame."""
        pieces = (_compile_read((field,), dict) for field in self._fields)
        return self._refusal(pieces, message, error)

    def _refusal(
        self, pieces: Iterable[Callable[[Any], Any]], value: Any, error: Exception
    ) -> InvalidDataError:
        for field, convert in zip(self._fields, pieces, strict=True):
            try:
                convert(value)
            except REFUSALS as reason:
                return InvalidDataError(f"{field.name}: {_words(reason)}")
        return InvalidDataError(_words(error))


def _checked_before(check: Check, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(struct: Any) -> Any:
        check(struct)
        return write(struct)

    return checked


def _checked_after(read: Callable[[Any], Any], check: Check) -> Callable[[Any], Any]:
    def checked(message: Any) -> Any:
        struct = read(message)
        check(struct)
        return struct

    return checked


def _words(error: Exception) -> str:
    # A KeyError's text is nothing but the key.
    return f"found {error}, which is not known" if isinstance(error, KeyError) else str(error)


def _plan_fields(kind: type[msgspec.Struct], descriptor: Any) -> tuple[FieldPlan, ...]:
    infos = msgspec.structs.fields(kind)
    wire = descriptor.fields_by_name
    differing = {info.name for info in infos} ^ set(wire.keys())
    if differing:
        raise TypeError(
            f"{kind.__name__}: expected the same fields in the struct and in {descriptor.full_name}"
            f", found on one side only: {', '.join(sorted(differing))}"
        )
    return tuple(
        plan_field(
            info.name,
            info.type,
            ABSENT if info.default is msgspec.NODEFAULT else info.default,
            wire[info.name],
            _nested,
        )
        for info in infos
    )


def _nested(kind: type[msgspec.Struct], descriptor: Any) -> tuple[Any, Any]:
    """Writer and reader of a struct inside another, which say which of its fields is wrong."""
    plan = Plan(kind, descriptor, dict)

    def write(struct: Any) -> Any:
        try:
            return plan.write(struct)
        except REFUSALS as error:
            raise plan.write_refusal(struct, error) from error

    def read(message: Any) -> Any:
        try:
            return plan.read(message)
        except REFUSALS as error:
            raise plan.read_refusal(message, error) from error

    return write, read


def _compile_write(fields: Iterable[FieldPlan], target: Any) -> Callable[[Any], Any]:
    fields = tuple(fields)
    calls = [
        (f"{f.name}={f.write.format('e.' + f.name)}", f.unsaid and f.unsaid[0]) for f in fields
    ]
    return _evaluate(f"lambda e: {_call(calls)}", fields, target)


def _compile_read(fields: Iterable[FieldPlan], target: Any) -> Callable[[Any], Any]:
    fields = tuple(fields)
    calls = [(f"{f.name}={f.read.format('m.' + f.name)}", f.unsaid and f.unsaid[1]) for f in fields]
    return _evaluate(f"lambda m: {_call(calls)}", fields, target)


def _call(arguments: Sequence[tuple[str, str | None]]) -> str:
    """The expression of a call with (argument, whether it is not said at all) of each field.

    With many keywords CPython makes a dict for the call, which costs more than all else; so what is
    mostly not said is left out where none of it is.
    """
    whole = f"target({', '.join(argument for argument, _ in arguments)})"
    unsaid = [test for _, test in arguments if test]
    if len(arguments) <= _KEYWORDS or not unsaid:
        return whole
    lean = ", ".join(argument for argument, test in arguments if not test)
    return f"target({lean}) if {' and '.join(unsaid)} else {whole}"


def _evaluate(source: str, fields: Iterable[FieldPlan], target: Any) -> Callable[[Any], Any]:
    scope: dict[str, Any] = {"target": target}
    for field in fields:
        scope.update(field.scope)
    compiled: Callable[[Any], Any] = eval(source, scope)  # noqa: S307 - see the module's text
    return compiled
