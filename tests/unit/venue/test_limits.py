"""Limits: what is taken, what is refused, for how long, and what time heals."""

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.values.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.limits import (
    BANNED,
    TOO_MANY,
    AddressLimit,
    BanRule,
    ConnectionLimit,
    OrderLimit,
    Pace,
    Rate,
)

NOON = 20_000 * NS_PER_DAY + NS_PER_DAY // 2
RULE = BanRule(patience=2, first_ns=2 * NS_PER_MINUTE, longest_ns=5 * NS_PER_MINUTE)


def limit(weight: int = 10) -> AddressLimit:
    return AddressLimit(Rate(weight, NS_PER_MINUTE), RULE)


def test_weight_is_counted_by_address_and_forgotten_with_the_minute() -> None:
    limits = limit()
    assert limits.spend("a", 7, NOON) is None
    assert limits.used("a", NOON) == 7
    assert limits.used("b", NOON) == 0
    assert limits.used("a", NOON + NS_PER_MINUTE) == 0


def test_refused_requests_use_no_weight_and_wait_for_the_next_minute() -> None:
    limits = limit()
    limits.spend("a", 10, NOON)
    later = NOON + 15 * NS_PER_SECOND
    refusal = limits.spend("a", 1, later)
    assert refusal is not None
    assert refusal.status == TOO_MANY
    assert refusal.wait_s(later) == 45
    assert limits.used("a", later) == 10


def test_who_goes_on_is_banned_and_who_comes_back_too_early_again_for_longer() -> None:
    limits = limit()
    limits.spend("a", 10, NOON)
    statuses = [limits.spend("a", 1, NOON).status for _ in range(4)]  # type: ignore[union-attr]
    assert statuses == [TOO_MANY, TOO_MANY, BANNED, BANNED]
    assert limits.banned_until_ns("a") == NOON + 2 * NS_PER_MINUTE
    assert limits.spend("b", 1, NOON) is None

    free = NOON + 2 * NS_PER_MINUTE
    assert limits.spend("a", 10, free) is None
    for _ in range(3):
        limits.spend("a", 1, free)
    assert limits.banned_until_ns("a") == free + 4 * NS_PER_MINUTE

    free += 4 * NS_PER_MINUTE
    limits.spend("a", 10, free)
    for _ in range(3):
        limits.spend("a", 1, free)
    assert limits.banned_until_ns("a") == free + 5 * NS_PER_MINUTE, "no ban is longer"


def test_a_served_request_restores_patience() -> None:
    limits = limit()
    for minute in range(5):
        now = NOON + minute * NS_PER_MINUTE
        assert limits.spend("a", 10, now) is None
        for _ in range(2):
            refusal = limits.spend("a", 1, now)
            assert refusal is not None
            assert refusal.status == TOO_MANY


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_no_window_ever_serves_more_than_its_limit(requests: list[tuple[int, int]]) -> None:
    limits, now, served = limit(), NOON, dict[int, int]()
    for weight, seconds in requests:
        now += seconds * NS_PER_SECOND
        if limits.spend("a", weight, now) is None:
            window = now // NS_PER_MINUTE
            served[window] = served.get(window, 0) + weight
    assert all(weight <= 10 for weight in served.values())


def test_orders_count_in_all_windows_and_come_back_when_they_trade() -> None:
    ten_s = 10 * NS_PER_SECOND
    limits = OrderLimit([Rate(2, ten_s), Rate(3, NS_PER_DAY)])
    for _ in range(2):
        assert limits.exceeded("a", NOON) is None
        limits.place("a", NOON)
    exceeded = limits.exceeded("a", NOON)
    assert exceeded is not None
    assert exceeded[0].limit == 2
    assert limits.exceeded("b", NOON) is None

    limits.filled("a", NOON, NOON + 1)
    assert limits.exceeded("a", NOON + 1) is None
    assert [count for _, count in limits.counts("a", NOON + 1)] == [1, 1]

    limits.place("a", NOON + ten_s)
    limits.place("a", NOON + ten_s)
    day = limits.exceeded("a", NOON + 2 * ten_s)
    assert day is not None
    assert day[0].limit == 3


def test_a_fill_gives_nothing_back_to_a_window_that_did_not_count_the_order() -> None:
    ten_s = 10 * NS_PER_SECOND
    limits = OrderLimit([Rate(5, ten_s), Rate(5, NS_PER_DAY)])
    limits.place("a", NOON)
    later = NOON + ten_s
    limits.place("a", later)
    limits.filled("a", NOON, later)
    assert [count for _, count in limits.counts("a", later)] == [1, 1]


def test_connects_are_counted_by_address() -> None:
    limits = ConnectionLimit(Rate(2, 5 * NS_PER_MINUTE))
    assert limits.connect("a", NOON) is None
    assert limits.connect("a", NOON) is None
    refusal = limits.connect("a", NOON)
    assert refusal is not None
    assert refusal.until_ns % (5 * NS_PER_MINUTE) == 0
    assert limits.connect("b", NOON) is None


def test_pace_slides_and_does_not_begin_anew_with_each_second() -> None:
    pace = Pace(Rate(2, NS_PER_SECOND))
    half = NS_PER_SECOND // 2
    assert [pace.takes(at) for at in (0, half, NS_PER_SECOND - 1, 3 * half)] == [
        True,
        True,
        False,
        True,
    ]
