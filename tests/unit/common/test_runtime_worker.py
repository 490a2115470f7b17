"""Workers: what they show to onlookers, what they wait for, and what they put aside."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.base import Event
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Message, Partition, Record
from goalkick.common.runtime.envelope import header_of
from goalkick.common.runtime.place import Group, Place
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Task
from goalkick.common.runtime.wiring import Service
from goalkick.common.runtime.worker import Worker
from goalkick.common.topics import DEAD_LETTERS, STATE_OF
from goalkick.common.values.time import NS_PER_SECOND
from tests.unit.common.runtime_bench import Bench
from tests.unit.common.runtime_parts import (
    BARS,
    COMMANDS,
    DECISIONS,
    END,
    FEATURES,
    FORECASTS,
    REPORTS,
    SIGNALS,
    Scribe,
    channel,
    give,
    heard,
    names,
    said,
    told,
)

EVENT = RuntimeSettings(clock="event", poll_for="5ms", snapshot_every=0)
WALL = RuntimeSettings(clock="wall", poll_for="5ms", stall_after="2s")
SELDOM = EVENT.model_copy(update={"snapshot_every": 2**63})
NO_FORECASTS = EVENT.model_copy(update={"forecasts": False})


def quiet(name: str, *, listens: bool = False) -> Service:
    """A service that only listens."""
    return Service(name, lambda: Scribe(listens=listens, answers=False))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(partitions=2)
    yield bench
    await bench.stop()


def reached(task: Task, moment: int) -> bool:
    return task.moment >= moment


def everything_heard(worker: Worker) -> list[str]:
    return sorted(name for task in worker.tasks.values() for name in heard(task))


# What onlookers see -----------------------------------------------------------------------------


async def test_a_worker_is_ready_once_its_partitions_are_assigned_and_restored(
    bench: Bench,
) -> None:
    worker = bench.start(quiet("feature"), EVENT)
    assert (worker.connected, worker.ready, worker.tasks) == (False, False, {})
    await bench.until(lambda: worker.ready)
    assert (worker.connected, worker.stalled, sorted(worker.tasks)) == (True, False, [0, 1])
    assert worker.positions() == {f"{BARS.name}/0": 0, f"{BARS.name}/1": 0}


async def test_onlookers_see_how_far_each_task_is_and_what_it_waits_for(bench: Bench) -> None:
    worker = bench.start(quiet("strategy"), EVENT)
    bench.tell(FEATURES, 1, 7, said("f", 7))
    await bench.until(lambda: worker.ready and worker.tasks[1].blocked)
    idle, busy = worker.tasks_running()
    assert idle.startswith("strategy-0 at -")
    assert busy.endswith(f", waits for {FORECASTS.name}[1]")
    bench.tell(FORECASTS, 1, 7)
    await bench.until(lambda: worker.tasks[1].moment == 7)
    assert worker.tasks_running()[1] == "strategy-1 at 7"
    assert worker.positions()[f"{FEATURES.name}/1"] == 1


async def test_progress_of_the_group_is_noted_for_onlookers(bench: Bench) -> None:
    worker = bench.start(quiet("feature"), EVENT)
    bench.tell(BARS, 0, 1, said("a", 1), said("b", 1))
    await bench.until(
        lambda: bench.broker.committed.get(("goalkick.feature", Partition(BARS.name, 0))) == 2
    )
    assert worker.ready


# What does not fit ------------------------------------------------------------------------------


async def test_a_state_topic_with_too_few_partitions_is_refused_at_the_start() -> None:
    states = STATE_OF["feature"].name
    bench = Bench(partitions=2, counts={states: 1})
    bench.start(quiet("feature"), EVENT)
    error = await bench.failure()
    assert isinstance(error, SettingsError)
    assert f"{states}: expected 2 partitions" in str(error)


async def test_topics_that_belong_together_must_have_as_many_partitions() -> None:
    bench = Bench(partitions=2, counts={SIGNALS.name: 3})
    bench.start(quiet("strategy"), EVENT)
    error = await bench.failure()
    assert isinstance(error, SettingsError)
    assert f"{SIGNALS.name}: expected 2 partitions" in str(error)


async def test_a_snapshot_that_cannot_be_understood_stops_the_service(bench: Bench) -> None:
    place = Partition(STATE_OF["feature"].name, 0)
    bench.broker.append(Message(place, "feature-0", b"no snapshot"))
    bench.start(quiet("feature"), EVENT)
    assert isinstance(await bench.failure(), InvalidDataError)


# What is put aside ------------------------------------------------------------------------------


class Choosy(Scribe):
    """Cannot use some events."""

    def _on_signal(self, event: Signal) -> tuple[Event, ...]:
        if event.reason == "unusable":
            raise InvalidDataError("expected something usable")
        return super()._on_signal(event)


def letters(bench: Bench) -> list[tuple[str, str, str]]:
    """Reason, service and key of what was put aside."""
    found = []
    for record in bench.records(DEAD_LETTERS.name):
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        found.append((headers["gk-reason"], headers["gk-service"], record.key))
    return found


async def test_an_event_that_the_core_refuses_is_put_aside_and_the_stream_goes_on(
    bench: Bench,
) -> None:
    worker = bench.start(Service("feature", lambda: Choosy(answers=False)), EVENT)
    bench.tell(BARS, 0, 1, said("a", 1), said("unusable", 1), said("b", 1))
    await bench.until(lambda: worker.ready and everything_heard(worker) == ["a", "b"])
    await bench.until(lambda: letters(bench))
    ((reason, service, _),) = letters(bench)
    assert (reason, service) == ("expected something usable", "feature")


async def test_a_broken_command_is_put_aside_once_and_holds_up_nothing(bench: Bench) -> None:
    bench.command(COMMANDS, said("halt", 1))
    bench.broker.append(Message(Partition(COMMANDS.name, 0), "*", b"\xff", ()))
    worker = bench.start(quiet("risk", listens=True), WALL)
    await bench.until(lambda: worker.ready and "halt" in everything_heard(worker))
    assert [key for _, _, key in letters(bench)] == [f"{COMMANDS.name}[0]@1"]
    await bench.until(lambda: worker.positions()[f"{COMMANDS.name}/0"] == 2)
    await bench.stop()
    again = bench.start(quiet("risk", listens=True), WALL)
    await bench.until(lambda: again.ready)
    assert len(letters(bench)) == 1


async def test_a_record_without_a_place_costs_itself_alone(bench: Bench) -> None:
    bench.tell(BARS, 0, 1, said("a", 1))
    bench.put(BARS, 0, said("lost", 2), None)
    bench.put(BARS, 0, said("b", 2), Place(Group(2, 1), 1, True))
    worker = bench.start(quiet("feature"), EVENT)
    await bench.until(lambda: worker.ready and everything_heard(worker) == ["a", "b"])
    assert [key for _, _, key in letters(bench)] == [f"{BARS.name}[0]@1"]


async def test_a_long_reason_is_cut(bench: Bench) -> None:
    bench.put(BARS, 0, said("a", 1), Place(Group(1, 1), 0, True))
    poison = bench.records(BARS.name)[0]
    headers = tuple((k, b"x" * 5000 if k == "ce_type" else v) for k, v in poison.headers)
    bench.broker.append(Message(Partition(BARS.name, 1), "k", poison.value, headers))
    bench.start(quiet("feature"), EVENT)
    await bench.until(lambda: letters(bench))
    (letter,) = bench.records(DEAD_LETTERS.name)
    assert len(header_of(letter, "gk-reason") or b"") == 1000


# How much may wait ------------------------------------------------------------------------------


async def test_no_more_is_read_while_too_much_waits(bench: Bench) -> None:
    settings = EVENT.model_copy(update={"max_waiting": 100})
    for moment in range(1, 501):
        bench.tell(FEATURES, 0, moment, said(f"f{moment}", moment))
    log = MemoryLog(bench.broker, batch=20)
    worker = bench.start(quiet("strategy"), settings, log)
    await bench.until(lambda: worker.ready and worker.tasks[0].waiting > 100)
    bench.tell(FEATURES, 1, 1, said("elsewhere", 1))
    bench.tell(FORECASTS, 1, 1)
    await bench.until(lambda: "elsewhere" in heard(worker.tasks[1]))
    assert worker.tasks[0].waiting <= 120
    for moment in range(1, 501):
        bench.tell(FORECASTS, 0, moment)
    await bench.until(lambda: len(heard(worker.tasks[0])) == 500)


async def test_a_silent_input_is_given_up_even_if_there_is_more_to_read_than_may_wait(
    bench: Bench,
) -> None:
    settings = WALL.model_copy(update={"max_waiting": 100})
    for moment in range(1, 501):
        bench.tell(FEATURES, 0, moment, said(f"f{moment}", moment))
    worker = bench.start(quiet("strategy"), settings, MemoryLog(bench.broker, batch=50))
    await bench.until(lambda: worker.ready and worker.tasks[0].waiting > 100)

    def time_goes_on() -> bool:
        bench.clock.advance(NS_PER_SECOND)
        return len(heard(worker.tasks[0])) == 500

    await bench.until(time_goes_on)


async def test_a_moment_larger_than_what_may_wait_is_read_to_its_end(bench: Bench) -> None:
    settings = EVENT.model_copy(update={"max_waiting": 100})
    bench.tell(BARS, 0, 1, *(said(f"a{number}", 1) for number in range(300)))
    worker = bench.start(quiet("feature"), settings, MemoryLog(bench.broker, batch=50))
    await bench.until(lambda: worker.ready and len(heard(worker.tasks[0])) == 300)


# Waiting and time -------------------------------------------------------------------------------


async def test_an_input_that_comes_a_little_later_each_time_is_no_silent_input(
    bench: Bench,
) -> None:
    worker = bench.start(quiet("strategy"), WALL)
    bench.tell(FEATURES, 0, 1, said("f1", 1))
    for moment in range(1, 8):
        await bench.until(lambda: worker.ready and worker.tasks[0].blocked)
        bench.clock.advance(NS_PER_SECOND)
        bench.tell(FEATURES, 0, moment + 1, said(f"f{moment + 1}", moment + 1))
        bench.tell(FORECASTS, 0, moment)
        await bench.until(partial(reached, worker.tasks[0], moment))
    assert not worker.stalled


async def test_a_silent_input_is_given_up_after_its_time_and_shown_until_it_is_back(
    bench: Bench,
) -> None:
    worker = bench.start(quiet("strategy"), WALL)
    bench.tell(FEATURES, 0, 1, said("f1", 1))
    await bench.until(lambda: worker.ready and heard(worker.tasks[0]) == ["f1"])
    bench.clock.advance(2 * NS_PER_SECOND - 1)
    bench.tell(FEATURES, 1, 1, said("elsewhere", 1))
    await bench.until(lambda: heard(worker.tasks[1]) == ["elsewhere"])
    assert (worker.tasks[0].moment < 1, worker.stalled) == (True, False)
    bench.clock.advance(1)
    await bench.until(lambda: worker.tasks[0].moment == 1)
    assert worker.stalled
    bench.tell(FORECASTS, 0, 1, said("late forecast", 1))
    bench.tell(FORECASTS, 0, 2)
    bench.tell(FEATURES, 0, 2, said("f2", 2))
    await bench.until(lambda: worker.tasks[0].moment == 2)
    assert not worker.tasks[0].stalled
    assert sorted(heard(worker.tasks[0])) == ["f1", "f2", "late forecast"]


async def test_with_the_clock_of_events_nothing_is_given_up(bench: Bench) -> None:
    worker = bench.start(quiet("strategy"), EVENT)
    bench.tell(FEATURES, 0, 1, said("f1", 1))
    await bench.until(lambda: worker.ready and worker.tasks[0].blocked)
    bench.clock.advance(3600 * NS_PER_SECOND)
    bench.tell(FEATURES, 1, 1, said("elsewhere", 1))
    await bench.until(lambda: heard(worker.tasks[1]) == ["elsewhere"])
    assert (worker.stalled, worker.tasks[0].moment < 1) == (False, True)


class SlowToBegin(MemoryLog):
    """Finds nothing at first, as when a broker is far away or busy."""

    def __init__(self, broker: Broker, empty: int) -> None:
        super().__init__(broker)
        self.left = empty

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        if self.left:
            self.left -= 1
            await asyncio.sleep(0)
            return ()
        return await super().poll(timeout_s)


async def test_what_was_said_while_nobody_listened_is_handled_in_its_own_time(
    bench: Bench,
) -> None:
    start = bench.clock.now_ns()
    for moment in (start, start + NS_PER_SECOND):
        seconds = (moment - start) // NS_PER_SECOND
        for number in range(2):
            bench.tell(BARS, number, moment, said(f"{seconds} bar {number}", moment))
            bench.tell(REPORTS, number, moment)
            bench.tell(SIGNALS, number, moment, said(f"{seconds} signal {number}", moment))
    bench.clock.advance(100 * NS_PER_SECOND)
    service = Service("risk", lambda: Scribe(listens=True, answers=False), account="main")
    worker = bench.start(service, WALL, SlowToBegin(bench.broker, empty=5))
    await bench.until(lambda: worker.ready and len(heard(only(worker))) > 8)
    events, (time,) = heard(only(worker))[:8], heard(only(worker))[8:]
    assert events == sorted(events)
    assert time == f"time {start + 98 * NS_PER_SECOND}"


def only(worker: Worker) -> Task:
    (task,) = worker.tasks.values()
    return task


# When partitions change hands -------------------------------------------------------------------


class Held(MemoryLog):
    """Can hold back what a poll has found, as a busy process does."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.found = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        records = await super().poll(timeout_s)
        if records and not self.go_on.is_set():
            self.found.set()
            await self.go_on.wait()
        return records


