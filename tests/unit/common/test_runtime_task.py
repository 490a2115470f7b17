"""Tasks: moments are merged from many inputs in one order, whatever arrives when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Message
from goalkick.common.runtime import checkpoint
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.place import Group, Place
from goalkick.common.runtime.task import Task
from goalkick.common.topics import Topic
from tests.unit.common.runtime_parts import (
    BARS,
    DECISIONS,
    FEATURES,
    FORECASTS,
    REPORTS,
    SIGNALS,
    Scribe,
    Told,
    channel,
    give,
    group,
    heard,
    output,
    reasons,
    said,
    task,
    told,
)

# The order of a moment --------------------------------------------------------------------------


def test_a_moment_waits_until_every_input_is_complete_for_it() -> None:
    left, right = channel(number=0), channel(number=1)
    merged = task(left, right)
    give(left, group(1, "a"))
    assert (merged.advance(), merged.blocked) == ([], (right,))
    give(right, group(1))
    assert reasons(merged.advance()) == ["1:a"]
    assert (merged.blocked, merged.moment) == ((), 1)


def test_events_of_a_moment_are_handled_by_rank_then_by_key_then_in_order() -> None:
    inputs = [channel(SIGNALS), channel(BARS, 1), channel(BARS, 0), channel(FEATURES)]
    merged = task(*inputs)
    give(inputs[0], group(1, "a/s1", "a/s2"))
    give(inputs[1], group(1, "b/b1", "d/b2"))
    give(inputs[2], group(1, "c/b3", "a/b4", "a/b5"))
    give(inputs[3], group(1, "z/f1", "a/f2"))
    merged.advance()
    assert heard(merged) == ["b4", "b5", "b1", "b3", "b2", "f2", "f1", "s1", "s2"]


def test_a_later_rank_of_a_moment_is_waited_for_before_the_next_moment() -> None:
    features, forecasts = channel(FEATURES), channel(FORECASTS)
    merged = task(features, forecasts)
    give(features, group(1, "f1") + group(2, "f2"))
    merged.advance()
    assert (heard(merged), merged.blocked) == (["f1"], (forecasts,))
    give(forecasts, group(1, "p1") + group(2))
    merged.advance()
    assert heard(merged) == ["f1", "p1", "f2"]


def test_what_is_said_about_a_moment_is_complete_only_when_its_last_rank_is() -> None:
    features, forecasts = channel(FEATURES), channel(FORECASTS)
    merged = task(features, forecasts)
    give(features, group(1, "f1"))
    assert merged.advance() == []
    give(forecasts, group(1, "p1"))
    places = [told(message, DECISIONS)[0] for message in merged.advance()]
    assert places == [Place(Group(1, 1), 0, False), Place(Group(1, 1), 1, True)]


def test_readers_are_told_of_moments_in_which_nothing_was_said() -> None:
    quiet = channel()
    merged = task(quiet, core=Scribe(answers=False))
    give(quiet, group(1, "a") + group(4))
    (message,) = merged.advance()
    assert told(message, DECISIONS) == (Place(Group(4, 1), 0, True), None)


def test_an_event_that_the_core_cannot_use_is_put_aside_with_its_reason() -> None:
    class Choosy(Scribe):
        def _on_signal(self, event: Signal) -> tuple[Event, ...]:
            if event.reason == "b":
                raise InvalidDataError("expected anything but b")
            return super()._on_signal(event)

    reader = channel()
    merged = task(reader, core=Choosy())
    give(reader, group(1, "a", "b", "c"))
    assert reasons(merged.advance()) == ["1:a", "2:c"]
    ((event, reason),) = merged.refused
    assert (event, reason) == (said("b", 1, "b"), "expected anything but b")


def test_an_event_of_a_topic_that_the_service_does_not_write_is_a_broken_invariant() -> None:
    reader = channel()
    merged = task(reader, outputs=(output(SIGNALS),))
    give(reader, group(1, "a"))
    with pytest.raises(InvariantError, match="TradingHalted: expected an event of goalkick"):
        merged.advance()


def test_events_that_a_core_does_not_take_are_passed_over() -> None:
    reader = channel()
    merged = task(reader)
    reader.accept(0, Place(Group(1, 1), 0, True), TradingHalted(time_ns=1), b"")
    merged.advance()
    assert (heard(merged), merged.moment, merged.handled) == ([], 1, 0)


# Reports come back within the moment -------------------------------------------------------------


def bring(to: Task, topic: Topic, records: list[Told]) -> None:
    (reader,) = (c for c in to.channels.values() if c.topic is topic)
    give(reader, records)


def test_reports_are_waited_for_twice_in_a_moment_while_any_may_come() -> None:
    risk = task(channel(BARS), channel(REPORTS), channel(SIGNALS), awaits=lambda _: True)
    bring(risk, BARS, group(1, "bar"))
    bring(risk, SIGNALS, group(1, "signal"))
    risk.advance()
    assert heard(risk) == ["bar"]
    bring(risk, REPORTS, group(1, "fill at the bar", phase=0))
    assert reasons(risk.advance()) == ["1:bar", "2:fill at the bar", "3:signal"]
    assert risk.moment < 1
    bring(risk, REPORTS, group(1, "fill of the order"))
    risk.advance()
    assert heard(risk) == ["bar", "fill at the bar", "signal", "fill of the order"]
    assert risk.moment == 1


def test_reports_are_not_waited_for_when_none_can_come() -> None:
    risk = task(channel(BARS), channel(REPORTS), channel(SIGNALS), awaits=lambda _: False)
    bring(risk, BARS, group(1, "bar"))
    bring(risk, SIGNALS, group(1, "signal"))
    risk.advance()
    assert (heard(risk), risk.moment, risk.unordered) == (["bar", "signal"], 1, False)


def test_who_reports_says_early_what_the_market_alone_caused() -> None:
    bars, decisions = channel(BARS), channel(DECISIONS)

    class Reporter(Scribe):
        """Answers on the topic of reports."""

    execution = Task(Reporter(answers=False), (bars, decisions), (output(REPORTS),))
    give(bars, group(1, "bar"))
    (early,) = execution.advance()
    assert told(early, REPORTS)[0] == Place(Group(1, 0), 0, True)
    give(decisions, group(1, "order"))
    (late,) = execution.advance()
    assert told(late, REPORTS)[0] == Place(Group(1, 1), 0, True)


# Whatever arrives when --------------------------------------------------------------------------

MOMENTS = 4
TOPICS: tuple[tuple[Topic, int], ...] = (
    (BARS, 0), (BARS, 1), (FEATURES, 0), (SIGNALS, 0), (SIGNALS, 1),
)  # fmt: skip

_KEYS = st.sampled_from(["", "x", "y", "xz", "zx"])

Stream = list[Told]
World = list[Stream]


def fresh() -> Task:
    return task(*(channel(topic, number) for topic, number in TOPICS))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """For each input its events and the ends of all moments.

    Nothing happens in a moment without bars: they are what everything else answers.
    """
    streams: World = [[] for _ in TOPICS]
    for moment in range(1, MOMENTS + 1):
        keys = [draw(_KEYS) for _ in TOPICS]
        happens = any(kept for kept, (topic, _) in zip(keys, TOPICS, strict=True) if topic is BARS)
        for number, stream in enumerate(streams):
            mine = enumerate(keys[number] if happens else ())
            stream.extend(group(moment, *(f"{key}/{number}.{moment}.{n}" for n, key in mine)))
    return streams


def without_some_markers(draw: st.DrawFn, stream: Stream) -> Stream:
    """Markers may be left out wherever a later record says the same; the last may not."""
    return [
        found
        for found in stream[:-1]
        if found[1] is not None or draw(st.booleans())
    ] + stream[-1:]  # fmt: skip


def with_restarts(draw: st.DrawFn, stream: Stream) -> Stream:
    """As a producer says it that dies now and then and starts again from an earlier moment."""
    said_again: Stream = []
    at = 0
    for _ in range(draw(st.integers(0, 2))):
        cut = draw(st.integers(at, len(stream)))
        said_again += without_some_markers(draw, stream[at:cut])[:cut] if cut > at else []
        starts = [i for i, (place, _) in enumerate(stream) if place.ordinal == 0 and i <= cut]
        at = draw(st.sampled_from(starts))
    return said_again + without_some_markers(draw, stream[at:])


@st.composite
def told_worlds(draw: st.DrawFn) -> tuple[World, World]:
    """A world, and one way in which its inputs may be told."""
    world = draw(worlds())
    return world, [with_restarts(draw, stream) for stream in world]


def reference(world: World) -> tuple[list[str], list[tuple[Place, bytes]]]:
    """What is handled and said if everything is there from the start."""
    whole = fresh()
    for reader, stream in zip(whole.channels.values(), world, strict=True):
        give(reader, stream)
    messages = whole.advance()
    return heard(whole), events_said(messages)


def events_said(messages: list[Message]) -> list[tuple[Place, bytes]]:
    """Places and contents, repetitions and markers left out.

    Two different messages at one place are a contradiction: readers would believe the first.
    """
    found: dict[Place, bytes] = {}
    for message in messages:
        place, event = told(message, DECISIONS)
        if event is not None:
            assert found.setdefault(place, message.value) == message.value
    return list(found.items())


@settings(max_examples=60, deadline=None)
@given(told_worlds(), st.data())
def test_no_batching_interleaving_repetition_or_coalescing_changes_what_is_handled(
    both: tuple[World, World], data: st.DataObject
) -> None:
    world, streams = both
    merged = fresh()
    readers = list(merged.channels.values())
    messages: list[Message] = []
    while left := [
        (reader, stream)
        for reader, stream in zip(readers, streams, strict=True)
        if reader.next_offset < len(stream)
    ]:
        reader, stream = data.draw(st.sampled_from(left))
        count = data.draw(st.integers(1, 6))
        at = reader.next_offset
        give(reader, stream[at : at + count])
        if data.draw(st.booleans()):
            messages += merged.advance()
    messages += merged.advance()
    assert (heard(merged), events_said(messages)) == reference(world)
    assert not merged.unordered
    assert told(messages[-1], DECISIONS)[0].group == Group(MOMENTS, 1)


def give_on(reader: Channel, stream: Stream, count: int) -> None:
    at = reader.next_offset
    give(reader, stream[at : at + count])


@settings(max_examples=60, deadline=None)
@given(told_worlds(), st.data())
def test_going_on_from_any_older_snapshot_is_invisible_to_readers(
    both: tuple[World, World], data: st.DataObject
) -> None:
    world, streams = both
    merged = fresh()
    saved = checkpoint.take(merged, "test")
    messages: list[Message] = []
    deaths = data.draw(st.integers(0, 4))
    for _ in range(200):
        left = [
            n for n, c in enumerate(merged.channels.values()) if c.next_offset < len(streams[n])
        ]
        if not left:
            break
        choice = data.draw(st.sampled_from(["read", "read", "read", "save", "die"]))
        if choice == "read":
            number = data.draw(st.sampled_from(left))
            reader = list(merged.channels.values())[number]
            give_on(reader, streams[number], data.draw(st.integers(1, 4)))
            messages += merged.advance()
        elif choice == "save":
            saved = checkpoint.take(merged, "test")
        elif deaths:
            deaths -= 1
            merged = fresh()
            assert checkpoint.resume(merged, checkpoint.read(saved)) == []
    for number, reader in enumerate(merged.channels.values()):
        give_on(reader, streams[number], 1000)
    messages += merged.advance()
    assert (heard(merged), events_said(messages)) == reference(world)


def test_a_snapshot_amid_a_moment_holds_what_was_not_said_yet() -> None:
    features, forecasts = channel(FEATURES), channel(FORECASTS)
    merged = task(features, forecasts)
    give(features, group(1, "f1"))
    assert merged.advance() == []
    other = task(channel(FEATURES), channel(FORECASTS))
    checkpoint.resume(other, checkpoint.read(checkpoint.take(merged, "test")))
    bring(other, FORECASTS, group(1, "p1"))
    assert reasons(other.advance()) == ["1:f1", "2:p1"]


@pytest.mark.parametrize("data", [b"", b"\x80", b"no"])
def test_a_snapshot_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDataError, match="snapshot of a task: expected a checkpoint"):
        checkpoint.read(data)


def test_a_snapshot_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_VERSION", 0)
    data = checkpoint.take(fresh(), "test")
    monkeypatch.undo()
    with pytest.raises(InvalidDataError, match="expected version 1, found 0"):
        checkpoint.read(data)


def test_an_input_that_a_snapshot_does_not_know_is_read_from_its_start() -> None:
    before = task(channel(BARS, 0))
    give(before.channels[(BARS.name, 0)], group(1, "a"))  # type: ignore[index]
    before.advance()
    after = task(channel(BARS, 0), channel(BARS, 1))
    checkpoint.resume(after, checkpoint.read(checkpoint.take(before, "test")))
    assert [c.next_offset for c in after.channels.values()] == [1, 0]
