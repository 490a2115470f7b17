"""Which keys a settings model knows, and the nearest one to a key that it does not know."""

import difflib
from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from goalkick.common.config.types import KeyPath

ALIKE = 0.6
"""How alike two names must be to be offered as a correction: difflib's own default."""


def suggestion(model: type[BaseModel], path: KeyPath) -> str:
    """What to say about an unknown key: the nearest known one, or those that stand there."""
    near = nearest(model, path)
    if near:
        return f"did you mean {near}?"
    names = sorted(_names_at([model], path[:-1])) or sorted(model.model_fields)
    return f"known there: {', '.join(names)}"


def nearest(model: type[BaseModel], path: KeyPath) -> str | None:
    """The known dotted key that `path` was most likely meant to be, or None.

    A sibling with a similar name comes first, then the same name in another section, then (where
    the section itself is unknown) the most similar key of all.
    """
    siblings = sorted(_names_at([model], path[:-1]))
    close = difflib.get_close_matches(path[-1], siblings, n=1, cutoff=ALIKE)
    if close:
        return ".".join((*path[:-1], close[0]))
    known = sorted(known_keys(model))
    same = [key for key in known if key.rpartition(".")[2] == path[-1]]
    if same or siblings:
        return same[0] if same else None
    like = difflib.get_close_matches(".".join(path), known, n=1, cutoff=ALIKE)
    return like[0] if like else None


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted keys down to where names are free (below a dict), sections included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        models, _ = _inside(field.annotation)
        for inner in models:
            yield from known_keys(inner, f"{prefix}{name}.")


def _names_at(models: list[type[BaseModel]], path: KeyPath) -> set[str]:
    """The field names that may stand below `path`; none where names are free or it is a leaf."""
    if not path:
        return {name for model in models for name in model.model_fields}
    names: set[str] = set()
    for model in models:
        field = model.model_fields.get(path[0])
        if field is not None:
            names |= _names_below(field.annotation, path[1:])
    return names


def _names_below(annotation: Any, path: KeyPath) -> set[str]:
    models, elements = _inside(annotation)
    names = _names_at(models, path) if models else set()
    if path:
        for element in elements:
            names |= _names_below(element, path[1:])
    return names


def _inside(annotation: Any) -> tuple[list[type[BaseModel]], list[Any]]:
    """The models that a value may be itself, and the types of its elements if it holds any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation], []
    models: list[type[BaseModel]] = []
    elements: list[Any] = []
    origin = getattr(annotation, "__origin__", None)
    for part in get_args(annotation):
        if part in (NoneType, Ellipsis):
            continue
        if isinstance(origin, type) and issubclass(origin, dict | list | tuple | set | frozenset):
            elements.append(part)
        else:
            inner_models, inner_elements = _inside(part)
            models += inner_models
            elements += inner_elements
    return models, elements