async def test_what_was_found_before_partitions_changed_hands_hides_nothing_from_new_tasks(
    bench: Bench,
) -> None:
    held, other = Held(bench.broker), MemoryLog(bench.broker)
    worker = bench.start(quiet("strategy"), NO_FORECASTS, held)
    leaving = bench.start(quiet("strategy"), NO_FORECASTS, other)
    await bench.until(lambda: sorted([*worker.tasks, *leaving.tasks]) == [0, 1])
    await bench.until(lambda: worker.ready and leaving.ready)
    (mine,), (theirs,) = worker.tasks, leaving.tasks
    bench.command(COMMANDS, said("first command", 1))
    bench.tell(FEATURES, mine, 1, said("mine", 1))
    await bench.until(lambda: heard(worker.tasks[mine]) == ["first command", "mine"])
    held.go_on.clear()
    bench.command(COMMANDS, said("second command", 2))
    await held.found.wait()
    await other.vanish()
    assert sorted(worker.tasks) == [0, 1]
    held.go_on.set()
    bench.tell(FEATURES, theirs, 3, said("theirs", 3))
    await bench.until(lambda: "theirs" in heard(worker.tasks[theirs]))
    assert heard(worker.tasks[theirs]) == ["first command", "second command", "theirs"]


async def test_a_stop_while_partitions_change_hands_saves_nothing_that_may_be_others(
    bench: Bench,
) -> None:
    worker = bench.start(quiet("feature"), SELDOM)
    bench.tell(BARS, 0, 1, said("a", 1))
    await bench.until(lambda: worker.ready and everything_heard(worker) == ["a"])
    worker.ready = False
    await bench.stop()
    assert bench.records(STATE_OF["feature"].name) == []


