"""The pace at which a venue is asked: nearly all of its limit, and never more."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_SECOND
from goalkick.ingest.archive.pace import Pace
from goalkick.venue.limits import AddressLimit, BanRule, Rate, Refusal

LIMIT = 6000
US = "10.0.0.1"
LATENCY_NS = 300_000_000


class Venue:
    """A venue that counts weight by address in minutes of its own clock, and bans."""

    def __init__(self, others: int = 0) -> None:
        self.others = others
        self.served = self.refused = self.banned = 0
        self._limit = AddressLimit(Rate(LIMIT, NS_PER_MINUTE), BanRule())
        self._second = 0

    def request(self, weight: int, now_ns: int) -> tuple[int, Refusal | None]:
        """Weight that is used now, and the refusal if it is one."""
        while self._second < now_ns // NS_PER_SECOND:
            self._second = max(self._second + 1, now_ns // NS_PER_SECOND - 120)
            at_ns, weight = self._second * NS_PER_SECOND, self.others // 60
            if self._limit.used(US, at_ns) + weight <= LIMIT:  # the others stop in time
                self._limit.spend(US, weight, at_ns)
        refusal = self._limit.spend(US, weight, now_ns)
        if refusal is None:
            self.served += weight
        else:
            self.refused += 1
            self.banned += refusal.status == 418
        return self._limit.used(US, now_ns), refusal


def drive(
    pace: Pace, venue: Venue, weight: int, minutes: float, skew_ns: int = 0, late_ns: int = 0
) -> None:
    """Asks as fast as the pace allows, answers 300 ms late; `skew_ns`: the venue is ahead of us."""
    now_ns, number = 10**15, 0
    end_ns = now_ns + round(minutes * NS_PER_MINUTE)
    answers: deque[tuple[int, int, Refusal | None]] = deque()
    while now_ns < end_ns:
        while answers and answers[0][0] <= now_ns:
            _, used, refusal = answers.popleft()
            pace.told(used)
            if refusal is not None:
                pace.refuse(refusal.wait_s(now_ns + skew_ns), now_ns)
        if len(answers) >= pace.on_the_way(weight):
            now_ns = answers[0][0]
            continue
        wait_ns = pace.wait_ns(now_ns)
        if wait_ns:
            number += 1
            late = late_ns if number % 7 == 0 else 0
            now_ns = min([now_ns + wait_ns + late, *(at for at, _, _ in answers)])
            continue
        pace.spend(weight, now_ns)
        answers.append((now_ns + LATENCY_NS, *venue.request(weight, now_ns + skew_ns)))


@pytest.mark.parametrize("weight", [2, 4])
@pytest.mark.parametrize("late_ms", [0, 5, 100])
def test_reaches_nine_tenths_of_the_limit_and_is_never_refused(weight: int, late_ms: int) -> None:
    venue = Venue()
    drive(Pace(LIMIT), venue, weight, 3, late_ns=late_ms * 1_000_000)
    assert venue.served >= 0.9 * 3 * LIMIT
    assert venue.refused == 0


@settings(deadline=None, max_examples=8)
@given(
    others=st.integers(0, LIMIT),
    skew_s=st.integers(0, 59),
    late_ms=st.integers(0, 300),
    weight=st.sampled_from([2, 4, 20]),
)
def test_is_never_banned_whatever_others_behind_the_same_address_use_up(
    others: int, skew_s: int, late_ms: int, weight: int
) -> None:
    venue = Venue(others)
    drive(Pace(LIMIT), venue, weight, 2.5, skew_s * NS_PER_SECOND, late_ms * 1_000_000)
    assert venue.banned == 0


def test_says_nothing_while_the_venue_wants_silence() -> None:
    pace = Pace(LIMIT)
    pace.refuse(30, 0)
    assert pace.wait_ns(0) == 30 * NS_PER_SECOND
    pace.refuse(5, 0)
    assert pace.wait_ns(10 * NS_PER_SECOND) == 20 * NS_PER_SECOND
    assert pace.wait_ns(30 * NS_PER_SECOND) == 0


def test_takes_the_limit_that_the_venue_names() -> None:
    pace, venue = Pace(600), Venue()
    pace.allow(LIMIT)
    drive(pace, venue, 2, 2)
    assert venue.served >= 0.9 * 2 * LIMIT
