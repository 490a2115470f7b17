"""Tasks in real time: a silent input is not waited for, late events count once, restarts agree.

What depends on when a record arrived is marked by `unordered`; then the snapshot comes first and
holds what is to be sent, so that no restart can decide otherwise.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goalkick.common.ports.log import Message
from goalkick.common.runtime import checkpoint
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.envelope import last_group
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.task import Task
from goalkick.common.topics import Topic
from tests.unit.common.runtime_parts import (
    BARS,
    COMMANDS,
    DECISIONS,
    END,
    REPORTS,
    SIGNALS,
    Scribe,
    Told,
    channel,
    give,
    group,
    heard,
    names,
    reasons,
    record,
    said,
    task,
    told,
)


def two_bars(*, listens: bool = False) -> tuple[Channel, Channel, Task]:
    left, right = channel(BARS, 0), channel(BARS, 1)
    return left, right, task(left, right, core=Scribe(listens=listens))


def test_a_silent_input_is_not_waited_for_any_more_once_it_is_given_up() -> None:
    left, _, merged = two_bars()
    give(left, group(1, "a") + group(2, "b"))
    assert (merged.advance(), merged.stalled) == ([], False)
    assert merged.give_up()
    assert reasons(merged.advance()) == ["1:a", "2:b"]
    assert (merged.stalled, merged.blocked) == (True, ())


def test_nothing_is_given_up_where_nothing_is_waited_for() -> None:
    left, right, merged = two_bars()
    give(left, group(1, "a"))
    give(right, group(1, "b"))
    merged.advance()
    assert (merged.give_up(), merged.stalled) == (False, False)


def test_late_events_are_handled_once_with_the_next_moment_oldest_first() -> None:
    left, right, merged = two_bars()
    give(left, group(1, "a/a1") + group(2, "a/a2"))
    merged.advance()
    merged.give_up()
    merged.advance()
    give(right, group(1, "c/c1") + group(2, "b/b2") + group(3))
    give(left, group(3, "a/a3"))
    merged.advance()
    assert heard(merged) == ["a1", "a2", "c1", "b2", "a3"]
    assert (merged.unordered, merged.stalled) == (True, False)


def test_an_input_that_has_caught_up_is_waited_for_again() -> None:
    left, right, merged = two_bars()
    give(left, group(1, "a1"))
    merged.advance()
    merged.give_up()
    merged.advance()
    give(right, group(1, "b1"))
    merged.advance()
    assert not merged.stalled
    give(left, group(2, "a2"))
    merged.advance()
    assert merged.blocked == (right,)


def test_reports_that_have_caught_up_are_waited_for_again() -> None:
    bars, reports = channel(BARS), channel(REPORTS)
    merged = task(bars, reports, awaits=lambda _: True)
    give(bars, group(1, "bar"))
    merged.advance()
    assert merged.blocked == (reports,)
    merged.give_up()
    merged.advance()
    assert (heard(merged), merged.moment, merged.stalled) == (["bar"], 1, True)
    give(reports, group(1, phase=0) + group(1, "late fill"))
    give(bars, group(2, "next bar"))
    merged.advance()
    assert (merged.stalled, merged.blocked) == (False, (reports,))
    give(reports, group(2, phase=0) + group(2))
    merged.advance()
    assert sorted(heard(merged)) == ["bar", "late fill", "next bar"]


@pytest.mark.parametrize("what", [group(2, "a2"), group(2)], ids=["an event", "a quiet moment"])
def test_every_moment_without_a_silent_input_depends_on_arrival(what: list[Told]) -> None:
    left, _, merged = two_bars()
    give(left, group(1, "a1"))
    merged.advance()
    merged.give_up()
    merged.advance()
    merged.unordered = False
    give(left, what)
    merged.advance()
    assert merged.unordered


def test_what_comes_in_time_does_not_depend_on_arrival() -> None:
    left, right, merged = two_bars()
    give(left, group(1, "a") + group(2))
    give(right, group(1) + group(2, "b"))
    merged.advance()
    assert not merged.unordered


def test_a_moment_that_only_a_later_rank_knows_depends_on_arrival() -> None:
    bars, signals = channel(BARS), channel(SIGNALS)
    merged = task(bars, signals)
    give(bars, group(1) + group(2))
    give(signals, group(1, "answers nothing"))
    merged.advance()
    assert (heard(merged), merged.unordered) == (["answers nothing"], True)


def test_an_earlier_moment_that_a_later_rank_tells_too_late_depends_on_arrival() -> None:
    bars, signals = channel(BARS), channel(SIGNALS)
    merged = task(bars, signals)
    give(bars, group(2, "bar"))
    merged.advance()
    give(signals, group(1, "answers nothing") + group(2, "signal"))
    merged.advance()
    assert (heard(merged), merged.unordered) == (["bar", "answers nothing", "signal"], True)


# The time ---------------------------------------------------------------------------------------


def test_the_time_makes_a_moment_of_its_own() -> None:
    _, _, merged = two_bars(listens=True)
    merged.tell_time(50)
    (message,) = merged.advance()
    place, event = told(message, DECISIONS)
    assert (place.group, reasons([message])) == (Group(50, 1), ["1:time 50"])
    assert event is not None
    assert (event.time_ns, merged.moment, merged.unordered) == (50, 50, True)


@pytest.mark.parametrize("now", [-5, 7, 8])
def test_the_time_never_goes_back(now: int) -> None:
    left, right, merged = two_bars(listens=True)
    give(left, group(8))
    give(right, group(8))
    merged.advance()
    merged.tell_time(now)
    assert (merged.moment, heard(merged)) == (8, [])


def test_the_time_is_not_told_over_a_moment_that_is_waited_for() -> None:
    left, _, merged = two_bars(listens=True)
    give(left, group(5, "a"))
    merged.advance()
    merged.tell_time(100)
    assert (heard(merged), merged.unordered) == ([], False)


def test_nobody_is_told_the_time_who_does_not_listen_and_misses_nothing() -> None:
    _, _, merged = two_bars()
    merged.tell_time(50)
    assert (merged.moment < 0, merged.unordered, merged.advance()) == (True, False, [])


def test_late_events_are_handled_at_once_and_the_time_comes_after_old_bars_and_before_signals() -> (
    None
):
    bars, signals = channel(BARS), channel(SIGNALS)
    merged = task(bars, signals, core=Scribe(listens=True))
    merged.tell_time(50)
    give(signals, group(40, "late signal"))
    give(bars, group(30, "old bar") + group(40))
    merged.advance()
    merged.tell_time(60)
    assert heard(merged) == ["time 50", "old bar", "time 50", "late signal", "time 60"]


def test_the_time_is_told_with_a_moment_whose_market_is_missing() -> None:
    bars, signals = channel(BARS), channel(SIGNALS)
    merged = task(bars, signals, core=Scribe(listens=True))
    give(bars, group(10, "bar"))
    give(signals, group(10) + group(70, "signal"))
    merged.advance()
    merged.give_up()
    merged.advance()
    assert heard(merged) == ["bar", "time 70", "signal"]


def test_the_time_is_told_again_after_old_bars() -> None:
    bars, signals = channel(BARS), channel(SIGNALS)
    merged = task(bars, signals, core=Scribe(listens=True))
    merged.tell_time(50)
    give(bars, group(30, "old bar") + group(70))
    give(signals, group(70, "signal"))
    merged.advance()
    assert heard(merged) == ["time 50", "old bar", "time 50", "signal"]


# Commands ---------------------------------------------------------------------------------------


def with_commands(*, listens: bool = False) -> tuple[Channel, Channel, Task]:
    bars, commands = channel(BARS), channel(COMMANDS)
    return bars, commands, task(bars, commands, core=Scribe(listens=listens))


def test_a_command_is_obeyed_before_the_next_moment() -> None:
    bars, commands, merged = with_commands()
    commands.accept_unordered(0, said("halt", 1))
    assert (merged.advance(), merged.unordered) == ([], False)
    give(bars, group(5, "bar"))
    merged.advance()
    assert (heard(merged), merged.unordered) == (["halt", "bar"], True)


def test_a_command_does_not_wait_for_the_market_for_ever() -> None:
    _, commands, merged = with_commands()
    commands.accept_unordered(0, said("halt", 1))
    merged.tell_time(9)
    assert (heard(merged), merged.moment, merged.unordered) == (["halt"], 9, True)


def test_a_crash_right_after_saving_sends_exactly_what_was_owed() -> None:
    bars, commands, merged = with_commands()
    commands.accept_unordered(0, said("halt", 1))
    give(bars, group(5, "bar") + group(6))
    messages = merged.advance()
    assert merged.unordered
    saved = checkpoint.take(merged, "first", messages)
    _, _, other = with_commands()
    owed = checkpoint.resume(other, checkpoint.read(saved))
    assert owed == messages
    assert (heard(other), other.advance()) == (heard(merged), [])
    assert [c.next_offset for c in other.channels.values()] == [2, 1]


def test_an_input_that_was_given_up_stays_so_across_a_restart() -> None:
    left, _, merged = two_bars()
    give(left, group(1, "a1"))
    merged.advance()
    merged.give_up()
    merged.advance()
    left, _, other = two_bars()
    checkpoint.resume(other, checkpoint.read(checkpoint.take(merged, "first")))
    give(left, group(2, "a2"))
    other.advance()
    assert (other.stalled, heard(other)) == (True, ["a1", "a2"])


def test_commands_and_time_wait_until_all_is_said_again_that_was_said_before() -> None:
    bars, commands, again = with_commands(listens=True)
    assert again.repeat(5)
    commands.accept_unordered(0, said("halt", 1))
    give(bars, group(4, "bar"))
    again.advance()
    again.tell_time(5)
    assert heard(again) == ["bar"]
    give(bars, group(5) + group(6, "next bar"))
    again.advance()
    assert heard(again) == ["bar", "halt", "next bar"]


@pytest.mark.parametrize(("said_before", "news"), [(3, False), (4, False), (5, True)])
def test_what_is_to_be_said_again_is_news_only_if_it_was_not_known(
    said_before: int, news: bool
) -> None:
    bars, _, merged = with_commands()
    give(bars, group(4, "bar"))
    merged.advance()
    assert merged.repeat(said_before) == news
    assert not merged.repeat(said_before)


# Anything, in any order -------------------------------------------------------------------------

INPUTS = {
    "two partitions": ((BARS, 0), (BARS, 1)),
    "two ranks": ((BARS, 0), (SIGNALS, 0)),
    "reports": ((BARS, 0), (REPORTS, 0)),
}
MOMENTS = 4
OPERATIONS = ("read 0", "read 0", "read 1", "read 1", "obey", "wait", "time", "save", "die", "die")
Step = tuple[str, int, bool]
"""An operation, how much of it, and whether the process dies once its snapshot is safe."""

SCRIPTS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(1, 2), st.booleans()),
    min_size=4,
    max_size=16,
)
WORLDS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["", "x", "x", "yx"])),
    min_size=2,
    max_size=2 * MOMENTS,
)
"""In each moment: which input says something, and about which keys; the other one's turn ends."""