async def test_a_stop_saves_what_was_not_saved_yet(bench: Bench) -> None:
    worker = bench.start(quiet("feature"), SELDOM)
    bench.tell(BARS, 0, 1, said("a", 1))
    await bench.until(lambda: worker.ready and everything_heard(worker) == ["a"])
    assert bench.records(STATE_OF["feature"].name) == []
    await bench.stop()
    again = bench.start(quiet("feature"), SELDOM)
    await bench.until(lambda: again.ready)
    assert everything_heard(again) == ["a"]
    assert sum(task.handled for task in again.tasks.values()) == 0


async def test_what_is_handed_over_is_saved_first_so_that_nothing_is_done_again(
    bench: Bench,
) -> None:
    worker = bench.start(quiet("feature"), SELDOM)
    for number in range(2):
        bench.tell(BARS, number, 1, said(f"a{number}", 1))
    await bench.until(lambda: worker.ready and everything_heard(worker) == ["a0", "a1"])
    other = bench.start(quiet("feature"), SELDOM)
    await bench.until(lambda: other.ready and worker.ready and len(other.tasks) == 1)
    ((number, task),) = other.tasks.items()
    assert (heard(task), task.handled) == ([f"a{number}"], 0)


async def test_who_was_away_goes_on_from_what_others_have_done_meanwhile(bench: Bench) -> None:
    """A copy that was taken for dead still has its tasks; they are not what they were."""
    log = MemoryLog(bench.broker)
    away = bench.start(quiet("strategy"), NO_FORECASTS, log)
    bench.tell(FEATURES, 0, 1, said("f1", 1))
    await bench.until(lambda: away.ready and heard(away.tasks[0]) == ["f1"])
    assert log._changes is not None
    change = log._changes
    await log.read_from({})
    await log.vanish()
    other_log = MemoryLog(bench.broker)
    other = bench.start(quiet("strategy"), NO_FORECASTS, other_log)
    bench.tell(FEATURES, 0, 2, said("f2", 2))
    await bench.until(lambda: other.ready and heard(other.tasks[0]) == ["f1", "f2"])
    bench.command(COMMANDS, said("command", 3))
    bench.tell(FEATURES, 0, 3, said("f3", 3))
    await bench.until(lambda: heard(other.tasks[0])[2:] == ["command", "f3"])
    await other_log.vanish()
    await log.join("goalkick.strategy", FEATURES.name, *change)
    assert heard(away.tasks[0]) == ["f1", "f2", "command", "f3"]


