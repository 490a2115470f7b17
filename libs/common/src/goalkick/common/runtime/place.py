"""Where a record stands in its producer's account of a moment.

Producers work moment by moment. Everything that one says about a moment in one phase is a *group*;
each record carries its place in its group, and the last one says that it is the last. From this a
reader knows three things without asking anybody: when a moment is complete, which records are
repetitions (a producer that starts again says the same things again), and whether one is missing.
"""

from typing import NamedTuple

from goalkick.common.core.errors import InvalidDataError

HEADER = "gk-place"
"""Name of the Kafka header: `<moment>:<phase>:<ordinal>:<1 if last, else 0>`."""


class Group(NamedTuple):
    """A moment and a phase of it; ordered.

    Attributes:
        moment: UTC ns at which the producer worked; the events' own time unless they came late.
        phase: 0 = what market data caused, 1 = everything (see `topics.Topic.rank`).
    """

    moment: int
    phase: int


BEFORE_ALL = Group(-(2**63), 1)


class Place(NamedTuple):
    """A record's place.

    Attributes:
        group: which group it belongs to.
        ordinal: how many records of the group stand before it.
        last: whether the group is complete with it.
    """

    group: Group
    ordinal: int
    last: bool

    def header(self) -> bytes:
        """The header's value."""
        return b"%d:%d:%d:%d" % (self.group.moment, self.group.phase, self.ordinal, self.last)


def read_place(value: bytes | None) -> Place:
    """The place that a header tells.

    Raises:
        InvalidDataError: there is no header, or it says something else.
    """
    try:
        moment, phase, ordinal, last = (value or b"").split(b":")
        return Place(Group(int(moment), int(phase)), int(ordinal), bool(int(last)))
    except ValueError:
        raise InvalidDataError(
            f"header {HEADER}: expected <moment>:<phase>:<ordinal>:<last>, found {value!r}"
        ) from None
