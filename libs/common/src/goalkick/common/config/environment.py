"""Reads settings from variables such as `GOALKICK__RISK__MAX_GROSS_EXPOSURE=2`.

A list is written `a,b` or `[a, b]`, a mapping `{fast: 10}`, nothing `null`. Names are compared
without regard to case; `-` in a key is `_` in a variable.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from goalkick.common.config.keys import suggestion
from goalkick.common.config.types import KeyPath
from goalkick.common.core.errors import SettingsError

PREFIX = "GOALKICK__"
SEPARATOR = "__"


def read_environment(
    model: type[BaseModel],
    environ: Mapping[str, str],
    other_sections: Collection[str],
    below: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """What the variables say.

    Args:
        model: whose fields are the sections.
        environ: all variables of the process; those without the prefix are ignored.
        other_sections: sections that are not ours to judge.
        below: what the file says: keys of the user's choice take its spelling.

    Returns:
        The tree, and the name of the variable of each (folded) key.

    Raises:
        SettingsError: a variable names no known key.
    """
    variables = _ours(model, environ, other_sections)
    if not variables:
        return {}, {}
    # pydantic-settings takes 0.1 s and 15 MB to load, and most commands meet no variable.
    from goalkick.common.config.nested import nested_values  # noqa: PLC0415

    tree = nested_values(
        model,
        PREFIX.lower(),
        SEPARATOR,
        {SEPARATOR.join(path): environ[name] for path, name in variables.items()},
    )
    for path in variables:
        if not _reaches(tree, path):
            raise _lost(model, path, variables)
        _nothing_for_null(tree, path)
    return _spelled_like(tree, below), {fold(path): name for path, name in variables.items()}


def fold(path: KeyPath) -> KeyPath:
    """A key as a variable spells it."""
    return tuple(part.lower().replace("-", "_") for part in path)


def _ours(
    model: type[BaseModel], environ: Mapping[str, str], other_sections: Collection[str]
) -> dict[KeyPath, str]:
    variables: dict[KeyPath, str] = {}
    others = {section for section in other_sections if section not in model.model_fields}
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX):
            continue
        path = tuple(name[len(PREFIX) :].lower().split(SEPARATOR))
        if not all(path):
            raise SettingsError(
                f"{name}: expected {PREFIX}<SECTION>{SEPARATOR}<KEY>, found an empty part"
            )
        if path[0] in others:
            continue
        if path in variables:
            raise SettingsError(f"{name}: expected each key once, found {variables[path]} too")
        variables[path] = name
    return variables


def _lost(model: type[BaseModel], path: KeyPath, variables: Mapping[KeyPath, str]) -> SettingsError:
    name = variables[path]
    for length in range(1, len(path)):
        whole = variables.get(path[:length])
        if whole:
            return SettingsError(f"{whole}: expected keys with values, because {name} sets one too")
    return SettingsError(
        f"{name}: expected a known key, found {'.'.join(path)}; {suggestion(model, path)}"
    )


def _reaches(tree: Any, path: KeyPath) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _nothing_for_null(tree: dict[str, Any], path: KeyPath) -> None:
    for part in path[:-1]:
        tree = tree[part]
    if tree[path[-1]] == "null":
        tree[path[-1]] = None


def _spelled_like(tree: dict[str, Any], below: Any) -> dict[str, Any]:
    spellings = {fold((key,))[0]: key for key in below} if isinstance(below, Mapping) else {}
    spelled: dict[str, Any] = {}
    for key, value in tree.items():
        name = key if not spellings or key in below else spellings.get(fold((key,))[0], key)
        inner = below.get(name) if isinstance(below, Mapping) else None
        spelled[name] = _spelled_like(value, inner) if isinstance(value, dict) else value
    return spelled
