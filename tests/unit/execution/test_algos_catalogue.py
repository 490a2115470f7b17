"""The table of algos: names, typed parameters, and words for what is wrong with them."""

from typing import Any

import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.algos.catalogue import ALGOS, build_algo
from goalkick.execution.algos.model import child_order_id
from tests.unit.execution.algo_market import START, D, parent


def test_has_every_algo_by_its_own_name() -> None:
    assert list(ALGOS) == ["twap", "vwap", "pov", "iceberg", "post_only", "oco", "bracket"]
    assert all(name == entry.algo.name for name, entry in ALGOS.items())


def test_every_parameter_says_what_it_is() -> None:
    fields = [field for entry in ALGOS.values() for field in entry.params.model_fields.values()]
    assert all(field.description for field in fields)


def test_reads_parameters_as_they_stand_in_a_configuration() -> None:
    algo: Any = build_algo("twap", parent(), {"jitter": 0.25, "retry_delay": "5s"})
    assert algo.params.jitter == D("0.25")
    assert algo.params.retry_delay == 5 * NS_PER_SECOND


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("twop", {}, "expected an algo of twap, vwap"),
        ("twap", {"slices": 0}, "slices: Input should be greater"),
        ("twap", {"slcies": 3}, "slcies: Extra inputs"),
        ("pov", {"rate": 2}, "rate: Input should be less"),
        ("iceberg", {}, "visible: Field required"),
        ("bracket", {"stop_price": 1}, "take_profit: Field required"),
    ],
)
def test_says_what_is_wrong(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDataError, match=words):
        build_algo(name, parent(), params)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": D(0)}, "positive quantity"),
        ({"arrival_price": D(0)}, "arrival price"),
        ({"end_ns": START}, "after its start"),
        ({"limit_price": D("1.05")}, "multiple of the tick"),
        ({"limit_price": D(-1)}, "positive multiple"),
    ],
)
def test_a_parent_that_cannot_be_worked_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDataError, match=words):
        build_algo("twap", parent(**changes), {})


def test_childrens_ids_are_the_parents_own_and_never_change() -> None:
    ids = [child_order_id(parent().order, number) for number in range(3)]
    assert len(set(ids)) == 3
    assert ids[1] == child_order_id(parent().order, 1)
    assert ids[1] != child_order_id(child_order_id(parent().order, 0), 1)