class Shell:
    """What the worker does, with deaths wherever it may die, and a reader of what it sends."""

    def __init__(self, inputs: tuple[tuple[Topic, int], ...], world: list[tuple[int, str]]) -> None:
        self.inputs = inputs
        self.logs: list[list[Told]] = [[], []]
        self.expected = ["command 0", "command 1"]
        for moment, (speaker, keys) in enumerate(world, 1):
            kind = "report" if inputs[speaker][0] is REPORTS else "event"
            said_now = [f"{kind} {speaker}.{moment}.{number}" for number in range(len(keys))]
            self.expected += said_now
            for which, log in enumerate(self.logs):
                if inputs[which][0] is REPORTS:
                    log.extend(group(moment, phase=0))
                mine = zip(keys, said_now, strict=True) if which == speaker else ()
                log.extend(group(moment, *(f"{key}/{name}" for key, name in mine)))
        self.now = 0
        self.arrived = [0, 0, 0]
        self.sent: list[Message] = []
        self.task = self.fresh()
        self.saved = checkpoint.take(self.task, "shell")

    def fresh(self) -> Task:
        inputs = [channel(topic, number) for topic, number in self.inputs]
        core = Scribe(listens=True)
        return task(*inputs, channel(COMMANDS), core=core, awaits=lambda _: True)

    def do(self, what: str, count: int, dies: bool) -> None:
        readers = list(self.task.channels.values())
        if what.startswith("read"):
            which = int(what[-1])
            at = readers[which].next_offset
            give(readers[which], self.logs[which][at : at + count])
        elif what == "obey":
            for offset in range(readers[2].next_offset, 2):
                readers[2].accept_unordered(offset, said(f"command {offset}", offset))
        elif what == "wait" and self.task.blocked and self.caught_up:
            self.task.give_up()
            self.task.unordered = True
        elif what == "time" and self.caught_up:
            self.now = max(self.now, self.task.moment) + count
            self.task.tell_time(self.now)
        elif what == "save":
            self.saved = checkpoint.take(self.task, "shell")
        elif what == "die":
            self.die()
        self.arrived = [max(*pair) for pair in zip(self.arrived, self.read, strict=True)]
        self.send(self.task.advance(), dies)

    @property
    def read(self) -> list[int]:
        return [reader.next_offset for reader in self.task.channels.values()]

    @property
    def caught_up(self) -> bool:
        """Whether all is read again that was there when it started; time must wait for that."""
        return self.read == self.arrived

    def send(self, messages: list[Message], dies: bool) -> None:
        """As `checkpoint.py` says: what depends on arrival is saved first."""
        if self.task.unordered:
            self.saved = checkpoint.take(self.task, "shell", messages)
            self.task.unordered = False
            if dies:
                self.die()
                return
        self.sent += messages

    def die(self) -> None:
        self.task = self.fresh()
        owed = checkpoint.resume(self.task, checkpoint.read(self.saved))
        if self.task.repeat(last_group([record(message, 0) for message in self.sent]).moment):
            self.saved = checkpoint.take(self.task, "shell", owed)
        self.sent += owed

    def end(self) -> None:
        """Everything arrives, and time goes on."""
        for which in range(2):
            self.logs[which] += group(MOMENTS * 10)
            self.do(f"read {which}", 1000, False)
        self.do("obey", 1, False)
        while self.task.blocked:
            self.do("wait", 1, False)
        self.do("time", 1, False)

    def read_back(self) -> list[str]:
        """What a reader makes of all that was sent."""
        reader = channel(DECISIONS)
        give(reader, [told(message, DECISIONS) for message in self.sent])
        return names(list(reader.take(END)))


