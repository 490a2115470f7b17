"""The levels of an order book, kept by the venue's own texts; exact and fast.

A level is held as the row of texts that the venue sent. Decimals are made for what is published
alone: most changes lie deep in the book and nobody ever reads them. Rows are found and ordered by
a float of their price, which never leaves this module: two prices of at most 15 significant
digits are the same double only if they are the same number (IEEE 754), and longer ones are
refused.
"""

import math
import re
from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from heapq import nlargest, nsmallest
from typing import Any, Final, NamedTuple

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.money import parse_decimal, plain

Row = Sequence[str]
"""Price and quantity as the venue wrote them; more columns are left alone."""
Level = tuple[Decimal, Decimal]
"""Price and quantity."""

SAFE_DIGITS: Final = 15
"""Significant digits of a decimal that a double tells from every other such decimal."""

LIMIT: Final = 1e30
"""Prices and quantities are below it: what is not is no market's."""
LIMIT_DECIMAL: Final = Decimal("1e30")
"""`LIMIT`, exactly."""
WINDOW: Final = 128
"""Best levels of a side that are kept in order when the order is made anew."""

Texts = list[tuple[str, str]]
"""Rows as they are sent; `Changes.rows` of a message that is decoded at once."""
Numbers = list[tuple[float, float]]
"""The same rows read as numbers (`strict=False`)."""
_NUMBER: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Changes(NamedTuple):
    """Rows of one side that are pairs of numbers; `Side` checks the numbers as it takes them.

    Attributes:
        numbers: price and quantity of each row as floats, to find, to order and to tell zero.
        rows: the texts.
    """

    numbers: Sequence[tuple[float, float]]
    rows: Sequence[Row]


NO_CHANGES: Final = Changes((), ())


def read_changes(rows: Sequence[Any]) -> Changes:
    """Reads rows of two texts, price and quantity; a quantity of 0 removes the level.

    Raises:
        InvalidDataError: a row is no pair of numbers; says what stands there.
    """
    if not rows:
        return NO_CHANGES
    try:
        # Twice: the C loops of msgspec are much faster than any of ours.
        return Changes(msgspec.convert(rows, Numbers, strict=False), msgspec.convert(rows, Texts))
    except msgspec.ValidationError:
        return _read_slowly(rows)


def _read_slowly(rows: Sequence[Any]) -> Changes:
    """The same one by one: for unusual but right rows, and to say what is wrong."""
    mended = [check_row(row) for row in rows]
    return Changes([(float(price), float(quantity)) for price, quantity in mended], mended)


def check_row(row: Any) -> tuple[str, str]:
    """Price and quantity of a row as plain texts, looked at closely.

    Raises:
        InvalidDataError: it is no pair of texts, the price is not positive or has more than 15
            significant digits, or the quantity is negative.
    """
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) < 2:
        raise InvalidDataError(f"expected a row of price and quantity, found {row!r:.80}")
    price = _read(row[0], "expected a price above 0")
    quantity = _read(row[1], "expected a quantity of 0 or more")
    if not 0 < price < LIMIT_DECIMAL:
        raise InvalidDataError(f"expected a price above 0, found {row[0]!r}")
    if not 0 <= quantity < LIMIT_DECIMAL:
        raise InvalidDataError(f"expected a quantity of 0 or more, found {row[1]!r}")
    if len(price.normalize().as_tuple().digits) > SAFE_DIGITS:
        raise InvalidDataError(
            f"expected a price of at most {SAFE_DIGITS} significant digits, found {row[0]!r}"
        )
    return _plain_text(row[0], price), _plain_text(row[1], quantity)


def _read(text: object, expected: str) -> Decimal:
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise InvalidDataError(f"{expected}, found {text!r:.80}")
    return parse_decimal(text)


def _plain_text(text: str, value: Decimal) -> str:
    return text if _PLAIN.fullmatch(text) else plain(value)


