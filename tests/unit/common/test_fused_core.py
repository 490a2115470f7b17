"""Several cores as one: each for itself, and what stays inside goes on in the order of topics."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.core.fused import FusedCore, hearers_of
from goalkick.common.core.machine import Handler
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.runtime.inside import Inside
from goalkick.common.topics import PARTS, TOPICS, inner_of, inputs_of, outputs_of
from goalkick.common.values.ids import InstrumentId, ModelId
from tests.unit.common.runtime_parts import said


class Counting:
    """Counts what it hears; answers with the event itself, or refuses it."""

    def __init__(self, *kinds: type[Event], refuses: bool = False) -> None:
        self.heard = 0
        self.refuses = refuses
        self.handlers: Mapping[type[Event], Handler] = dict.fromkeys(kinds, self._on)

    def snapshot(self) -> bytes:
        return str(self.heard).encode()

    def restore(self, data: bytes) -> None:
        self.heard = int(data)

    def _on(self, event: Event) -> Sequence[Event]:
        self.heard += 1
        if self.refuses:
            raise InvalidDataError("no use")
        return (event,)


def features(key: str, nth: int) -> FeatureVector:
    return FeatureVector(
        time_ns=1,
        instrument=InstrumentId(key),
        interval_ns=nth,
        available_at_ns=1,
        definition_hash="",
        names=(),
        values=(),
        close=Decimal(1),
    )


def forecast(key: str) -> ForecastMade:
    return ForecastMade(
        time_ns=1,
        instrument=InstrumentId(key),
        interval_ns=1,
        model=ModelId("m"),
        horizon_ns=1,
        probability_up=0.5,
        expected_return=0,
        confidence=0,
        expires_at_ns=2,
        definition_hash="",
    )


def test_each_part_answers_or_refuses_for_itself_in_the_order_of_the_flow() -> None:
    first, second = Counting(FeatureVector, refuses=True), Counting(FeatureVector, ForecastMade)
    hearers = hearers_of(FusedCore({"prediction": first, "strategy": second}))
    assert hearers[FeatureVector] == (first._on, second._on)
    assert hearers[ForecastMade] == (second._on,)


def test_a_core_that_is_one_hears_for_itself() -> None:
    core = Counting(FeatureVector)
    assert hearers_of(core) == {FeatureVector: (core._on,)}


def test_called_as_one_it_answers_with_all_answers() -> None:
    core = FusedCore({"a": Counting(FeatureVector), "b": Counting(FeatureVector)})
    event = features("k", 1)
    assert core.handlers[FeatureVector](event) == [event, event]


def test_a_snapshot_holds_every_part() -> None:
    first, second = Counting(FeatureVector), Counting(FeatureVector, ForecastMade)
    core = FusedCore({"a": first, "b": second})
    core.handlers[FeatureVector](features("k", 1))
    core.handlers[ForecastMade](forecast("k"))
    kept = {"a": Counting(FeatureVector), "b": Counting(FeatureVector)}
    again = FusedCore(kept)
    again.restore(core.snapshot())
    assert (kept["a"].heard, kept["b"].heard) == (1, 2)
    assert again.snapshot() == core.snapshot()


@pytest.mark.parametrize("names", [("a",), ("b", "a"), ("a", "b", "c")])
def test_a_snapshot_of_other_parts_is_refused(names: tuple[str, ...]) -> None:
    snapshot = FusedCore({"a": Counting(), "b": Counting()}).snapshot()
    with pytest.raises(InvalidDataError, match="expected fused/1"):
        FusedCore({name: Counting() for name in names}).restore(snapshot)


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=4))
def test_what_stays_inside_comes_rank_by_rank_by_key_and_in_turn(
    vectors: list[str], forecasts: list[str]
) -> None:
    inside = Inside(inner_of("fused"))
    for key in forecasts:
        assert inside.keep(forecast(key), b"")
    kept = [features(key, nth) for nth, key in enumerate(vectors)]
    assert all(inside.keep(event, b"") for event in kept)
    events = [event for event, _ in inside.take()]
    by_key = sorted(kept, key=lambda event: event.key)
    assert events == [*by_key, *map(forecast, sorted(forecasts))]
    assert list(inside.take()) == []


def test_what_is_caused_meanwhile_at_a_later_rank_comes_in_the_same_go() -> None:
    inside = Inside(inner_of("fused"))
    for key in "ba":
        inside.keep(features(key, 1), key.encode())
    order = []
    for event, trace in inside.take():
        order.append((type(event).__name__, event.key, trace))
        if isinstance(event, FeatureVector):
            inside.keep(forecast(event.key), trace)
    assert [(kind, key) for kind, key, _ in order] == [
        ("FeatureVector", "a"),
        ("FeatureVector", "b"),
        ("ForecastMade", "a"),
        ("ForecastMade", "b"),
    ]
    assert all(trace == key.encode() for _, key, trace in order)


def test_what_nobody_hears_inside_does_not_stay() -> None:
    assert not Inside(inner_of("fused")).keep(said("", 1), b"")


def test_the_fused_form_reads_what_comes_in_and_keeps_to_itself_what_its_parts_say() -> None:
    assert [t.name for t in inputs_of("fused")] == [
        "goalkick.control.command.v1",
        "goalkick.market.bar.v1",
    ]
    assert [t.name for t in inner_of("fused")] == [
        "goalkick.feature.vector.v1",
        "goalkick.prediction.forecast.v1",
    ]
    own = [t.name for t in TOPICS if t.producer in PARTS["fused"]]
    assert [t.name for t in outputs_of("fused")] == own
    assert inner_of("risk") == ()
