"""Faults: where they strike, how often, and that the catalogue is whole."""

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.control import Control
from goalkick.venue.faults import ALLOWED, Action, Fault, Faults, Point
from goalkick.venue.presets import PRESETS, preset


def fault(**changes: object) -> Fault:
    return Fault(
        **{"name": "F9", "point": Point.FRAME, "action": Action.DROP, **changes}  # type: ignore[arg-type]
    )


class Stopwatch:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("pattern", "where", "strikes"),
    [
        ("stream:btcusdt@trade", "stream:btcusdt@trade", True),
        ("stream:*@depth*", "stream:btcusdt@depth@100ms", True),
        ("stream:*@depth*", "stream:btcusdt@trade", False),
        ("rest:POST *", "rest:POST /api/v3/order", True),
        ("rest:GET *|user:*", "user:executionReport", True),
        ("rest:GET *|user:*", "rest:POST /api/v3/order", False),
        ("*", "socket:user", True),
    ],
)
def test_strikes_where_a_pattern_matches(pattern: str, where: str, strikes: bool) -> None:
    faults = Faults()
    faults.arm(fault(where=pattern))
    assert (faults.take(Point.FRAME, where) is not None) is strikes


def test_strikes_only_at_its_point() -> None:
    faults = Faults()
    faults.arm(fault())
    assert faults.take(Point.REQUEST, "rest:GET /") is None
    assert faults.take(Point.FRAME, "rest:GET /") is not None


@given(skip=st.integers(0, 5), count=st.integers(1, 5), matches=st.integers(0, 15))
def test_strikes_after_skip_and_as_often_as_count(skip: int, count: int, matches: int) -> None:
    faults = Faults()
    faults.arm(fault(skip=skip, count=count))
    struck = [faults.take(Point.FRAME, "x") is not None for _ in range(matches)]
    expected = [skip <= number < skip + count for number in range(matches)]
    assert struck == expected


def test_is_spent_when_its_time_is_over() -> None:
    watch = Stopwatch()
    faults = Faults(monotonic=watch)
    faults.arm(fault(count=None, duration_s=5))
    watch.now_s = 4.9
    assert faults.take(Point.FRAME, "x") is not None
    watch.now_s = 5.0
    assert faults.take(Point.FRAME, "x") is None
    assert faults.armed() == []


def test_of_two_that_match_the_first_armed_strikes_and_both_count_the_match() -> None:
    faults = Faults()
    faults.arm(fault(name="one"))
    faults.arm(fault(name="two", skip=1))
    names = [each.name for _ in range(2) if (each := faults.take(Point.FRAME, "x"))]
    assert names == ["one", "two"]


def test_clear_disarms_one_or_all() -> None:
    faults = Faults()
    first, _, _ = (faults.arm(fault(name=name)) for name in "abc")
    assert faults.clear(first) == 1
    assert faults.clear(first) == 0
    assert [each.fault.name for each in faults.armed()] == ["b", "c"]
    assert faults.clear() == 2
    assert faults.take(Point.FRAME, "x") is None


def test_now_strikes_open_sockets_that_match_and_those_only() -> None:
    faults, struck = Faults(), list[tuple[str, Action]]()

    def note(where: str, each: Fault) -> None:
        struck.append((where, each.action))

    for where in ("socket:user", "socket:stream", "socket:user"):
        faults.attend(where, partial(note, where))
    leave = faults.attend("socket:user", partial(note, "gone"))
    leave()
    faults.arm(fault(point=Point.NOW, action=Action.RESET, where="socket:user", count=None))
    assert struck == [("socket:user", Action.RESET)] * 2
    assert faults.armed() == []


def test_tells_of_each_strike() -> None:
    faults, told = Faults(), []
    faults.on_strike = lambda each, where: told.append((each.name, where))
    faults.arm(fault())
    faults.take(Point.FRAME, "x")
    faults.take(Point.FRAME, "x")
    assert told == [("F9", "x")]


@pytest.mark.parametrize(
    ("params", "size", "low", "high"),
    [
        ({"seconds": 2}, 0, 2, 2),
        ({"seconds": 1, "jitter_s": 0.5}, 0, 1, 1.5),
        ({"bytes_per_s": 100}, 250, 2.5, 2.5),
        ({}, 1_000, 0, 0),
    ],
)
def test_delay_is_fixed_plus_jitter_plus_size(
    params: dict[str, float], size: int, low: float, high: float
) -> None:
    slow = fault(action=Action.DELAY, params=params)
    assert low <= Faults(seed=3).delay_s(slow, size) <= high
    assert Faults(seed=3).delay_s(slow, size) == Faults(seed=3).delay_s(slow, size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"point": Point.PONG, "action": Action.SWAP}, "at pong, found swap in fault F9"),
        ({"skip": -1}, "found -1 and 1"),
        ({"count": 0}, "found 0 and 0"),
        ({"action": Action.DELAY, "params": {"seconds": "soon"}}, "number in seconds"),
        ({"action": Action.DELAY, "params": {"seconds": -1}}, "at least 0 in seconds"),
        ({"action": Action.CORRUPT, "params": {"merge": "x"}}, "a map in merge"),
    ],
)
def test_refuses_what_cannot_be_armed(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidDataError, match=re.escape(message)):
        fault(**changes)


def test_catalogue_has_all_rows() -> None:
    rows = {name.partition("-")[0] for name in PRESETS}
    assert rows == {f"F{number}" for number in range(1, 23)}


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_named_and_can_be_armed(name: str) -> None:
    found = preset(name)
    assert found.about
    assert all(each.name == name for each in found.faults)
    assert all(each.action in ALLOWED[each.point] for each in found.faults)
    assert {(call.method, call.path) for call in found.calls} <= set(_calls())


def _calls() -> set[tuple[str, str]]:
    return set(Control(None, None).calls)  # type: ignore[arg-type]


def test_preset_takes_changes() -> None:
    changed = preset("F9", where="stream:btcusdt@depth", skip=2, count=3, params={"seconds": 1})
    (only,) = changed.faults
    assert (only.where, only.skip, only.count) == ("stream:btcusdt@depth", 2, 3)
    assert only.params == {"seconds": 1}


def test_unknown_preset_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidDataError, match=r"expected one of F1, .*found 'F99'"):
        preset("F99")
