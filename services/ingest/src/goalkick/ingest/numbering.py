"""Which trades of an instrument have been seen: by consecutive numbers, or by bare ids. Pure.

Numbers tell more than ids: which trades are missing, and between which times they took place. A
hole stays open for a while, because trades may overtake each other.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.market import TradePrinted

_TOLD: Final = 1000
"""Holes that are remembered after they were told: what comes out of one later is no repetition."""


_NUMBER: Final = re.compile("[a-z]*([0-9]+)").fullmatch
"""Letters in front say which of a venue's number spaces it is: single or aggregate trades."""


def trade_number(trade: TradePrinted) -> int:
    """The number in the id of a trade, where a venue numbers trades one by one.

    Raises:
        InvalidDataError: there is none.
    """
    found = _NUMBER(trade.trade_id)
    if found is None:
        raise InvalidDataError(
            f"{trade.instrument}: expected a number as the id of a trade, found {trade.trade_id!r}"
        )
    return int(found[1])


class Taken(Enum):
    """What a number is.

    `FILLING`: it comes out of a hole that was not told yet. `REPEATED`: it was seen before, or
    comes out of a hole that is forgotten.
    """

    NEW = "new"
    FILLING = "filling"
    REPEATED = "repeated"


class Hole(msgspec.Struct, kw_only=True):
    """Trades that are missing between two that are known.

    Attributes:
        first: number of the first one that is missing.
        last: number of the last one.
        from_ns: time of the trade before it: no missing one is earlier.
        to_ns: time of the trade after it: no missing one is later.
        missing: how many are missing.
        told: whether it was told.
    """

    first: int
    last: int
    from_ns: int
    to_ns: int
    missing: int
    told: bool = False


class Numbers:
    """The consecutive numbers of the trades of one instrument."""

    def __init__(self) -> None:
        """Has seen none."""
        self._first = self._last = 0
        self._first_ns = self._last_ns = 0
        self._begun = False
        self._holes: list[Hole] = []
        self._open = 0

    def take(self, number: int, time_ns: int) -> Taken:
        """Takes the number of a trade."""
        if self._begun and number == self._last + 1:
            self._last, self._last_ns = number, time_ns
            return Taken.NEW
        if not self._begun:
            self._begin(number, time_ns)
            return Taken.NEW
        if number > self._last:
            self._miss(len(self._holes), self._last + 1, number - 1, self._last_ns, time_ns)
            self._last, self._last_ns = number, time_ns
            return Taken.NEW
        if number < self._first:
            self._earlier(number, time_ns)
            return Taken.NEW
        return self._fill(number, time_ns)

    def open_holes(self) -> Iterator[Hole]:
        """The holes that were not told yet, by number."""
        return (hole for hole in self._holes if not hole.told) if self._open else iter(())

    def tell(self, hole: Hole) -> None:
        """Notes that an open hole has been told."""
        hole.told = True
        self._open -= 1
        told = [hole for hole in self._holes if hole.told]
        if len(told) > _TOLD:
            self._holes.remove(told[0])

    def _begin(self, number: int, time_ns: int) -> None:
        self._first = self._last = number
        self._first_ns = self._last_ns = time_ns
        self._begun = True

    def _earlier(self, number: int, time_ns: int) -> None:
        if time_ns <= self._last_ns:
            if number < self._first - 1:
                self._miss(0, number + 1, self._first - 1, time_ns, self._first_ns)
            self._first, self._first_ns = number, time_ns
            return
        # A smaller number of a later time: the venue counts anew, and nobody knows from where.
        last_ns = self._last_ns
        self._holes = [hole for hole in self._holes if not hole.told]
        self._begin(number, time_ns)
        self._miss(len(self._holes), number, number - 1, last_ns, time_ns, missing=1)

    def _miss(
        self, place: int, first: int, last: int, from_ns: int, to_ns: int, missing: int = 0
    ) -> None:
        hole = Hole(
            first=first,
            last=last,
            from_ns=min(from_ns, to_ns),
            to_ns=max(from_ns, to_ns),
            missing=missing or last - first + 1,
        )
        self._holes.insert(place, hole)
        self._open += 1

    def _fill(self, number: int, time_ns: int) -> Taken:
        place = bisect_right(self._holes, number, key=_first) - 1
        hole = self._holes[place] if place >= 0 else None
        if hole is None or number > hole.last:
            return Taken.REPEATED
        parts = [
            Hole(
                first=first,
                last=last,
                from_ns=min(from_ns, to_ns),
                to_ns=max(from_ns, to_ns),
                missing=last - first + 1,
                told=hole.told,
            )
            for first, last, from_ns, to_ns in (
                (hole.first, number - 1, hole.from_ns, time_ns),
                (number + 1, hole.last, time_ns, hole.to_ns),
            )
            if first <= last
        ]
        self._holes[place : place + 1] = parts
        if hole.told:
            return Taken.NEW
        self._open += len(parts) - 1
        return Taken.FILLING


class Ids:
    """Trade ids that are no numbers, or not consecutive: they tell repetitions and nothing else."""

    def __init__(self, remember: int) -> None:
        """Remembers the last `remember` ids."""
        self._remember = remember
        self._seen: dict[str, None] = {}

    def take(self, trade_id: str) -> Taken:
        """Takes the id of a trade."""
        if trade_id in self._seen:
            return Taken.REPEATED
        self._seen[trade_id] = None
        if len(self._seen) > self._remember:
            del self._seen[next(iter(self._seen))]
        return Taken.NEW


def _first(hole: Hole) -> int:
    return hole.first
