"""Reads YAML strictly: each key once, numbers as they are written, nothing guessed.

Scalars follow YAML 1.2: `010` is ten, not eight; `yes`, `12:30` and `2023-01-01` are text. Every
key is text. It never quotes the file in an error, because a line may hold a secret.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from goalkick.common.config.types import KeyPath
from goalkick.common.core.errors import SettingsError

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2's core schema, and no others."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+(?:_[0-9]+)*", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), list(_first))


def _integer(_: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_Loader.add_constructor(_TAG + "int", _integer)


@dataclass(frozen=True)
class Document:
    """What a file says.

    Attributes:
        tree: nested dicts with text keys, lists, and scalars.
        lines: the line, counted from 1, on which each key stands.
    """

    tree: dict[str, Any]
    lines: Mapping[KeyPath, int]


def read_document(file: Path) -> Document:
    """Reads a configuration file; an empty one says nothing.

    Raises:
        SettingsError: it cannot be read, is not YAML, or does not map keys to values.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{file}: expected a readable file, found: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{file}: expected UTF-8 text, found another byte at offset {error.start}"
        ) from None
    reader = _Reader(str(file))
    tree = reader.read(text)
    if tree is None:
        return Document({}, {})
    if not isinstance(tree, dict):
        raise SettingsError(f"{file}: expected sections with keys, found {type(tree).__name__}")
    return Document(tree, reader.lines)


def read_value(text: str, where: str) -> Any:
    """Reads one value as it would stand in the file: `10`, `0.5`, `[a, b]`, `{fast: 10}`.

    Args:
        text: YAML.
        where: what an error names as the place, for example an option or a variable.

    Raises:
        SettingsError: it is not YAML.
    """
    return _Reader(where).read(text)


class _Reader:
    """Turns one text into values and remembers where the keys stood."""

    def __init__(self, place: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._place = place
        self._open: set[int] = set()

    def read(self, text: str) -> Any:
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            return None if node is None else self._value(loader, node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise SettingsError(
                f"{self._place}{line}: expected YAML, found: {error.problem or error.context}"
            ) from None
        except yaml.reader.ReaderError as error:
            raise SettingsError(
                f"{self._place}: expected YAML, found a character that it does not allow "
                f"at offset {error.position}"
            ) from None
        except RecursionError:
            raise SettingsError(f"{self._place}: expected fewer levels of nesting") from None

    def _value(self, loader: _Loader, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(loader, node, path)
        if id(node) in self._open:
            raise self._wrong(node, path, "expected a value", "one that contains itself")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(loader, node, path)
        else:
            value = [
                self._value(loader, item, (*path, str(index)))
                for index, item in enumerate(node.value)
            ]
        self._open.discard(id(node))
        return value

    def _mapping(self, loader: _Loader, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._wrong(key_node, path, "expected a key", "a list or a mapping")
            key = key_node.value
            here = (*path, key)
            if key in tree:
                first = self.lines[here]
                raise self._wrong(key_node, here, "expected it once", f"it on line {first} already")
            self.lines[here] = key_node.start_mark.line + 1
            tree[key] = self._value(loader, value_node, here)
        return tree

    def _scalar(self, loader: _Loader, node: yaml.ScalarNode, path: KeyPath) -> Any:
        try:
            value = loader.construct_object(node)
        except ValueError:
            raise self._wrong(
                node, path, f"expected a {node.tag.removeprefix(_TAG)}", "another value"
            ) from None
        # A float that cannot hold all written digits would make an exact setting inexact.
        if node.tag == _TAG + "float" and "n" not in node.value.lower():
            text = node.value.replace("_", "")
            if Decimal(text) != Decimal(repr(value)):
                raise self._wrong(
                    node, path, "expected a number of at most 17 digits, or one in quotes", text
                )
        return value

    def _wrong(self, node: yaml.Node, path: KeyPath, expected: str, found: str) -> SettingsError:
        key = f" {'.'.join(path)}:" if path else ""
        return SettingsError(
            f"{self._place}:{node.start_mark.line + 1}:{key} {expected}, found {found}"
        )
