"""A Kafka that knows who is who, shared by the tests of a session."""

import asyncio
from collections.abc import Iterator

import pytest

from goalkick.common.adapters.log import kafka_acls
from goalkick.common.adapters.log.access import TOPIC_MAKER, access_of, access_table, user_name
from goalkick.common.adapters.log.grants import all_grants
from goalkick.common.adapters.log.kafka_topics import create_topics
from tests.kafka.broker import BrokerMissingError
from tests.kafka.cluster import KafkaCluster

DEPLOYMENT = "guest"
"""A strategy service beside the first one."""

TABLE = {**access_table([DEPLOYMENT]), "fused": access_of("fused")}
"""Both forms: an installation has the three services or the fused one."""
INSTALLATIONS = (None, "lab")
"""The tests knock at the second one; the services of the first do their work."""


@pytest.fixture(scope="session")
def secured() -> Iterator[KafkaCluster]:
    """One broker with TLS, SCRAM and access lists: topics and lists of two installations."""
    users = [user_name(who, name) for who in TABLE for name in INSTALLATIONS]
    passwords = {user: f"of-{user}" for user in users}
    try:
        cluster = KafkaCluster(passwords=passwords)
    except BrokerMissingError as error:
        pytest.exit(str(error), returncode=1)
    try:
        asyncio.run(_prepare(cluster))
        yield cluster
    finally:
        cluster.stop()


async def _prepare(cluster: KafkaCluster) -> None:
    await cluster.ready()
    for name in INSTALLATIONS:
        await kafka_acls.apply(cluster.settings(), all_grants(TABLE, name))
        maker = cluster.settings(user_name(TOPIC_MAKER, name), installation=name)
        made = await create_topics(maker, [DEPLOYMENT])
        assert all(made.values())
