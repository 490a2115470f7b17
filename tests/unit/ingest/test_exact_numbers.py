"""Numbers from files: exact, whatever they are written as."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goalkick.ingest.exact import DecimalColumn, join_numbers, read_numbers

D = Decimal

decimals = st.builds(
    lambda mantissa, places: D(mantissa).scaleb(-places),
    st.integers(-(10**18) + 1, 10**18 - 1),
    st.integers(0, 20),
)
texts = decimals.flatmap(lambda value: st.sampled_from([str(value), format(value, "f")]))
floats = st.floats(-1e17, 1e17, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-15)


@given(st.lists(texts, min_size=1))
def test_a_text_is_the_digits_that_stand_there(cells: list[str]) -> None:
    numbers = read_numbers(pa.array(cells))
    assert numbers.column.decimals() == [D(cell) for cell in cells]
    assert not numbers.no_number.any()
    assert not numbers.too_long.any()


@given(st.lists(floats, min_size=1))
def test_a_float_is_its_shortest_text(values: list[float]) -> None:
    numbers = read_numbers(pa.array(values))
    assert numbers.column.decimals() == [D(repr(value)) for value in values]
    assert numbers.column.floats().tolist() == values


@given(st.lists(texts, min_size=1))
@example(["44667375401.9253275"])
@example(["44667375401.9253275", "123456789012345.5", "0.123456789012345678"])
def test_floats_are_what_float_makes_of_the_decimals(cells: list[str]) -> None:
    column = read_numbers(pa.array(cells)).column
    assert column.floats().tolist() == [float(value) for value in column.decimals()]


@given(st.lists(st.lists(texts, min_size=1), min_size=1))
def test_pieces_join_to_what_they_were(pieces: list[list[str]]) -> None:
    joined = join_numbers([read_numbers(pa.array(piece)) for piece in pieces])
    assert joined.column.decimals() == [D(cell) for piece in pieces for cell in piece]


@pytest.mark.parametrize(
    "cell", ["nan", "inf", "-inf", "", " ", "x", "1e999", "0x10", "1_000", "1,5", "--1", "."]
)
def test_what_is_no_number_is_marked(cell: str) -> None:
    numbers = read_numbers(pa.array(["1.5", cell]))
    assert numbers.no_number.tolist() == [False, True]


@pytest.mark.parametrize(
    ("cell", "fits"),
    [
        ("123456789012345678", True),
        ("1234567890123456789", False),
        ("0.1000000000000000055", False),
        ("123.45000000000000000000", True),
        ("0" * 30 + "1", True),
        ("1e-36", True),
        ("1e-37", False),
        ("1e17", True),
        ("1e18", False),
    ],
)
def test_eighteen_digits_are_the_limit(cell: str, fits: bool) -> None:
    numbers = read_numbers(pa.array([cell, "1"]))
    assert numbers.too_long.tolist() == [not fits, False]
    if fits:
        assert numbers.column.decimals() == [D(cell), 1]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 3]),
        pa.array([1.0, None, 3.0]),
        pa.array(["1", None, "3"]),
        pa.array([D("1.00"), None, D("3.00")]),
        pa.array([1.0, None, 3.0], type=pa.float32()),
    ],
)
def test_reads_every_type_and_marks_what_is_absent(column: pa.Array) -> None:
    numbers = read_numbers(column)
    assert numbers.no_number.tolist() == [False, True, False]
    assert numbers.column.decimals() == [1, 0, 3]


def test_decimals_have_the_places_of_their_column() -> None:
    column = read_numbers(pa.array(["1.50", "2", "0.25"])).column
    assert [str(value) for value in column.decimals()] == ["1.50", "2.00", "0.25"]
    assert [str(value) for value in column[slice(0, 2)].fewest_places().decimals()] == [
        "1.5",
        "2.0",
    ]


def test_values_that_fit_no_common_places_keep_their_own() -> None:
    column = read_numbers(pa.array(["123456789012345.5", "0.123456789012345678"])).column
    assert column.each is not None
    assert [str(value) for value in column.decimals()] == [
        "123456789012345.5",
        "0.123456789012345678",
    ]
    assert column.at_places(18) is None


def test_more_places_are_given_only_where_they_fit() -> None:
    column = DecimalColumn(np.array([10**15]), 2)
    widened = column.at_places(4)
    assert widened is not None
    assert widened.decimals() == column.decimals()
    assert column.at_places(5) is None
