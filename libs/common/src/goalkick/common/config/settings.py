"""Loads settings from a file, variables and options, and says where each value came from.

An option wins over a variable, a variable over the file, the file over the default. What is not
known is refused: a misspelt limit must never be a limit that does not hold.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from goalkick.common.config.document import read_document
from goalkick.common.config.encrypted import Decrypt, decrypted
from goalkick.common.config.environment import fold, read_environment
from goalkick.common.config.problems import settings_error
from goalkick.common.config.secret import MASK
from goalkick.common.config.types import KeyPath, Settings

Model = TypeVar("Model", bound=Settings)

DEFAULT, OPTION, ENV = "default", "option", "env"
"""Kinds of sources; a file's label carries its path."""


@dataclass(frozen=True)
class Loaded(Generic[Model]):
    """Settings, and where they came from.

    Attributes:
        value: the settings; secrets in it are references until `resolve_secrets`.
        sources: dotted key of each single value -> `default`, `file <path>`, `env <variable>`
            or `option`.
        encrypted: dotted keys whose values were encrypted, and are masked when they are shown.
    """

    value: Model
    sources: Mapping[str, str]
    encrypted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Layer:
    """What one source says.

    Attributes:
        label: `option`, `env`, or `file <path>`.
        tree: nested keys and values.
        places: key -> the exact place where it is set.
    """

    label: str
    tree: Mapping[str, Any]
    places: Mapping[KeyPath, str]

    def sets(self, path: KeyPath) -> bool:
        """Whether it sets the key, or something that the key is part of."""
        tree: Any = self.tree
        for part in path:
            if not isinstance(tree, Mapping):
                return True
            if part not in tree:
                return False
            tree = tree[part]
        return bool(path)

    def place(self, path: KeyPath) -> str:
        """Where a key is set, as exactly as is known."""
        if self.label == ENV:
            path = fold(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        below = [place for key, place in self.places.items() if key[: len(path)] == path]
        return ", ".join(below) if self.label == ENV else self.label

    def source(self, path: KeyPath) -> str:
        """Where a key is set, as `Loaded.sources` says it."""
        return f"{ENV} {self.place(path)}" if self.label == ENV else self.label


_NOBODY = _Layer(DEFAULT, {}, {})


def load(
    model: type[Model],
    *,
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = MappingProxyType({}),
    other_sections: Collection[str] = (),
    decrypt: Decrypt | None = None,
) -> Loaded[Model]:
    """Reads, merges and checks the settings of a process.

    Args:
        model: its fields are the sections that this process knows.
        file: a YAML file with one section a service, or None.
        environ: variables; those that begin with `GOALKICK__` are settings.
        overrides: dotted key -> value, from the command line; a value may be a mapping.
        other_sections: sections that may be there for other processes; they are ignored.
        decrypt: decrypts values `vault:v1:...`; None: such values are refused.

    Raises:
        SettingsError: a source cannot be read, a key is not known, or a value is wrong; one line
            with the key, what was expected, what was found, and where.
        TransientError: there are encrypted values, and Vault cannot be asked now.
    """
    option = _option_layer(overrides)
    from_file = _file_layer(model, file, other_sections)
    below = _merged(from_file.tree, option.tree)
    env = _Layer(ENV, *read_environment(model, environ, other_sections, below))
    layers = (option, env, from_file)
    tree = _defaults(model)
    for layer in reversed(layers):
        tree = _merged(tree, layer.tree)
    tree, encrypted = decrypted(tree, decrypt)
    try:
        value = model.model_validate(tree)
    except ValidationError as error:
        raise settings_error(
            model, error, tree, lambda path: _speaking(layers, path).place(path), encrypted
        ) from None
    sources = {
        ".".join(path): _speaking(layers, path).source(path)
        for path, _ in _leaves(value.model_dump(mode="json"))
    }
    hidden = frozenset(".".join(path) for path in encrypted)
    return Loaded(value, MappingProxyType(sources), hidden)


def describe(loaded: Loaded[Any]) -> list[tuple[str, str, str]]:
    """(key, value, source) of each single setting, in the order of the models; secrets masked."""
    return [
        (key, MASK if _is_hidden(key, loaded.encrypted) else _text(value), loaded.sources[key])
        for path, value in _leaves(loaded.value.model_dump(mode="json"))
        for key in (".".join(path),)
    ]


def _is_hidden(key: str, encrypted: Collection[str]) -> bool:
    """Whether the value of a key, or a part of it, was encrypted."""
    return any(f"{one}.".startswith(f"{key}.") for one in encrypted)


def _option_layer(overrides: Mapping[str, Any]) -> _Layer:
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        tree = _merged(tree, nested)
    return _Layer(OPTION, tree, {})


def _file_layer(model: type[Settings], file: Path | None, others: Collection[str]) -> _Layer:
    if file is None:
        return _Layer("file", {}, {})
    document = read_document(file)
    tree = {
        name: {} if section is None and not _is_value(model, name) else section
        for name, section in document.tree.items()
        if name in model.model_fields or name not in others
    }
    places = {path: f"{file}:{line}" for path, line in document.lines.items()}
    return _Layer(f"file {file}", tree, places)


def _is_value(model: type[BaseModel], name: str) -> bool:
    """Whether null means something there: in a section (all its keys commented out) it does not."""
    field = model.model_fields.get(name)
    kind = field.annotation if field else BaseModel
    return not (isinstance(kind, type) and issubclass(kind, BaseModel))


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """What default sections differ in from their class: setting one key must keep the others."""
    tree: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=False)
        if isinstance(default, BaseModel) and default.model_fields_set:
            tree[name] = _set_in(default)
    return tree


def _set_in(section: BaseModel) -> dict[str, Any]:
    values = ((key, getattr(section, key)) for key in sorted(section.model_fields_set))
    return {key: _set_in(one) if isinstance(one, BaseModel) else one for key, one in values}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def _leaves(tree: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _speaking(layers: tuple[_Layer, ...], path: KeyPath) -> _Layer:
    """The highest layer that sets `path`, or something that it is part of."""
    return next((layer for layer in layers if layer.sets(path)), _NOBODY)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
