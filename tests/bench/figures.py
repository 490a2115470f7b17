"""What a benchmark gives: figures for people, and whether an answer was wrong."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        name: what was measured.
        value: with its unit.
        beside: the same as a ratio to something measured beside it, or what it is held against.
        wrong: what was expected and what was found, where an answer was wrong; else "".
    """

    name: str
    value: str
    beside: str = ""
    wrong: str = ""


Bench = Callable[[bool], Iterable[Figure]]
"""Told whether to be short; yields figures as they come."""
