"""What a task needs to go on elsewhere: its core's state, how far it had read, what it owes.

The order in which the shell does things makes it safe to stop anywhere:

1. send what was caused, 2. wait until it is acknowledged, 3. save a snapshot, which says how far
the inputs were read, 4. wait until it is acknowledged, 5. note the offsets for onlookers.

Who restarts from the last snapshot says the same things again, and readers drop them by their
place. Until it has said all that was said before (`Task.repeats`, which is saved before anything
is said again), nothing new from outside may come in. Where that cannot be promised
(`Task.unordered`), the snapshot comes first and holds what is to be sent (`owed`); a restart sends
it again before anything else.
"""

from collections.abc import Sequence

import msgspec

from goalkick.common.adapters.secrets.sealing import see_it_is_clear
from goalkick.common.codec import protobuf
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.place import BEFORE_ALL, Group
from goalkick.common.runtime.task import Task
from goalkick.common.topics import TOPIC_OF

_VERSION = 1
_SIGNALS = TOPIC_OF[Signal]


class ChannelState(msgspec.Struct, frozen=True, array_like=True):
    """How far one input was read; see `Channel`, and `Task` for the last two."""

    topic: str
    number: int
    position: int
    done: tuple[int, int]
    stalled: bool
    joining: bool = False
    guest: bool = False


class OutputState(msgspec.Struct, frozen=True, array_like=True):
    """What was said on one output; see `Output`. `pending`: (type name, bytes, trace)."""

    topic: str
    closed: tuple[int, int]
    told: tuple[int, int]
    pending: list[tuple[str, bytes, bytes]]


class OwedMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message to be sent after the snapshot is safe; see `Message`."""

    topic: str
    number: int
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]


class Checkpoint(msgspec.Struct, frozen=True):
    """A task between two steps.

    Attributes:
        version: of this layout.
        writer: which process wrote it, for onlookers and to know one's own.
        moment, repeats, stage, current: see `Task`.
        channels, outputs: see above.
        owed: to be sent (again) first.
        core: the core's own snapshot.
    """

    version: int
    writer: str
    moment: int
    repeats: int
    stage: int
    current: int
    awaiting: bool
    channels: list[ChannelState]
    outputs: list[OutputState]
    owed: list[OwedMessage]
    core: bytes


def take(task: Task, writer: str, owed: Sequence[Message] = ()) -> bytes:
    """The bytes of a snapshot of `task`, which still has to send `owed`."""
    checkpoint = Checkpoint(
        version=_VERSION,
        writer=writer,
        moment=task.moment,
        repeats=task.repeats,
        stage=task.stage,
        current=task.current,
        awaiting=task.awaiting,
        channels=[
            ChannelState(
                *partition,
                channel.position,
                channel.done,
                channel.stalled,
                partition in task.joining,
                partition in task.guests,
            )
            for partition, channel in (*task.channels.items(), *task.joining.items())
        ],
        outputs=[
            OutputState(
                name,
                output.closed,
                output.told,
                [
                    (protobuf.type_name(type(event)), protobuf.encode(event), trace)
                    for event, trace in output.pending
                ],
            )
            for name, output in task.outputs.items()
        ],
        owed=[
            OwedMessage(*message.partition, message.key, message.value, list(message.headers))
            for message in owed
        ],
        core=task.core.snapshot(),
    )
    return msgspec.msgpack.encode(checkpoint)


def read(data: bytes) -> Checkpoint:
    """Understands a snapshot.

    Raises:
        InvalidDataError: the bytes are no snapshot of this version.
        SettingsError: they are sealed.
    """
    see_it_is_clear(data, "snapshot of a task")
    try:
        checkpoint = msgspec.msgpack.decode(data, type=Checkpoint)
    except msgspec.MsgspecError as error:
        raise InvalidDataError(
            f"snapshot of a task: expected a checkpoint, found {error}"
        ) from None
    if checkpoint.version != _VERSION:
        raise InvalidDataError(
            f"snapshot of a task: expected version {_VERSION}, found {checkpoint.version}"
        )
    return checkpoint


def resume(task: Task, checkpoint: Checkpoint) -> list[Message]:
    """Brings a fresh task to where the snapshot was taken; returns what has to be sent first.

    Inputs that the snapshot does not know (a topic got more partitions) are read from the start;
    nobody waits for a deployment that is new among the settings before it has caught up.

    Raises:
        InvalidDataError: the core cannot use its part.
    """
    task.core.restore(checkpoint.core)
    task.moment = checkpoint.moment
    task.repeats = checkpoint.repeats
    task.current = checkpoint.current
    task.awaiting = checkpoint.awaiting
    _resume_channels(task, checkpoint)
    # After the channels: it counts the steps that they make. The last deployment may have gone from
    # the settings, and with it a step.
    task.stage = min(checkpoint.stage, len(task.stages) - 1)
    for said in checkpoint.outputs:
        output = task.outputs.get(said.topic)
        if output is not None:
            output.closed = Group(*said.closed)
            output.told = Group(*said.told)
            output.pending = [
                (protobuf.decode(name, value), trace) for name, value, trace in said.pending
            ]
    return owed_by(checkpoint)


def owed_by(checkpoint: Checkpoint) -> list[Message]:
    """What has to be sent first, whoever goes on."""
    return [
        Message(Partition(m.topic, m.number), m.key, m.value, tuple(m.headers))
        for m in checkpoint.owed
    ]


def _resume_channels(task: Task, checkpoint: Checkpoint) -> None:
    known = {Partition(kept.topic, kept.number): kept for kept in checkpoint.channels}
    for partition, kept in known.items():
        channel = task.channels.get(partition)
        if channel is None and kept.guest:
            channel = Channel(msgspec.structs.replace(_SIGNALS, name=kept.topic), partition)
            task.listen(channel)
        if channel is not None:
            channel.resume(kept.position, Group(*kept.done), kept.stalled)
    for partition, channel in tuple(task.channels.items()):
        if partition in known:
            late = known[partition].joining
        else:
            late = channel.topic.rank == _SIGNALS.rank and task.moment > BEFORE_ALL.moment
        if late:
            task.postpone(partition)
