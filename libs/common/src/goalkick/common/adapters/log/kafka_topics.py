"""Makes the topics of `topics.py` on a Kafka cluster; leaves alone what is there."""

from collections.abc import Mapping, Sequence

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from goalkick.common.adapters.log.kafka import MAX_MESSAGE_BYTES
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import DEAD_LETTERS, STATE_OF, TOPICS
from goalkick.common.values.time import NS_PER_MS

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


def wanted_topics(settings: KafkaSettings) -> list[Wanted]:
    """All topics of the table, with the partitions that the settings say."""
    # Instrument-keyed topics and the states of those who divide them have one number in common.
    chosen = settings.partitions
    usual = max(topic.partitions for topic in TOPICS if topic.key == "instrument")
    topics = [
        Wanted(
            topic.name,
            chosen if chosen and topic.key == "instrument" else topic.partitions,
            _config(topic.retention_ns, compacted=False),
        )
        for topic in TOPICS
    ]
    topics += [
        Wanted(
            topic.name,
            chosen if chosen and topic.partitions == usual else topic.partitions,
            _config(topic.retention_ns, compacted=topic.compacted),
        )
        for topic in (*STATE_OF.values(), DEAD_LETTERS)
    ]
    return topics


async def create_topics(settings: KafkaSettings) -> Mapping[str, bool]:
    """Makes what is missing; topics that exist are left as they are.

    Returns:
        Name -> whether it was made now.

    Raises:
        TransientError: the cluster cannot be reached.
        SettingsError: an existing topic has another number of partitions, or cannot be made.
    """
    wanted = wanted_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    try:
        await admin.start()
    except KafkaConnectionError as error:
        await admin.close()
        raise TransientError(
            f"Kafka: expected a broker at {settings.bootstrap_servers}, found: {error}"
        ) from error
    try:
        described = await admin.describe_topics([topic.name for topic in wanted])
        existing = {d["topic"]: len(d["partitions"]) for d in described if not d["error_code"]}
        _check(wanted, existing)
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            response = await admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        topic.partitions,
                        settings.replication,
                        topic_configs=topic.config,
                    )
                    for topic in missing
                ],
                timeout_ms=_TIMEOUT_MS,
            )
            for name, code, *reason in response.topic_errors:
                if code not in (0, _EXISTS):
                    raise SettingsError(f"topic {name}: expected to make it, found: {reason}")
        return {topic.name: topic.name not in existing for topic in wanted}
    finally:
        await admin.close()


def _check(wanted: Sequence[Wanted], existing: Mapping[str, int]) -> None:
    for topic in wanted:
        found = existing.get(topic.name, topic.partitions)
        if found != topic.partitions:
            raise SettingsError(
                f"topic {topic.name}: expected {topic.partitions} partitions, found {found}; keys "
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
