"""What there is: strategies, indicators, services, topics, read off the code that defines them."""

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from goalkick.common.config.types import Duration
from goalkick.common.topics import SERVICES, TOPICS, Topic, inputs_of, outputs_of
from goalkick.common.values.money import plain
from goalkick.common.values.time import format_duration
from goalkick.embedded.configuration import PlatformSettings
from goalkick.feature.definitions import FAMILIES, template
from goalkick.strategy.discovery import discover


class ParameterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be set.

    Attributes:
        name: as it is written in a configuration.
        kind: what a value looks like: `int`, `decimal`, `duration`, `true|false`, ...
        default: as text; None where a value must be given.
        low, high: bounds; None for none.
        low_inclusive, high_inclusive: whether the bound itself is allowed.
        unit: of the value; "" where it has none, or the description says it.
        about: one line.
    """

    name: str
    kind: str
    default: str | None = None
    low: float | None = None
    high: float | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True
    unit: str = ""
    about: str = ""

    @property
    def range(self) -> str:
        """The bounds as people read them: `1 to 100`, `> 0`, `> 0, <= 1`, or ""."""
        low, high = self.low, self.high
        if low is not None and high is not None and self.low_inclusive and self.high_inclusive:
            return f"{low:g} to {high:g}"
        above = "" if low is None else f"{'>=' if self.low_inclusive else '>'} {low:g}"
        below = "" if high is None else f"{'<=' if self.high_inclusive else '<'} {high:g}"
        return ", ".join(bound for bound in (above, below) if bound)


class StrategyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy: name, where it comes from, parameters, one line."""

    name: str
    about: str
    module: str
    parameters: tuple[ParameterEntry, ...]


class IndicatorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator: how its features are called, what it takes, what its values are in."""

    name: str
    features: tuple[str, ...]
    unit: str
    about: str
    parameters: tuple[ParameterEntry, ...]


class TopicEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A topic, as the table has it; `retention` is `forever` or a duration."""

    name: str
    events: tuple[str, ...]
    key: str
    partitions: int
    retention: str
    producer: str
    consumers: dict[str, str]
    rank: int
    feedback: bool
    about: str


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A service: what it hears, what it says, what can be set."""

    name: str
    about: str
    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    parameters: tuple[ParameterEntry, ...]


def strategies(folder: Path | None = None) -> list[StrategyEntry]:
    """Every strategy that can be configured.

    Args:
        folder: with strategies of the user's own.

    Raises:
        SettingsError: the folder, or a file in it, cannot be used.
    """
    return [
        StrategyEntry(
            name=name,
            about=_first_line(kind),
            module=kind.__module__,
            parameters=tuple(
                parameter(field, about) for field, about in kind.params_type.model_fields.items()
            ),
        )
        for name, kind in discover(folder).items()
    ]


def indicators() -> list[IndicatorEntry]:
    """Every family of features."""
    return [
        IndicatorEntry(
            name=family.name,
            features=tuple(template(family, output) for output in family.outputs),
            unit=family.unit,
            about=family.about,
            parameters=tuple(
                ParameterEntry(name=p.name, kind="int", low=p.low, high=p.high, unit=p.unit)
                for p in family.parameters
            ),
        )
        for family in FAMILIES
    ]


def topics() -> list[TopicEntry]:
    """The table of topics."""
    return [_topic(topic) for topic in TOPICS]


def services() -> list[ServiceEntry]:
    """Every service, in the order of the flow."""
    sections = PlatformSettings.model_fields
    return [
        ServiceEntry(
            name=name,
            about=_first_line(importlib.import_module(f"goalkick.{name}")),
            consumes=tuple(topic.name for topic in inputs_of(name)),
            produces=tuple(topic.name for topic in outputs_of(name)),
            parameters=tuple(_section(inner))
            if name in sections and (inner := section_of(sections[name]))
            else (),
        )
        for name in SERVICES
    ]


def parameter(name: str, field: FieldInfo) -> ParameterEntry:
    """What a settings or parameter field allows."""
    bounds: dict[str, Any] = {}
    for bound in field.metadata:
        for attribute, (side, inclusive) in _BOUNDS.items():
            value = getattr(bound, attribute, None)
            if value is not None:
                bounds |= {side: float(value), f"{side}_inclusive": inclusive}
    required = field.is_required()
    return ParameterEntry(
        name=name,
        kind=_kind(field.annotation, field.metadata),
        default=None if required else spelled(field, default_of(field)),
        about=field.description or "",
        **bounds,
    )


_BOUNDS = {
    "ge": ("low", True),
    "gt": ("low", False),
    "le": ("high", True),
    "lt": ("high", False),
}


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section of its own; None for a single value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _section(model: type[BaseModel], prefix: str = "") -> Iterator[ParameterEntry]:
    for name, field in model.model_fields.items():
        inner = section_of(field)
        if inner is None:
            yield parameter(prefix + name, field)
        else:
            yield from _section(inner, f"{prefix}{name}.")


def default_of(field: FieldInfo) -> Any:
    """The default value of a field that has one."""
    return field.get_default(call_default_factory=True, validated_data={})


def spelled(field: FieldInfo, value: object) -> str:
    """A field's value as it is written in a configuration file; of a map of sections, the keys."""
    if _is_duration(field.metadata) and isinstance(value, int) and value:
        return format_duration(value)
    return _spelled(value)


def _spelled(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, Mapping):
        sections = any(isinstance(inner, BaseModel) for inner in value.values())
        entries = value if sections else (f"{k}: {_spelled(v)}" for k, v in value.items())
        return f"{{{', '.join(map(str, entries))}}}"
    return str(value)


def _kind(annotation: object, metadata: Sequence[object] = ()) -> str:
    """What a value looks like, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if _is_duration(metadata):
        words = "duration"
    elif isinstance(annotation, NewType):
        words = _kind(annotation.__supertype__)
    elif origin is Annotated:
        words = _kind(arguments[0], arguments[1:])
    elif origin is Literal:
        words = "|".join(map(str, arguments))
    elif origin in (Union, UnionType):
        words = " or ".join(_kind(a) for a in arguments if a is not NoneType)
    elif origin in (tuple, list):
        words = f"list of {_kind(arguments[0])}"
    elif isinstance(annotation, type) and origin is None:
        words = _WORDS.get(annotation, annotation.__name__.lower())
    else:
        words = "map"
    return words


_WORDS: Mapping[type, str] = {str: "text", bool: "true|false", Decimal: "decimal"}


def _is_duration(metadata: Sequence[object]) -> bool:
    return get_args(Duration)[1] in metadata


def _topic(topic: Topic) -> TopicEntry:
    return TopicEntry(
        name=topic.name,
        events=tuple(event.__name__ for event in topic.events),
        key=topic.key,
        partitions=topic.partitions,
        retention=format_duration(topic.retention_ns) if topic.retention_ns else "forever",
        producer=topic.producer,
        consumers=dict(topic.consumers),
        rank=topic.rank,
        feedback=topic.feedback,
        about=topic.about,
    )


def _first_line(thing: object) -> str:
    text = inspect.getdoc(thing) or ""
    return text.strip().partition("\n")[0]