def script(*operations: str) -> list[Step]:
    """Operations as in `OPERATIONS`; a number after a comma says how much."""
    parts = [operation.partition(",") for operation in operations]
    return [(what, int(count or 1), False) for what, _, count in parts]


TWO_MOMENTS = [(0, "x"), (0, "x")]
AN_ANSWER_TO_NOTHING = [(1, "x"), (0, "x")]


@settings(max_examples=300, deadline=None)
@example("two partitions", TWO_MOMENTS, script("read 0,2", "wait", "read 0", "die"))
@example("two partitions", [(0, ""), *TWO_MOMENTS], script("read 0,2", "wait", "read 0", "die"))
@example(
    "two partitions",
    TWO_MOMENTS,
    script("read 0", "wait", "read 1", "read 0", "read 1", "die"),
)
@example("two partitions", TWO_MOMENTS, script("read 0", "obey", "read 1", "die"))
@example("two ranks", AN_ANSWER_TO_NOTHING, script("read 0,2", "read 1,2", "die", "read 1"))
@example(
    "two ranks",
    AN_ANSWER_TO_NOTHING,
    script("read 0", "read 1,2", "read 0", "die", "die", "obey"),
)
@example(
    "reports",
    AN_ANSWER_TO_NOTHING,
    script("read 0", "read 1", "read 1", "read 1", "read 0", "die"),
)
@given(inputs=st.sampled_from(sorted(INPUTS)), world=WORLDS, steps=SCRIPTS)
def test_no_death_or_delay_shows_to_readers(
    inputs: str, world: list[tuple[int, str]], steps: list[Step]
) -> None:
    shell = Shell(INPUTS[inputs], world)
    for step in steps:
        shell.do(*step)
    shell.end()
    history = [f"{number}:{name}" for number, name in enumerate(heard(shell.task), 1)]
    assert shell.read_back() == [answer for answer in history if ":report" not in answer]
    events = [name for name in heard(shell.task) if not name.startswith("time")]
    assert sorted(events) == sorted(shell.expected)