# Whatever dies when -----------------------------------------------------------------------------


class Died(Exception):  # noqa: N818 -- it stands for SIGKILL, which is no error
    """Nothing of ours handles it."""


class Fate:
    """Ends lives at random operations."""

    def __init__(self, chance: random.Random, odds: float) -> None:
        self.chance = chance
        self.odds = odds

    def __call__(self, operation: str) -> None:
        if self.chance.random() < self.odds:
            raise Died(operation)


RISK = Service("risk", lambda: Scribe(listens=True), lambda _: True, "main")


@pytest.mark.parametrize("seed", range(12))
async def test_no_death_in_real_time_shows_to_readers(seed: int) -> None:
    """Commands, silence and the clock make decisions that no restart may make otherwise."""
    chance, bench = random.Random(seed), Bench()
    expected = await some_lives(bench, chance)
    last = bench.start(RISK, WALL.model_copy(update={"snapshot_every": 0}))
    for topic in (BARS, REPORTS, SIGNALS):
        bench.tell(topic, 0, bench.clock.now_ns())
    await bench.until(lambda: last.ready and only(last).moment >= bench.clock.now_ns())
    bench.clock.advance(10 * NS_PER_SECOND)
    await bench.until(lambda: only(last).moment >= bench.clock.now_ns() - 2 * NS_PER_SECOND)
    await bench.until(lambda: not only(last).waiting)
    history = list(enumerate(heard(only(last)), 1))
    await bench.stop()
    answers = [f"{number}:{name}" for number, name in history if not name.startswith("report")]
    assert read_back(bench) == answers
    events = [name for _, name in history if not name.startswith("time")]
    assert sorted(events) == sorted(expected)


