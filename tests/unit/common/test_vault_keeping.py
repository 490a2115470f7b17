"""What is held of Vault's secrets: until its lease ends, and not a moment longer."""

import math

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.adapters.secrets.keeping import Keeping

SECONDS = st.integers(0, 10_000).map(float)


@given(at=SECONDS, lease=st.integers(1, 1000).map(float), later=SECONDS)
def test_a_secret_is_held_exactly_for_its_lease(at: float, lease: float, later: float) -> None:
    keeping = Keeping()
    keeping.keep("a", {"key": "hunter2"}, 1, at, lease)
    now = at + later
    held = keeping.get("a", now)
    assert (held is not None) == (later < lease)
    assert ("a" in keeping.ended(now)) == (later >= lease)
    assert keeping.left_s(now) == max(0.0, lease - later)
    assert keeping.knows("a")


@given(st.dictionaries(st.sampled_from("abc"), SECONDS, min_size=1), SECONDS)
def test_what_was_not_confirmed_for_long_is_due(confirmed: dict[str, float], now: float) -> None:
    keeping = Keeping()
    for path, at in confirmed.items():
        keeping.keep(path, {}, 1, at, 100.0)
    due = {path for path, at in confirmed.items() if now - at >= 60}
    assert set(keeping.due(now, 60)) == due
    assert (keeping.wait_s(now, 60) == 0) == bool(due)


def test_values_whose_lease_is_over_are_dropped_and_their_paths_stay() -> None:
    keeping = Keeping()
    keeping.keep("old", {"key": "hunter2"}, 1, 0.0, 10.0)
    keeping.keep("new", {"key": "hunter3"}, 1, 5.0, 10.0)
    keeping.forget_values(10.0)
    before = keeping.get("old", 9.0)
    assert before is not None
    assert before.values == {}
    assert keeping.due(60.0, 60) == ["old"]
    kept = keeping.get("new", 10.0)
    assert kept is not None
    assert kept.values == {"key": "hunter3"}


def test_only_another_version_is_news() -> None:
    keeping = Keeping()
    assert [keeping.keep("a", {}, version, 0.0, 1.0) for version in (1, 1, 2)] == [
        False,
        False,
        True,
    ]


def test_a_held_secret_does_not_show_its_values_and_an_empty_hold_waits_for_ever() -> None:
    keeping = Keeping()
    assert keeping.wait_s(0.0, 60) == keeping.left_s(0.0) == math.inf
    keeping.keep("a", {"key": "hunter2"}, 1, 0.0, 1.0)
    assert "hunter2" not in repr(keeping.get("a", 0.0))
    keeping.clear()
    assert not keeping.knows("a")
