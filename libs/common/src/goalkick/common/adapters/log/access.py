"""THE table of who may do what on Kafka, made from the table of topics.

A service may do what its place in the flow asks for, and nothing else. What is not in here is
denied. Access lists, users, and the page about security are made from this table.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.signal import Signal
from goalkick.common.topics import (
    DEAD_LETTERS,
    PARTS,
    SERVICES,
    STATE_OF,
    TOPIC_OF,
    TOPICS,
    dividing_topic,
    inputs_of,
    outputs_of,
    signals_of,
    state_of,
)

Resource = Literal["topic", "group", "cluster"]
Operation = Literal[
    "Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"
]
"""Kafka's own names. Read and Write imply Describe; Write on any topic implies the right to be an
idempotent producer. Nobody writes in transactions, so nobody may."""

OPERATOR = "operator"
"""A person who tells the platform what to do: halt, resume, activate, deactivate."""

TOPIC_MAKER = "topics"
"""The job that makes topics. It can read and write none of them."""

LIST_MAKER = "access"
"""Who makes access lists, and so could give themselves every right; not needed with Strimzi, whose
operator makes them."""

CLUSTER = "kafka-cluster"
"""Kafka's name for the cluster as a resource."""

BESIDE_RATE = 1_048_576
"""Bytes that a strategy service beside the first may write in a second on each broker: a signal
takes some 300 bytes, so this is thousands of them; what loops without end is slowed down."""

_SIGNALS = TOPIC_OF[Signal]
_BESIDE = "signals of strategy services beside the first"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class Right(msgspec.Struct, frozen=True, order=True):
    """What may be done with one thing.

    Attributes:
        resource: its kind.
        name: its name, without that of the installation.
        operations: all that may be done with it.
        why: one line for people.
        prefixed: whether `name` is only how the names of several things begin.
    """

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    why: str
    prefixed: bool = False


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """All that somebody may do.

    Attributes:
        about: who that is, for people.
        rights: at most one for each thing.
        write_bytes_per_s: how much may be written on each broker; 0: no bound.
    """

    about: str
    rights: tuple[Right, ...]
    write_bytes_per_s: int = 0


def title_of(service: str, deployment: str = "") -> str:
    """What a service is called where there are several of it; the key of `access_table`."""
    return f"{service}-{deployment}" if deployment else service


def group_of(title: str) -> str:
    """The group in which the copies of a service divide their work."""
    return f"goalkick.{title}"


def access_of(service: str, deployment: str = "") -> Access:
    """What a service may do.

    Args:
        service: one of `topics.SERVICES`, or one of `topics.PARTS`, which may do what its parts
            may, with one group and one state of its own.
        deployment: its name where there are several; such a one comes from outside, and cannot
            write without end.
    """
    about = f"The {service} service"
    return Access(
        about=f"{about} {deployment}, deployed beside the first one" if deployment else about,
        rights=_service_rights(service, deployment),
        write_bytes_per_s=BESIDE_RATE if deployment else 0,
    )


def access_table(deployments: Iterable[str] = (), *, fused: bool = False) -> Mapping[str, Access]:
    """Who -> what they may do: services, and three that are none.

    Args:
        deployments: names of strategy services beside the first one.
        fused: whether the installation runs the fused form: it stands in its parts' stead, so that
            each topic is written by one.

    Raises:
        SettingsError: a deployment's name cannot be one.
    """
    stands_for = PARTS if fused else {}
    instead = {part: whole for whole, parts in stands_for.items() for part in parts}
    services = dict.fromkeys(instead.get(service, service) for service in SERVICES)
    table = {service: access_of(service) for service in services}
    for deployment in sorted(set(deployments) - {""}):
        if not _NAME.fullmatch(deployment):
            raise SettingsError(
                "deployment: expected at most 40 small letters, digits and inner hyphens, found "
                f"{deployment!r}"
            )
        table[title_of("strategy", deployment)] = access_of("strategy", deployment)
    table[OPERATOR] = Access(
        about="A person who halts, resumes, activates and deactivates",
        rights=tuple(
            Right("topic", topic.name, ("Write",), "tells the platform what to do")
            for topic in outputs_of(OPERATOR)
        ),
    )
    table[TOPIC_MAKER] = Access(
        about="The job that makes topics",
        rights=(
            Right(
                "topic",
                TOPICS[0].name.partition(".")[0] + ".",
                ("Create", "Describe", "DescribeConfigs"),
                "makes those that are missing",
                prefixed=True,
            ),
        ),
    )
    table[LIST_MAKER] = Access(
        about="Who makes the access lists",
        rights=(Right("cluster", CLUSTER, ("Alter", "Describe"), "sees and changes the lists"),),
    )
    return MappingProxyType(table)


def user_name(who: str, installation: str | None) -> str:
    """The name of somebody's user at the broker.

    Args:
        who: a key of `access_table`.
        installation: `runtime.kafka.installation`.
    """
    return f"{installation}-goalkick-{who}" if installation else f"goalkick-{who}"


def full_name(name: str, installation: str | None) -> str:
    """The name at the broker of a topic or a group."""
    return f"{installation}.{name}" if installation else name


def _service_rights(service: str, deployment: str) -> tuple[Right, ...]:
    rights: list[Right] = []
    for topic in inputs_of(service):
        rights.append(Right("topic", topic.name, ("Read",), "its input"))
        if topic == _SIGNALS:
            rights.append(Right("topic", _beginning(topic.name), ("Read",), _BESIDE, prefixed=True))
    for topic in outputs_of(service):
        name = signals_of(deployment).name if topic == _SIGNALS else topic.name
        # Who starts again looks how much it had said.
        rights.append(Right("topic", name, ("Read", "Write"), "its output"))
    if service in STATE_OF:
        state = state_of(service, deployment).name
        rights.append(Right("topic", state, ("Read", "Write"), "its snapshots"))
        # Only readers meet a record that cannot be used.
        rights.append(Right("topic", DEAD_LETTERS.name, ("Write",), "puts aside what is no use"))
    group = group_of(title_of(service, deployment))
    rights.append(Right("group", group, ("Read",), f"divides {dividing_topic(service).name}"))
    return tuple(rights)


def _beginning(name: str) -> str:
    """How the names of a topic's siblings begin: all of it but the version."""
    return f"{name.rpartition('.')[0]}."