async def some_lives(bench: Bench, chance: random.Random) -> list[str]:
    """Things happen, now and then too late, while one copy after the other dies."""
    expected: list[str] = []
    moments = {topic.name: bench.clock.now_ns() for topic in (BARS, REPORTS, SIGNALS)}
    for life in range(8):
        log = MemoryLog(bench.broker, batch=3, fault=Fate(chance, 0.04))
        bench.start(RISK, WALL, log)
        for step in range(30):
            name = f"{life}.{step}"
            topic = chance.choice([BARS, BARS, SIGNALS, REPORTS, COMMANDS])
            if topic is COMMANDS:
                bench.command(COMMANDS, said(f"command {name}", bench.clock.now_ns()))
                expected.append(f"command {name}")
            else:
                bench.clock.advance(chance.randrange(NS_PER_SECOND))
                moments[topic.name] = max(
                    moments[topic.name] + 1,
                    bench.clock.now_ns() - chance.choice([0, 0, 5 * NS_PER_SECOND]),
                )
                kind = "report" if topic is REPORTS else "event"
                event = said(f"{kind} {name}", moments[topic.name])
                bench.tell(topic, 0, moments[topic.name], event)
                expected.append(f"{kind} {name}")
            await bench.broker.arrival(0.001)
            if bench.ended():
                break
        await bench.bury()
    return expected


def read_back(bench: Bench) -> list[str]:
    """What a reader makes of all decisions."""
    reader = channel(DECISIONS)
    give(reader, [told(message_of(found), DECISIONS) for found in bench.records(DECISIONS.name)])
    return names(list(reader.take(END)))


def message_of(found: Record) -> Message:
    return Message(found.partition, found.key, found.value, found.headers)
