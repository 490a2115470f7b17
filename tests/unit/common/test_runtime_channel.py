"""Channels and outputs: what is kept, what is dropped as said before, what is missed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.place import BEFORE_ALL, Group, Place, read_place
from tests.unit.common.runtime_parts import (
    COMMANDS,
    DECISIONS,
    END,
    Told,
    channel,
    give,
    group,
    names,
    output,
    said,
    told,
)

STORY = [*group(1, "a", "b"), *group(2, "c"), *group(3), *group(4, "d", "e", "f"), *group(5)]
ALL = ["a", "b", "c", "d", "e", "f"]


def taken(reader: Channel, upto: Group = END) -> list[str]:
    return names(list(reader.take(upto)))


def resumed(reader: Channel, records: list[Told | None]) -> Channel:
    """A new process: goes on where the old one would have, and reads what follows again."""
    fresh = channel()
    fresh.resume(reader.position, reader.done, reader.stalled)
    read_all(fresh, records)
    return fresh


def read_all(reader: Channel, records: list[Told | None]) -> None:
    """Reads a partition to its end; None is a record without a place."""
    for offset in range(reader.next_offset, len(records)):
        found = records[offset]
        if found is None:
            reader.skip(offset)
        else:
            reader.accept(offset, found[0], found[1], b"")


def test_events_are_handed_out_group_by_group_once_the_group_is_complete() -> None:
    reader = channel()
    give(reader, group(1, "a") + group(2, "b", "c")[:1])
    assert (reader.seen, taken(reader)) == (Group(1, 1), ["a"])
    give(reader, group(2, "b", "c")[1:])
    assert (taken(reader), reader.done) == (["b", "c"], Group(2, 1))


def test_no_group_after_the_one_that_was_asked_for_is_handed_out() -> None:
    reader = channel()
    give(reader, STORY)
    assert taken(reader, Group(2, 1)) == ["a", "b", "c"]
    assert taken(reader, Group(3, 1)) == []
    assert taken(reader) == ["d", "e", "f"]


def test_phases_of_a_moment_are_groups_of_their_own() -> None:
    reader = channel()
    give(reader, [*group(1, "a", phase=0), *group(1, "b", "c", phase=1)])
    assert taken(reader, Group(1, 0)) == ["a"]
    assert taken(reader, Group(1, 1)) == ["b", "c"]


def test_the_end_of_an_empty_group_is_handled_by_being_known() -> None:
    reader = channel()
    give(reader, group(7))
    assert (reader.seen, reader.done, reader.position, len(reader)) == (Group(7, 1),) * 2 + (1, 0)


def test_the_end_of_an_empty_group_behind_waiting_events_waits_with_them() -> None:
    reader = channel()
    give(reader, group(1, "a") + group(2))
    assert (reader.done, reader.position) == (BEFORE_ALL, 0)
    assert taken(reader, Group(1, 1)) == ["a"]
    assert (reader.done, reader.position, reader.head) == (Group(2, 1), 2, None)


@given(cuts=st.lists(st.integers(0, len(STORY) - 1), max_size=5), data=st.data())
def test_a_producer_that_starts_again_from_any_earlier_moment_changes_nothing(
    cuts: list[int], data: st.DataObject
) -> None:
    starts = [i for i, (place, _) in enumerate(STORY) if place.ordinal == 0]
    records: list[Told] = []
    at = 0
    for cut in cuts:
        if cut > at:
            records += STORY[at:cut]
            # At the latest with the group in whose middle it died.
            at = data.draw(st.sampled_from([start for start in starts if start <= cut]))
    records += STORY[at:]
    reader = channel()
    give(reader, records)
    assert reader.repetitions == len(records) - len(STORY)
    assert taken(reader) == ALL


@pytest.mark.parametrize(
    "marker", [group(1), group(2), group(3)], ids=["of a known moment", "the last", "before it"]
)
def test_a_marker_of_an_earlier_moment_amid_a_group_is_passed_over(marker: list[Told]) -> None:
    reader = channel()
    give(reader, group(2, "a") + group(4, "b", "c")[:1] + marker + group(4, "b", "c"))
    assert taken(reader) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (group(1, "a") + group(2, "b", "c")[1:], "expected record 0 of group"),
        (group(1, "a", "b", "c")[:1] + group(1, "a", "b", "c")[2:], "expected record 1 of group"),
        (group(1, "a", "b")[:1] + group(2, "c"), "expected more of group"),
        (group(2, "a", "b")[:1] + group(1, "c"), "expected more of group"),
    ],
    ids=["the first", "one amid", "the last", "an older one begins"],
)
def test_a_missing_record_is_a_broken_invariant(records: list[Told], expected: str) -> None:
    with pytest.raises(InvariantError, match=expected) as caught:
        give(channel(), records)
    assert "goalkick.market.bar.v1[0] at offset" in str(caught.value)


def test_what_is_kept_of_a_topic_may_begin_amid_a_group() -> None:
    reader = channel()
    give(reader, group(4, "d", "e", "f")[1:] + group(5, "g"), first=90)
    assert taken(reader) == ["e", "f", "g"]


def test_records_before_the_offset_that_it_stands_at_are_not_taken() -> None:
    reader = channel()
    give(reader, STORY)
    give(reader, STORY, first=0)
    assert (taken(reader), reader.repetitions) == (ALL, 0)


@given(cut=st.integers(0, len(STORY)), upto=st.integers(0, 6))
def test_going_on_elsewhere_at_any_record_loses_and_repeats_nothing(cut: int, upto: int) -> None:
    records: list[Told | None] = list(STORY)
    reader = channel()
    read_all(reader, records[:cut])
    before = taken(reader, Group(upto, 1))
    assert before + taken(resumed(reader, records)) == ALL


UNUSABLE = st.sets(st.integers(0, len(STORY) - 1), min_size=1, max_size=4)


@given(lost=UNUSABLE, cut=st.integers(0, len(STORY)), upto=st.integers(0, 6))
def test_a_record_whose_content_is_broken_costs_itself_alone_even_across_a_restart(
    lost: set[int], cut: int, upto: int
) -> None:
    records: list[Told | None] = [
        (place, None if number in lost else event) for number, (place, event) in enumerate(STORY)
    ]
    reader = channel()
    read_all(reader, records[:cut])
    before = taken(reader, Group(upto, 1))
    expected = [event.reason for _, event in filter(None, records) if event]  # type: ignore[attr-defined]
    assert before + taken(resumed(reader, records)) == expected


@given(lost=UNUSABLE, cut=st.integers(0, len(STORY)), upto=st.integers(0, 6))
def test_a_record_without_a_place_costs_itself_alone_even_across_a_restart(
    lost: set[int], cut: int, upto: int
) -> None:
    records = [None if number in lost else found for number, found in enumerate(STORY)]
    reader = channel()
    read_all(reader, records[:cut])
    before = taken(reader, Group(upto, 1))
    after = resumed(reader, [*records, *group(6)])
    expected = [found[1].reason for found in records if found and found[1]]  # type: ignore[attr-defined]
    assert before + taken(after) == expected


def test_an_unreadable_record_excuses_no_loss_after_the_next_complete_group() -> None:
    reader = channel()
    give(reader, group(1, "a"))
    reader.skip(1)
    give(reader, group(2, "b"))
    with pytest.raises(InvariantError, match="records are missing"):
        give(reader, group(3, "c", "d")[1:])


def test_a_stalled_input_is_still_stalled_elsewhere() -> None:
    reader = channel()
    reader.stalled = True
    assert resumed(reader, []).stalled


def test_commands_are_handed_out_in_order_and_broken_ones_are_passed_over() -> None:
    reader = channel(COMMANDS)
    for offset, event in enumerate([said("halt", 9), None, said("resume", 3)]):
        reader.accept_unordered(offset, event)
    assert reader.position == 0
    assert names(list(reader.take_all())) == ["halt", "resume"]
    assert (reader.position, len(reader)) == (3, 0)


def test_a_broken_command_is_not_read_again() -> None:
    reader = channel(COMMANDS)
    reader.accept_unordered(0, None)
    reader.accept_unordered(0, said("halt", 1))
    assert (reader.position, len(reader)) == (1, 0)


# What producers say -----------------------------------------------------------------------------


def test_the_last_message_of_a_group_says_that_it_is_the_last() -> None:
    saying = output()
    saying.pending = [(said(name, 5), b"") for name in "abc"]
    places = [told(message, DECISIONS)[0] for message in saying.close(Group(5, 1))]
    assert places == [Place(Group(5, 1), number, number == 2) for number in range(3)]
    assert (saying.pending, saying.tell()) == ([], [])


def test_the_end_of_moments_without_events_is_told_once_for_all_of_them() -> None:
    saying = output()
    for moment in (5, 6, 7):
        assert saying.close(Group(moment, 1)) == []
    (message,) = saying.tell()
    assert told(message, DECISIONS) == (Place(Group(7, 1), 0, True), None)
    assert saying.tell() == []


def test_a_message_carries_its_trace_and_its_origin() -> None:
    saying = output()
    saying.pending = [(said("a", 5), b"00-trace")]
    headers = dict(saying.close(Group(5, 1))[0].headers)
    assert headers["traceparent"] == b"00-trace"
    assert headers["ce_source"] == b"/goalkick/test"


@pytest.mark.parametrize("value", [None, b"", b"1:1:0", b"1:1:0:1:1", b"a:1:0:1", b"\xff"])
def test_a_place_that_says_something_else_is_refused(value: bytes | None) -> None:
    with pytest.raises(InvalidDataError, match="header gk-place: expected"):
        read_place(value)


@given(
    st.builds(
        Place,
        st.builds(Group, st.integers(-(2**63), 2**63 - 1), st.integers(0, 1)),
        st.integers(0, 2**31),
        st.booleans(),
    )
)
def test_a_place_is_read_as_it_was_written(place: Place) -> None:
    assert read_place(place.header()) == place
