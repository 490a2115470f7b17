"""Commands: the word, the event, the record; and that services obey them."""

import pytest

from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.events.control import AddDeployment, ControlEvent, Halt
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.commands import COMMANDS, NEEDS_SCOPE, command, message, tell
from goalkick.common.runtime.envelope import read_event
from goalkick.common.topics import TOPIC_OF

TOPIC = TOPIC_OF[Halt].name


def say(word: str, scope: str = "*") -> ControlEvent:
    return command(word, scope=scope, issuer="ann", reason="a drill", time_ns=7)


@pytest.mark.parametrize("word", COMMANDS)
def test_a_command_says_who_what_and_why(word: str) -> None:
    event = say(word, "main")
    assert event == COMMANDS[word](time_ns=7, scope="main", issuer="ann", reason="a drill")


def test_every_event_on_the_topic_of_commands_has_a_word() -> None:
    assert set(COMMANDS.values()) == set(TOPIC_OF[Halt].events)


@pytest.mark.parametrize("word", sorted(NEEDS_SCOPE))
@pytest.mark.parametrize("scope", ["", "*"])
def test_a_command_about_one_deployment_is_not_for_everybody(word: str, scope: str) -> None:
    with pytest.raises(InvalidDataError, match=f"{word}: expected the name of a deployment"):
        say(word, scope)


def test_an_unknown_word_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidDataError, match="expected one of halt, resume"):
        say("pause")


def test_a_command_has_no_place_in_a_moment() -> None:
    assert "gk-place" not in dict(message(say("halt")).headers)


async def test_a_command_that_was_told_is_on_the_log() -> None:
    broker = Broker({TOPIC: 1})
    event = AddDeployment(time_ns=7, scope="guest", issuer="ann")
    await tell(MemoryLog(broker), event)
    (record,) = broker.records[Partition(TOPIC, 0)]
    assert read_event(record) == event
    assert record.key == "guest"


async def test_without_the_topic_of_commands_nothing_is_told() -> None:
    with pytest.raises(SettingsError, match="expected topics"):
        await tell(MemoryLog(Broker({})), say("halt"))