class Side:
    """One side of a book: what is bid, or what is asked.

    Attributes:
        rows: the levels by price.
        order: the prices of the best levels, rising. Deeper levels are not kept in order: nobody
            looks at them until they are among the best, and a short list is cheap to change.
    """

    __slots__ = ("_asks", "_exact", "_highest", "_lowest", "order", "rows")

    def __init__(self, *, asks: bool) -> None:
        """An empty side.

        Args:
            asks: the lowest price is best, not the highest.
        """
        self._asks = asks
        self._exact: dict[float, tuple[Row, Level]] = {}
        # Prices within these are kept in order.
        self._lowest, self._highest = -math.inf, math.inf
        self.rows: dict[float, Row] = {}
        self.order: list[float] = []

    def __len__(self) -> int:
        """How many levels it has."""
        return len(self.rows)

    def load(self, levels: Changes) -> None:
        """Forgets what was known and takes these levels; rows with quantity 0 are no levels.

        Raises:
            InvalidDataError: a price or quantity is wrong; the side is worth nothing then.
        """
        self.rows = {}
        self.order = []
        self._exact = {}
        self._lowest, self._highest = math.inf, -math.inf
        self.apply(levels)
        self._arrange()

    def apply(self, changes: Changes) -> None:
        """Sets and removes levels.

        Raises:
            InvalidDataError: a price is not positive or has more than 15 significant digits, or a
                quantity is negative. The side is worth nothing then.
        """
        rows, order, limit = self.rows, self.order, LIMIT
        lowest, highest = self._lowest, self._highest
        for (price, quantity), row in zip(changes.numbers, changes.rows, strict=True):
            if 0.0 < quantity < limit:
                if price not in rows:
                    # One character of the text may be its point.
                    if not 0.0 < price < limit or len(row[0]) > SAFE_DIGITS + 1:
                        check_row(row)
                    if lowest <= price <= highest:
                        insort(order, price)
                rows[price] = row
            elif quantity != 0.0 or not price > 0.0:
                check_row(row)
            elif rows.pop(price, None) is not None and lowest <= price <= highest:
                del order[bisect_left(order, price)]
        if not WINDOW // 2 < len(order) < 2 * WINDOW:
            self._arrange()

    def keep(self, count: int) -> None:
        """Drops all but the `count` best levels."""
        order, surplus = self.order, len(self.rows) - count
        if surplus <= 0:
            return
        worst = nlargest(surplus, self.rows) if self._asks else nsmallest(surplus, self.rows)
        for price in worst:
            del self.rows[price]
            if self._lowest <= price <= self._highest:
                del order[bisect_left(order, price)]
        self._arrange()

    def best(self) -> Row | None:
        """The best level's row, None where the side is empty."""
        order = self.order
        return self.rows[order[0 if self._asks else -1]] if order else None

    def top_rows(self, count: int) -> list[Row]:
        """The rows of the `count` best levels, best first; fewer where there are fewer."""
        rows = self.rows
        return [rows[price] for price in self._best(count)]

    def top(self, count: int) -> tuple[Level, ...]:
        """The `count` best levels, best first; fewer where there are fewer."""
        rows, known = self.rows, self._exact
        # Between two pictures of the top most of its levels stay as they were.
        exact: dict[float, tuple[Row, Level]] = {}
        for price in self._best(count):
            row = rows[price]
            entry = known.get(price)
            if entry is None or entry[0] is not row:
                entry = (row, (Decimal(row[0]), Decimal(row[1])))
            exact[price] = entry
        self._exact = exact
        return tuple([entry[1] for entry in exact.values()])

    def _best(self, count: int) -> list[float]:
        order = self.order
        if len(order) < count and len(order) < len(self.rows):
            order = sorted(self.rows)
        return order[:count] if self._asks else order[: -count - 1 : -1]

    def _arrange(self) -> None:
        """Makes the order anew where it has become too short or too long."""
        order = self.order
        if len(order) <= WINDOW < len(self.rows) or len(order) < len(self.rows) <= WINDOW:
            order = sorted(self.rows)
        self.order = order = order[:WINDOW] if self._asks else order[-WINDOW:]
        # Beyond the last one there may be others.
        whole = len(order) == len(self.rows)
        self._lowest = -math.inf if self._asks or whole else order[0]
        self._highest = math.inf if not self._asks or whole else order[-1]


class Levels:
    """Both sides of a book."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        """An empty book."""
        self.bids = Side(asks=False)
        self.asks = Side(asks=True)

    def crossed(self) -> bool:
        """Whether somebody bids as much as another asks, or more: no venue's book does."""
        bids, asks = self.bids.order, self.asks.order
        return bool(bids) and bool(asks) and bids[-1] >= asks[0]
