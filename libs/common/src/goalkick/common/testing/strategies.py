"""Hypothesis strategies that build every event type, with any value that its fields may have.

Made from the types of the fields: an event or a field that is added later needs nothing here unless
its type is new.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from hypothesis import strategies as st

from goalkick.common.codec.decimals import MAX_SCALE
from goalkick.common.codec.protobuf import KINDS
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.order import AlgoOrder
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    ModelId,
    StrategyId,
)
from goalkick.common.values.instruments import Instrument

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = INT64
"""UTC ns: anything that an int64 can say."""
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text but lone surrogates, which are no text in UTF-8."""
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def decimals(max_digits: int = 60, max_scale: int = 80) -> st.SearchStrategy[Decimal]:
    """Finite decimals of every scale: 12.50, 1E+3, 0.00, -0, up to `max_digits` digits.

    Args:
        max_digits: at most so many digits in the mantissa; 60 is what exact sums have at most.
        max_scale: scales reach from minus to plus this; at most what the wire takes.
    """
    bound = min(max_scale, MAX_SCALE)
    mantissas = st.one_of(
        st.integers(-(10**9), 10**9),
        st.integers(-(10**max_digits) + 1, 10**max_digits - 1),
        st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1]),
    )
    made = st.builds(
        lambda mantissa, scale: Decimal(f"{mantissa}E{-scale}"),
        mantissas,
        st.integers(0, 10) | st.integers(-bound, bound),
    )
    return made | st.just(Decimal("-0.00"))


def instruments() -> st.SearchStrategy[Instrument]:
    """Instruments with any rules that an instrument may have."""
    positive = decimals().map(abs).filter(lambda value: value > 0)
    return _built(Instrument, tick_size=positive, lot_size=positive)


def events_of(kind: type[Event]) -> st.SearchStrategy[Any]:
    """Events of one type."""
    if kind is FeatureVector:
        return st.dictionaries(TEXTS, FINITE, max_size=8).flatmap(
            lambda features: _built(
                kind, names=st.just((*features,)), values=st.just((*features.values(),))
            )
        )
    return _built(kind)


def events() -> st.SearchStrategy[Event]:
    """Events of every type that travels."""
    return st.one_of([events_of(kind) for kind in KINDS.values()])


def _built(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **{name: _values(hint) for name, hint in fields.items()} | given)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return _VALUES[hint]


def _ids(kind: Any) -> st.SearchStrategy[Any]:
    """Ids as they look like: hexadecimal digits, or a name."""
    return st.binary(min_size=16, max_size=16).map(lambda raw: kind(raw.hex()))


def _names(kind: Any) -> st.SearchStrategy[Any]:
    return TEXTS.filter(bool).map(kind)


_LEVELS = st.lists(st.tuples(decimals(), decimals()), max_size=4).map(tuple)
_VALUES: Mapping[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: INT64,
    int | None: st.none() | INT64,
    float: FINITE,
    str: TEXTS,
    Decimal: decimals(),
    Decimal | None: st.none() | decimals(),
    EventId: _ids(EventId),
    EventId | None: st.none() | _ids(EventId),
    ClientOrderId: _ids(lambda order: ClientOrderId(f"gk-{order}")),
    InstrumentId: st.builds(lambda name: InstrumentId(f"test:{name}"), TEXTS),
    AccountId: _names(AccountId),
    StrategyId: _names(StrategyId),
    ModelId: _names(ModelId),
    Instrument: st.deferred(instruments),
    AlgoOrder | None: st.none() | st.deferred(lambda: _built(AlgoOrder)),
    tuple[str, ...]: st.lists(TEXTS, max_size=4).map(tuple),
    tuple[float, ...]: st.lists(FINITE, max_size=4).map(tuple),
    tuple[tuple[Decimal, Decimal], ...]: _LEVELS,
    dict[str, Decimal]: st.dictionaries(TEXTS, decimals(), max_size=4),
}
"""Type of a field -> values that it may have."""
