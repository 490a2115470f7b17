"""Clocks: the manual one moves as it is told, the system's never goes back."""

import time

import pytest

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.core.errors import InvariantError


def test_a_manual_clock_says_what_it_was_set_to() -> None:
    clock = ManualClock(5)
    clock.advance(3)
    assert clock.now_ns() == 8
    clock.set(20)
    assert clock.now_ns() == 20


def test_a_manual_clock_refuses_to_go_back() -> None:
    clock = ManualClock(5)
    with pytest.raises(InvariantError, match="at or after 5, found 4"):
        clock.set(4)
    with pytest.raises(InvariantError):
        clock.advance(-1)
    assert clock.now_ns() == 5


def test_the_system_clock_stands_still_where_the_machine_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SystemClock()
    times = iter([100, 90, 101])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    assert [clock.now_ns() for _ in range(3)] == [100, 100, 101]
