"""The levels of a book: equal to what plain decimals make of the same rows, best ones in order."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.ingest.levels import WINDOW, Side, read_changes

D = Decimal
Rows = list[tuple[str, str]]


class PlainSide:
    """The obvious way to keep a side."""

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks
        self._levels: dict[Decimal, Decimal] = {}

    def apply(self, rows: Rows) -> None:
        for price, quantity in rows:
            if D(quantity):
                self._levels[D(price)] = D(quantity)
            else:
                self._levels.pop(D(price), None)

    def top(self, count: int) -> tuple[tuple[Decimal, Decimal], ...]:
        return tuple(sorted(self._levels.items(), reverse=not self._asks)[:count])


prices = st.builds(
    lambda ticks, places: f"{D(ticks) / 100:.{places}f}", st.integers(1, 60), st.integers(2, 8)
)
quantities = st.one_of(
    st.sampled_from(["0", "0.0", "0.00000000"]),
    st.builds(lambda units, places: f"{D(units) / 10:.{places}f}", st.integers(1, 99), st.just(3)),
)
batches = st.lists(st.lists(st.tuples(prices, quantities), max_size=12), max_size=12)


@given(batches, st.booleans())
def test_a_side_is_what_plain_decimals_make_of_the_rows(batches: list[Rows], asks: bool) -> None:
    side, plain = Side(asks=asks), PlainSide(asks=asks)
    for rows in batches:
        side.apply(read_changes(rows))
        plain.apply(rows)
        assert side.top(5) == plain.top(5)
        assert side.top(1000) == plain.top(1000)


deep = st.lists(
    st.tuples(st.integers(1, 5 * WINDOW).map(str), st.sampled_from(["0", "0", "1", "2"])),
    max_size=2 * WINDOW,
)


@given(deep, st.lists(deep, max_size=6), st.booleans())
def test_levels_come_back_from_below_the_ordered_ones(
    first: Rows, batches: list[Rows], asks: bool
) -> None:
    side, plain = Side(asks=asks), PlainSide(asks=asks)
    whole = [(str(price), "1") for price in range(1, 5 * WINDOW)]
    side.load(read_changes([*whole, *first]))
    plain.apply([*whole, *first])
    for rows in batches:
        side.apply(read_changes(rows))
        plain.apply(rows)
        assert side.top(WINDOW // 2) == plain.top(WINDOW // 2)


def test_the_best_half_can_go_level_by_level() -> None:
    side = Side(asks=False)
    side.load(read_changes([(str(price), "1") for price in range(1, 1001)]))
    for price in range(1000, 0, -1):
        assert side.best() == (str(price), "1")
        side.apply(read_changes([(str(price), "0")]))
    assert side.best() is None


def test_one_price_in_two_spellings_is_one_level() -> None:
    side = Side(asks=True)
    side.apply(read_changes([("1.10", "5"), ("1.1", "6.0"), ("1.100", "0.000")]))
    assert len(side) == 0


def test_a_number_with_an_exponent_is_the_number_that_it_is() -> None:
    side = Side(asks=False)
    side.apply(read_changes([("1e2", "5E-1"), ("99.", ".5")]))
    assert side.top(2) == ((D(100), D("0.5")), (D(99), D("0.5")))
    assert side.best() == ("100", "0.5")


@given(st.integers(1, 400), st.integers(0, 400), st.booleans())
def test_keeps_the_best_levels_alone(count: int, kept: int, asks: bool) -> None:
    side = Side(asks=asks)
    side.load(read_changes([(str(price), "1") for price in range(1, count + 1)]))
    whole = side.top(count)
    side.keep(kept)
    assert side.top(WINDOW // 2) == whole[: min(kept, WINDOW // 2)]
    assert len(side) == min(kept, count)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("-1", "1"), "price above 0, found '-1'"),
        (("0", "1"), "price above 0, found '0'"),
        (("0.00", "0"), "price above 0, found '0.00'"),
        (("nan", "1"), "price above 0, found 'nan'"),
        (("inf", "1"), "price above 0, found 'inf'"),
        (("1e40", "1"), "price above 0, found '1e40'"),
        (("1_0", "1"), "price above 0, found '1_0'"),
        (("", "1"), "price above 0, found ''"),
        (("1", "-1"), "quantity of 0 or more, found '-1'"),
        (("1", "nan"), "quantity of 0 or more, found 'nan'"),
        (("1", "Infinity"), "quantity of 0 or more, found 'Infinity'"),
        (("1", None), "quantity of 0 or more, found None"),
        (("1", 1.5), "quantity of 0 or more, found 1.5"),
        ((True, "1"), "price above 0, found True"),
        (("1",), "row of price and quantity"),
        ("12", "row of price and quantity"),
        (7, "row of price and quantity"),
        (("1234567890.1234567", "1"), "at most 15 significant digits"),
        (("0.123456789012345678", "1"), "at most 15 significant digits"),
    ],
)
def test_refuses_a_row_that_is_no_level(row: object, told: str) -> None:
    side = Side(asks=False)
    with pytest.raises(InvalidDataError, match=told):
        side.apply(read_changes([("5", "1"), row]))


def test_takes_long_texts_of_few_digits() -> None:
    side = Side(asks=False)
    side.apply(read_changes([("123456789000.00000000", "1")]))
    assert side.top(1) == ((D("123456789000"), D(1)),)
