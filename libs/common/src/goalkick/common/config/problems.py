"""Turns what pydantic objects to into one line: the key, expected, found, and where it was set."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from goalkick.common.config.encrypted import Decrypted
from goalkick.common.config.keys import suggestion
from goalkick.common.config.secret import SECRET_ERROR
from goalkick.common.config.types import KeyPath
from goalkick.common.core.errors import SettingsError

LONGEST_FOUND = 60
"""Characters of a wrong value that a message shows."""

_OWN_WORDS = {"value_error", "assertion_error", SECRET_ERROR}
"""Errors whose message already says what was found, or must not."""


def settings_error(
    model: type[BaseModel],
    error: ValidationError,
    tree: Mapping[str, Any],
    where: Callable[[KeyPath], str],
    encrypted: Collection[KeyPath] = (),
) -> SettingsError:
    """The error that a person reads; unknown keys first, because they explain the others.

    Args:
        model: what was expected.
        error: what pydantic says.
        tree: what was validated.
        where: says where a key was set.
        encrypted: keys whose values must not be quoted.
    """
    details = sorted(error.errors(include_url=False), key=lambda one: one["type"] != _UNKNOWN)
    keys = [_path(detail["loc"], tree) for detail in details]
    text = _line(model, details[0], keys[0], where, encrypted)
    others = sorted({".".join(key) for key in keys[1:]} - {".".join(keys[0])})
    if others:
        text += f"; also wrong: {', '.join(others)}"
    return SettingsError(text)


_UNKNOWN = "extra_forbidden"


def _line(
    model: type[BaseModel],
    detail: ErrorDetails,
    path: KeyPath,
    where: Callable[[KeyPath], str],
    encrypted: Collection[KeyPath],
) -> str:
    key = ".".join(path) or "the configuration"
    if detail["type"] == _UNKNOWN:
        return f"{where(path)}: expected a known key, found {key}; {suggestion(model, path)}"
    if detail["type"] == "missing":
        return f"{key}: expected a value, found none ({where(path[:-1])})"
    message = " ".join(detail["msg"].split())
    hidden = sorted(".".join(one) for one in encrypted if one[: len(path)] == path)
    if hidden and detail["type"] != SECRET_ERROR:
        # A message of our own may quote what it found.
        return (
            f"{key}: expected another value, found one that is not shown because it is encrypted "
            f"({', '.join(hidden)}, {where(path)})"
        )
    if detail["type"] in _OWN_WORDS:
        message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{key}: {message} ({where(path)})"
    expected = message.removeprefix("Input should be ").partition(", unable to")[0]
    if expected.startswith(("greater", "less")):
        expected = f"a value {expected}"
    if detail["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        expected = "keys with values"
    return f"{key}: expected {expected}, found {_found(detail['input'])} ({where(path)})"


def _found(value: object) -> str:
    if isinstance(value, Decrypted):
        return "one that is encrypted"
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "keys with values"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_FOUND else f"{text[:LONGEST_FOUND]}…"


def _path(location: tuple[int | str, ...], tree: Any) -> KeyPath:
    """The dotted key of an error: pydantic's location without the names of union members."""
    path: list[str] = []
    for index, part in enumerate(location):
        if isinstance(tree, Mapping):
            if part in tree:
                tree = tree[part]
            elif index < len(location) - 1:
                continue
        elif isinstance(tree, list | tuple) and isinstance(part, int):
            tree = tree[part] if part < len(tree) else None
        else:
            continue
        path.append(str(part))
    return tuple(path)
