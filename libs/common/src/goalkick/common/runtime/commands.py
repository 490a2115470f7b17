"""What people tell a running platform: one record on the topic of commands for each.

A command is taken at the next moment that there is, by everybody whom it concerns.
"""

from collections.abc import Mapping
from types import MappingProxyType

from goalkick.common.codec.protobuf import encode
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.control import (
    ActivateStrategy,
    AddDeployment,
    ControlEvent,
    DeactivateStrategy,
    Halt,
    RemoveDeployment,
    Resume,
)
from goalkick.common.ports.log import Log, Message, Partition
from goalkick.common.runtime.envelope import envelope
from goalkick.common.topics import TOPIC_OF, partition_of

COMMANDS: Mapping[str, type[ControlEvent]] = MappingProxyType(
    {
        "halt": Halt,
        "resume": Resume,
        "activate": ActivateStrategy,
        "deactivate": DeactivateStrategy,
        "add": AddDeployment,
        "remove": RemoveDeployment,
    }
)
"""The word for each command -> its event."""

NEEDS_SCOPE = frozenset({"add", "remove"})
"""Commands that are never for everybody."""


def command(word: str, *, scope: str, issuer: str, reason: str, time_ns: int) -> ControlEvent:
    """The event of a command.

    Args:
        word: one of `COMMANDS`.
        scope: an account (halt, resume), a strategy (activate, deactivate), a deployment of
            strategies (add, remove), or `*`.
        issuer: who says so.
        reason: for people.
        time_ns: when, UTC ns.

    Raises:
        InvalidDataError: there is no such command, or it needs a name for its scope.
    """
    kind = COMMANDS.get(word)
    if kind is None:
        raise InvalidDataError(f"expected one of {', '.join(COMMANDS)}, found {word!r}")
    if word in NEEDS_SCOPE and scope in ("", "*"):
        raise InvalidDataError(f"{word}: expected the name of a deployment, found {scope!r}")
    return kind(time_ns=time_ns, scope=scope, issuer=issuer, reason=reason)


def message(event: ControlEvent, partitions: int = 1) -> Message:
    """The record of a command.

    Args:
        event: the command.
        partitions: how many the topic of commands has.
    """
    topic = TOPIC_OF[type(event)].name
    place = Partition(topic, partition_of(event.key, partitions))
    return Message(place, event.key, encode(event), envelope(event, "operator", None, b""))


async def tell(bus: Log, event: ControlEvent) -> None:
    """Sends a command, and returns when it is safe.

    Args:
        bus: not started yet; it is closed afterwards.
        event: the command.

    Raises:
        TransientError: the log cannot be reached.
        SettingsError: the topic of commands is not there.
    """
    await bus.start()
    try:
        topic = TOPIC_OF[type(event)].name
        counts = await bus.partitions([topic])
        await bus.send([message(event, counts[topic])])
        await bus.flush()
    finally:
        await bus.close()
