"""A venue's key turns: tried first, both valid for an overlap, the old one dropped when unused."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from goalkick.common.adapters.secrets.rotation import (
    Drop,
    KeyId,
    KeyRefused,
    KeyRotated,
    KeyRotation,
    Step,
    Try,
    Use,
    key_id,
)
from goalkick.common.core.errors import InvariantError

OLD, NEW, NEWER = KeyId("v1-old"), KeyId("v2-new"), KeyId("v3-newer")
OVERLAP, RETRY = 100, 10


def rotation() -> KeyRotation:
    return KeyRotation(OLD, OVERLAP, RETRY)


def turning(at: int = 0) -> KeyRotation:
    """One whose new key was accepted."""
    made = rotation()
    made.offer(NEW, at)
    made.accepted(NEW, at)
    return made


def test_a_turn_goes_in_steps() -> None:
    turn = rotation()
    assert turn.offer(NEW, 5) == [Try(NEW)]
    assert turn.begin() == OLD
    assert turn.accepted(NEW, 6) == [Use(NEW)]
    assert turn.begin() == NEW
    assert turn.advance(6 + OVERLAP - 1) == []
    assert turn.end(OLD) == []
    assert turn.advance(6 + OVERLAP) == [Drop(OLD), KeyRotated(OLD, NEW, 6, 6 + OVERLAP)]
    assert turn.held == {NEW}


def test_what_is_under_way_keeps_the_old_key_for_as_long_as_it_lasts() -> None:
    turn = rotation()
    key = turn.begin()
    turn.offer(NEW, 0)
    turn.accepted(NEW, 0)
    assert turn.advance(50 * OVERLAP) == []
    assert turn.wakes_at_ns(50 * OVERLAP) is None
    turn.end(key)
    assert turn.advance(50 * OVERLAP)[0] == Drop(OLD)


def test_a_key_that_the_venue_refuses_is_told_once_and_tried_again() -> None:
    turn = rotation()
    turn.offer(NEW, 0)
    assert turn.refused(NEW, 0) == [KeyRefused(NEW, OLD)]
    assert turn.using == OLD
    assert turn.wakes_at_ns(0) == RETRY
    assert turn.advance(RETRY - 1) == []
    assert turn.advance(RETRY) == [Try(NEW)]
    assert turn.refused(NEW, RETRY) == []
    assert turn.accepted(NEW, 2 * RETRY) == [Use(NEW)]


def test_a_venue_that_does_not_answer_is_asked_again_and_nothing_is_told() -> None:
    turn = rotation()
    turn.offer(NEW, 0)
    assert turn.unanswered(NEW, 0) == []
    assert (turn.using, turn.advance(RETRY)) == (OLD, [Try(NEW)])


def test_within_the_overlap_a_refused_new_key_gives_way_to_the_old_one() -> None:
    turn = turning()
    assert turn.refused(NEW, 1) == [Use(OLD), KeyRefused(NEW, OLD)]
    assert turn.using == OLD
    assert turn.advance(1 + RETRY) == [Try(NEW)]


def test_within_the_overlap_a_refused_new_key_gives_way_to_one_that_waits() -> None:
    turn = turning()
    turn.offer(NEWER, 1)
    assert turn.refused(NEW, 2) == [Use(OLD), Drop(NEW), KeyRefused(NEW, OLD)]
    assert turn.advance(2 + RETRY) == [Try(NEWER)]


def test_a_key_that_is_revoked_too_early_makes_the_offered_one_be_tried_at_once() -> None:
    turn = rotation()
    turn.offer(NEW, 0)
    turn.unanswered(NEW, 0)
    assert turn.refused(OLD, 1) == [KeyRefused(OLD, OLD), Try(NEW)]


def test_an_old_key_that_is_refused_in_the_overlap_changes_nothing() -> None:
    turn = turning()
    assert turn.refused(OLD, 1) == []
    assert turn.using == NEW


def test_a_newer_key_waits_for_the_end_of_the_turn_and_takes_the_place_of_what_waits() -> None:
    turn = turning()
    newest = KeyId("v4-newest")
    assert turn.offer(NEWER, 1) == []
    assert turn.offer(newest, 2) == [Drop(NEWER)]
    assert turn.advance(OVERLAP) == [
        Drop(OLD),
        KeyRotated(OLD, NEW, 0, OVERLAP),
        Try(newest),
    ]


def test_a_late_answer_about_a_key_that_was_replaced_means_nothing() -> None:
    turn = rotation()
    turn.offer(NEW, 0)
    turn.offer(NEWER, 1)
    assert turn.accepted(NEW, 2) == []
    assert (turn.refused(NEW, 2), turn.using) == ([], OLD)


def test_what_is_known_is_no_offer() -> None:
    turn = turning()
    assert [turn.offer(key, 1) for key in (OLD, NEW)] == [[], []]


def test_what_did_not_begin_cannot_end() -> None:
    with pytest.raises(InvariantError, match="v1-old: expected something under way"):
        rotation().end(OLD)


def test_an_id_tells_keys_apart_and_does_not_hold_one() -> None:
    key = "k" * 64
    made = key_id(7, key)
    assert made.startswith("v7-")
    assert len(made) == len("v7-") + 8
    assert made == key_id(7, key)
    assert len({made, key_id(8, key), key_id(7, key[1:])}) == 3
    assert "kkkk" not in made


class Rotations(RuleBasedStateMachine):
    """Keys are offered, accepted, refused and used in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = rotation()
        self.now_ns = 0
        self.made = 1
        self.under_way: list[KeyId] = []
        self.accepted_keys = {OLD}
        self.switched_ns = 0
        self.gone: set[KeyId] = set()
        self.to_try: list[KeyId] = []

    def follow(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Try(key):
                    assert key not in self.gone
                    self.to_try.append(key)
                case Use(key):
                    assert key in self.accepted_keys
                    assert key not in self.gone
                    self.switched_ns = self.now_ns
                case Drop(key):
                    assert key not in self.under_way
                    assert key not in (self.turn.using, *self.gone)
                    self.gone.add(key)
                case KeyRotated() as turned:
                    assert turned.old in self.gone
                    assert turned.new == self.turn.using
                    assert turned.ended_ns - turned.began_ns >= OVERLAP
                    assert self.now_ns - self.switched_ns >= OVERLAP
                case KeyRefused():
                    assert step.key not in self.gone or step.using == self.turn.using

    @precondition(lambda self: not self.to_try)
    @rule()
    def offer(self) -> None:
        self.made += 1
        self.follow(self.turn.offer(KeyId(f"v{self.made}-x"), self.now_ns))

    @rule(step=st.integers(0, 2 * OVERLAP))
    def go_on(self, step: int) -> None:
        self.now_ns += step
        self.follow(self.turn.advance(self.now_ns))

    @precondition(lambda self: self.to_try)
    @rule(answer=st.sampled_from(["accepted", "refused", "unanswered"]))
    def answer(self, answer: str) -> None:
        key = self.to_try.pop(0)
        if answer == "accepted":
            self.accepted_keys.add(key)
        self.follow(getattr(self.turn, answer)(key, self.now_ns))

    @rule()
    def begin(self) -> None:
        self.under_way.append(self.turn.begin())

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.follow(self.turn.end(key))
        self.follow(self.turn.advance(self.now_ns))

    @rule()
    def venue_refuses_what_is_used(self) -> None:
        self.follow(self.turn.refused(self.turn.using, self.now_ns))

    @invariant()
    def nothing_that_is_used_is_gone(self) -> None:
        assert self.turn.using in self.accepted_keys
        assert not self.gone & {self.turn.using, *self.under_way}
        assert not self.gone & self.turn.held
        assert len(self.turn.held - set(self.under_way)) <= 3

    @invariant()
    def what_waits_will_be_tried(self) -> None:
        if self.turn.wakes_at_ns(self.now_ns) is None:
            waiting = self.turn.held - {self.turn.using, *self.under_way}
            assert not waiting or self.under_way


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
