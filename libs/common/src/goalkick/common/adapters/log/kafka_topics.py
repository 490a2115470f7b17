"""Makes the topics of `topics.py` on a Kafka cluster; leaves alone what is there."""

from collections.abc import Mapping, Sequence

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from goalkick.common.adapters.log.access import full_name
from goalkick.common.adapters.log.connection import client_options, explained
from goalkick.common.adapters.log.kafka import MAX_MESSAGE_BYTES
from goalkick.common.core.errors import SettingsError
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import DEAD_LETTERS, STATE_OF, TOPICS, signals_of, state_of
from goalkick.common.values.time import NS_PER_MS

_CLIENT = "goalkick-topics"
_TIMEOUT_MS = 30_000
_EXISTS = 36
"""Kafka's error code TOPIC_ALREADY_EXISTS."""


class Wanted(msgspec.Struct, frozen=True):
    """A topic as it should be.

    Attributes:
        name: of the topic.
        partitions: how many.
        config: the broker's settings for it that differ from the broker's own.
    """

    name: str
    partitions: int
    config: dict[str, str]


def wanted_topics(settings: KafkaSettings, deployments: Sequence[str] = ()) -> list[Wanted]:
    """All topics of the table, with the partitions that the settings say.

    Args:
        settings: say how many partitions and copies there are.
        deployments: names of strategy services beside the first, whose signals and snapshots
            want topics of their own.
    """
    # Instrument-keyed topics and the states of those who divide them have one number in common.
    chosen = settings.partitions
    usual = max(topic.partitions for topic in TOPICS if topic.key == "instrument")
    beside = [name for name in deployments if name]
    states = [state_of("strategy", name) for name in beside]
    safe = {"min.insync.replicas": str(in_sync(settings.replication))}
    topics = [
        Wanted(
            topic.name,
            chosen if chosen and topic.key == "instrument" else topic.partitions,
            _config(topic.retention_ns, compacted=False) | safe,
        )
        for topic in (*TOPICS, *map(signals_of, beside))
    ]
    topics += [
        Wanted(
            topic.name,
            chosen if chosen and topic.partitions == usual else topic.partitions,
            _config(topic.retention_ns, compacted=topic.compacted) | safe,
        )
        for topic in (*STATE_OF.values(), *states, DEAD_LETTERS)
    ]
    return topics


def in_sync(replication: int) -> int:
    """How many copies of a record there must be before it counts as written (`acks=all`).

    With three copies two: one broker may be lost without losing a record or standing still. With
    two it is one: else the loss of either would stop everything.
    """
    return replication // 2 + 1 if replication > 2 else 1


async def create_topics(
    settings: KafkaSettings, deployments: Sequence[str] = ()
) -> Mapping[str, bool]:
    """Makes what is missing; topics that exist are left as they are.

    Args:
        settings: where, and as whom; with a resolved password.
        deployments: names of strategy services beside the first, whose signals and snapshots
            want topics of their own.

    Returns:
        Name at the broker -> whether it was made now.

    Raises:
        TransientError: the cluster cannot be reached.
        SettingsError: an existing topic has another number of partitions, or cannot be made.
    """
    wanted = {
        full_name(topic.name, settings.installation): topic
        for topic in wanted_topics(settings, deployments)
    }
    admin = AIOKafkaAdminClient(**client_options(settings, _CLIENT))
    try:
        await admin.start()
    except KafkaConnectionError as error:
        await admin.close()
        raise await explained(settings, _CLIENT, error) from error
    try:
        described = await admin.describe_topics(list(wanted))
        existing = {d["topic"]: len(d["partitions"]) for d in described if not d["error_code"]}
        _check(wanted, existing)
        missing = {name: topic for name, topic in wanted.items() if name not in existing}
        if missing:
            response = await admin.create_topics(
                [
                    NewTopic(
                        name,
                        topic.partitions,
                        settings.replication,
                        topic_configs=topic.config,
                    )
                    for name, topic in missing.items()
                ],
                timeout_ms=_TIMEOUT_MS,
            )
            for name, code, *reason in response.topic_errors:
                if code not in (0, _EXISTS):
                    raise SettingsError(f"topic {name}: expected to make it, found: {reason}")
        return {name: name in missing for name in wanted}
    finally:
        await admin.close()


def _check(wanted: Mapping[str, Wanted], existing: Mapping[str, int]) -> None:
    for name, topic in wanted.items():
        found = existing.get(name, topic.partitions)
        if found != topic.partitions:
            raise SettingsError(
                f"topic {name}: expected {topic.partitions} partitions, found {found}; keys "
                "would move to other partitions and lose their order, so it is left as it is"
            )


def _config(retention_ns: int, *, compacted: bool) -> dict[str, str]:
    if compacted:
        return {
            "cleanup.policy": "compact",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            # Snapshots are many and large, and only the last one counts.
            "segment.ms": str(600_000),
            "min.cleanable.dirty.ratio": "0.1",
        }
    return {"retention.ms": str(retention_ns // NS_PER_MS) if retention_ns else "-1"}
