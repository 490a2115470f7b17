"""A certificate that is renewed is shown from the next connection on; nobody starts again."""

import datetime
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from goalkick.common.adapters.log.access import access_of, full_name, user_name
from goalkick.common.adapters.log.connection import client_options, connected
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.rights import AccessError, check_rights
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import outputs_of
from tests.kafka.authority import Identity
from tests.kafka.cluster import KafkaCluster

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LAB = "lab"
RISK, FEATURE = (user_name(who, LAB) for who in ("risk", "feature"))


def settings(cluster: KafkaCluster, files: Identity) -> KafkaSettings:
    return cluster.certified(
        files.certificate.stem, certificate_file=files.certificate, key_file=files.key,
        installation=LAB,
    )  # fmt: skip


def put(made: Identity, place: Identity) -> None:
    """Replaces files by others, as a mounted Secret is replaced."""
    for new, old in ((made.key, place.key), (made.certificate, place.certificate)):
        part = old.with_suffix(".new")
        shutil.copy(new, part)
        part.replace(old)


@pytest.fixture
def files(secured: KafkaCluster, tmp_path: Path) -> Identity:
    """Files of a certificate that are a test's own to replace."""
    place = Identity(*(tmp_path / f"own.{end}" for end in ("crt", "key", "pem")))
    put(secured.authority.identity(RISK), place)
    return place


async def has_the_rights_of(
    service: str, options: dict[str, object], config: KafkaSettings
) -> bool:
    from aiokafka.client import AIOKafkaClient

    client = AIOKafkaClient(**options)
    await client.bootstrap()
    try:
        node = client.get_random_node()
        assert await client.ready(node)
        try:
            await check_rights(client._conns[node, 0], access_of(service).rights, "it", LAB)
        except AccessError:
            return False
        return True
    finally:
        await client.close()


async def test_the_next_connection_shows_the_new_certificate(
    secured: KafkaCluster, files: Identity
) -> None:
    config = settings(secured, files)
    options = client_options(config, "test")  # made once, as a service does
    assert await has_the_rights_of("risk", options, config)
    assert not await has_the_rights_of("feature", options, config)
    put(secured.authority.identity(FEATURE), files)
    assert await has_the_rights_of("feature", options, config)
    assert not await has_the_rights_of("risk", options, config)


async def test_files_that_do_not_fit_yet_change_nothing(
    secured: KafkaCluster, files: Identity
) -> None:
    config = settings(secured, files)
    options = client_options(config, "test")
    new = secured.authority.identity(FEATURE)
    shutil.copy(new.certificate, files.certificate)
    with capture_logs() as lines:
        assert await has_the_rights_of("risk", options, config)
    assert {line["event"] for line in lines} >= {"goes on with the kafka certificates it has"}
    shutil.copy(new.key, files.key)
    assert await has_the_rights_of("feature", options, config)


async def test_a_log_goes_on_over_a_renewal_and_a_lost_connection(
    secured: KafkaCluster, files: Identity
) -> None:
    """The old certificate is of another user: what is written after is written by the new one."""
    config = settings(secured, files)
    (decisions,) = outputs_of("risk")
    log = KafkaLog(config, "test", access_of("risk").rights)
    await log.start()
    try:
        message = Message(Partition(decisions.name, 0), "key", b"value", ())
        await log.send([message])
        await log.flush()
        put(secured.authority.identity(RISK), files)
        assert log._producer is not None
        for connection in list(log._producer.client._conns.values()):
            connection.close()
        await log.send([message])
        await log.flush()
    finally:
        await log.close()


async def test_a_certificate_that_has_ended_is_told(secured: KafkaCluster, files: Identity) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    put(secured.authority.identity(RISK, ends=past), files)
    with pytest.raises((TransientError, SettingsError), match="expected"):
        async with connected(settings(secured, files), "test"):
            pass


def test_names_of_the_lab_are_its_own() -> None:
    assert full_name("goalkick.x", LAB) == "lab.goalkick.x"
    assert RISK == "lab-goalkick-risk"
