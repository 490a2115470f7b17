"""A configuration file with everything in it: each key, what it means, its default."""

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from goalkick.embedded.catalogue import default_of, parameter, section_of, spelled

_WIDTH = 96
_HEAD = """\
Goalkick's settings: every key, what it means, and its default. Delete what you do not change.
A variable overrides a key: GOALKICK__RISK__MAX_POSITIONS=3 stands for risk.max_positions.
Durations are written 60s, 5m, 1h, 1d. null means: not set."""


def example(model: type[BaseModel]) -> str:
    """The text of a YAML file that says what the defaults say, with comments.

    Args:
        model: its fields are sections or keys.
    """
    return "\n".join([*_comment(_HEAD, ""), *_fields(model, model(), "")])


def _fields(model: type[BaseModel], values: BaseModel | None, indent: str) -> Iterator[str]:
    """The lines of a section.

    Args:
        model: of the section.
        values: what to write; None: the defaults of the fields.
        indent: before each line.
    """
    for name, field in model.model_fields.items():
        section = section_of(field)
        value = None if values is None else getattr(values, name)
        if section is not None:
            yield ""
            yield from _comment(inspect.getdoc(section) or "", indent)
            yield f"{indent}{name}:"
            yield from _fields(section, value, indent + "  ")
        else:
            yield from _field(name, field, values, indent)


def _field(name: str, field: FieldInfo, values: BaseModel | None, indent: str) -> Iterator[str]:
    entry = parameter(name, field)
    allowed = " ".join(part for part in (entry.kind, entry.range) if part)
    yield from _comment(f"{entry.about} ({allowed})" if entry.about else allowed, indent)
    element = _element(field.annotation)
    value = default_of(field) if values is None else getattr(values, name)
    if values is None and field.is_required():
        yield f"{indent}{name}:  # required"
    elif element is not None and value:
        yield f"{indent}{name}:"
        for key, inner in value.items():
            yield f"{indent}  {key}:"
            yield from _fields(element, inner, indent + "    ")
    else:
        yield f"{indent}{name}: {_yaml(entry.kind, spelled(field, value), value)}"
    if element is not None and not value:
        yield f"{indent}#   a-name:"
        for line in _fields(element, None, "    "):
            yield f"{indent}# {line}".rstrip()


def _element(annotation: Any) -> type[BaseModel] | None:
    """The model of a map's values, if they have one."""
    if get_origin(annotation) is dict:
        value = get_args(annotation)[1]
        if isinstance(value, type) and issubclass(value, BaseModel):
            return value
    return None


def _yaml(kind: str, text: str, value: object) -> str:
    """A value, quoted where YAML would read something else."""
    if isinstance(value, tuple) and "" in value:
        return yaml.safe_dump([*value], default_flow_style=True).strip()
    if kind == "text" and text != "null":
        return yaml.safe_dump(text, default_flow_style=True).removesuffix("...\n").strip()
    return text


def _comment(text: str, indent: str) -> list[str]:
    paragraphs = (" ".join(p.split()) for p in text.split("\n\n"))
    return [
        f"{indent}# {line}"
        for paragraph in paragraphs
        for line in textwrap.wrap(paragraph, _WIDTH - len(indent))
    ]
