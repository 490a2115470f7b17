"""Each line of the table of access on a real broker: what it allows works, all else is denied."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TransactionalIdAuthorizationFailed
from structlog.testing import capture_logs

from goalkick.common.adapters.log import kafka_acls
from goalkick.common.adapters.log.access import (
    LIST_MAKER,
    OPERATOR,
    TOPIC_MAKER,
    access_of,
    full_name,
    user_name,
)
from goalkick.common.adapters.log.connection import client_options, connected
from goalkick.common.adapters.log.grants import Grant, all_grants
from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.log.kafka_topics import create_topics, wanted_topics
from goalkick.common.adapters.log.rights import AccessError
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.events.order import OrderApproved
from goalkick.common.ports.log import Message, Partition
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import PARTS, SERVICES, TOPIC_OF
from tests.integration.conftest import DEPLOYMENT, TABLE
from tests.kafka.cluster import KafkaCluster
from tests.kafka.knocking import Visitor, visiting

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LAB = "lab"
DECISIONS = TOPIC_OF[OrderApproved].name
TOPICS = [topic.name for topic in wanted_topics(KafkaSettings(), [DEPLOYMENT])]
GROUPS = [right.name for access in TABLE.values() for right in access.rights
          if right.resource == "group"]  # fmt: skip
ONE_SERVICE = sorted({*SERVICES, *PARTS, f"strategy-{DEPLOYMENT}"})


def allowed(who: str, resource: str, name: str, operation: str) -> bool:
    """What the table says."""
    return any(
        operation in right.operations
        and (name.startswith(right.name) if right.prefixed else name == right.name)
        for right in TABLE[who].rights
        if right.resource == resource
    )


def user(cluster: KafkaCluster, who: str, installation: str | None = LAB) -> KafkaSettings:
    return cluster.settings(user_name(who, installation), installation=installation)


async def may(visitor: Visitor, operation: str, topic: str) -> bool:
    name = full_name(topic, LAB)
    return await (visitor.read(name) if operation == "Read" else visitor.write(name))


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("who", TABLE)
async def test_a_topic_is_open_to_whom_the_table_names(
    secured: KafkaCluster, who: str, topic: str
) -> None:
    async with visiting(user(secured, who)) as visitor:
        found = {operation: await may(visitor, operation, topic) for operation in ("Read", "Write")}
    assert found == {each: allowed(who, "topic", topic, each) for each in found}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("who", TABLE)
async def test_a_group_is_open_to_whom_the_table_names(
    secured: KafkaCluster, who: str, group: str
) -> None:
    async with visiting(user(secured, who)) as visitor:
        assert await visitor.join(full_name(group, LAB)) is allowed(who, "group", group, "Read")


def denials() -> Iterator[tuple[str, str, str]]:
    """What must never be, in words that do not come from the table under test."""
    for who in ("strategy", f"strategy-{DEPLOYMENT}", "fused"):
        yield who, "Write", "goalkick.order.decision.v1"
        yield who, "Write", "goalkick.order.report.v1"
        yield who, "Read", "goalkick.order.report.v1"
        yield who, "Read", "goalkick.order.decision.v1"
        yield who, "Read", "goalkick.runtime.risk_state.v1"
        yield who, "Write", "goalkick.runtime.execution_state.v1"
        yield who, "Write", "goalkick.market.bar.v1"
        yield who, "Write", "goalkick.control.command.v1"
        yield who, "Read", "goalkick.runtime.deadletter.v1"
    yield f"strategy-{DEPLOYMENT}", "Write", "goalkick.signal.target.v1"
    yield f"strategy-{DEPLOYMENT}", "Read", "goalkick.runtime.strategy_state.v1"
    yield "strategy", "Write", f"goalkick.signal.target.{DEPLOYMENT}.v1"
    yield "fused", "Read", "goalkick.runtime.strategy_state.v1"
    yield "fused", "Write", f"goalkick.signal.target.{DEPLOYMENT}.v1"
    yield "prediction", "Write", "goalkick.signal.target.v1"
    yield "feature", "Write", "goalkick.signal.target.v1"
    yield "ingest", "Write", "goalkick.order.decision.v1"
    yield "risk", "Write", "goalkick.order.report.v1"
    yield "execution", "Write", "goalkick.order.decision.v1"
    for who in TABLE:
        if who not in ("risk", "execution"):
            yield who, "Read", "goalkick.order.decision.v1"


@pytest.mark.parametrize(("who", "operation", "topic"), sorted(set(denials())))
async def test_what_must_never_be_is_denied(
    secured: KafkaCluster, who: str, operation: str, topic: str
) -> None:
    assert topic in TOPICS
    async with visiting(user(secured, who)) as visitor:
        assert not await may(visitor, operation, topic)


@pytest.mark.parametrize("who", ONE_SERVICE)
async def test_another_installation_is_closed(secured: KafkaCluster, who: str) -> None:
    async with visiting(user(secured, who)) as visitor:
        for topic in TOPICS:
            assert not await visitor.read(topic)
            assert not await visitor.write(topic)


@pytest.mark.parametrize("who", ONE_SERVICE)
async def test_a_service_has_all_its_rights_at_the_start(secured: KafkaCluster, who: str) -> None:
    log = KafkaLog(user(secured, who), "test", TABLE[who].rights)
    await log.start()
    await log.close()


@pytest.mark.parametrize("who", ONE_SERVICE)
async def test_a_certificate_opens_what_a_password_opens(secured: KafkaCluster, who: str) -> None:
    settings = secured.certified(user_name(who, LAB), installation=LAB)
    log = KafkaLog(settings, "test", TABLE[who].rights)
    await log.start()
    await log.close()


async def test_what_is_missing_is_said_at_the_start_logged_and_counted(
    secured: KafkaCluster,
) -> None:
    counted: list[tuple[str, str]] = []
    rights = access_of("risk").rights
    log = KafkaLog(user(secured, "strategy"), "test", rights, lambda *what: counted.append(what))
    with capture_logs() as lines, pytest.raises(AccessError) as told:
        await log.start()
    decisions = f"lab.{DECISIONS}"
    assert "User:lab-goalkick-strategy to have all its rights, found that it lacks " in str(
        told.value
    )
    assert f"Read and Write on topic {decisions}" in str(told.value)
    assert "Read on group lab.goalkick.risk" in str(told.value)
    assert "goalkick.control.command" not in str(told.value)  # of both, and not missing
    assert ("topic", decisions) in counted
    assert ("group", "lab.goalkick.risk") in counted
    (line,) = (line for line in lines if line["name"] == decisions)
    assert line["principal"] == "User:lab-goalkick-strategy"
    assert line["operations"] == ["Read", "Write"]
    denied = [line for line in secured.said().splitlines() if "is Denied" in line]
    assert any("User:lab-goalkick-strategy" in line and decisions in line for line in denied)


async def test_denials_move_the_brokers_metric(secured: KafkaCluster) -> None:
    """What a stranger to our code tries is counted where it cannot be hidden."""
    async with visiting(user(secured, "strategy")) as visitor:
        for _ in range(20):
            assert not await visitor.write(full_name(DECISIONS, LAB))
    assert await asyncio.to_thread(secured.denied_per_minute) > 0


async def test_a_right_that_is_taken_away_ends_the_work(secured: KafkaCluster) -> None:
    who, settings = "prediction", user(secured, "prediction")
    grants = all_grants(TABLE, LAB)
    counted: list[tuple[str, str]] = []
    forecasts = next(r.name for r in TABLE[who].rights if "forecast" in r.name)
    log = KafkaLog(settings, "test", TABLE[who].rights, lambda *what: counted.append(what))
    await log.start()
    try:
        message = Message(Partition(forecasts, 0), "key", b"value", ())
        await log.send([message])
        await log.flush()
        lost = Grant(user_name(who, LAB), "topic", full_name(forecasts, LAB), False, "Write")
        assert lost in grants
        kept = [grant for grant in grants if grant != lost]
        found = await kafka_acls.apply(secured.settings(installation=LAB), kept, prune=True)
        assert found.extra == [lost]
        with pytest.raises(AccessError, match=f"lacks Write on topic lab.{forecasts}"):
            await write_for(30, log, message)
        assert counted == [("topic", f"lab.{forecasts}")]
    finally:
        await log.close()
        found = await kafka_acls.apply(secured.settings(installation=LAB), grants)
        assert found.missing == [lost]


async def write_for(limit_s: float, log: KafkaLog, message: Message) -> None:
    """Writes on: a broker takes a moment to hear of a change of its lists."""
    async with asyncio.timeout(limit_s):
        while True:
            await log.send([message])
            await log.flush()


async def test_nobody_writes_in_transactions(secured: KafkaCluster) -> None:
    for who in ("risk", "execution"):
        settings = user(secured, who)
        producer = AIOKafkaProducer(**client_options(settings, "test"), transactional_id="any")
        with pytest.raises(TransactionalIdAuthorizationFailed):
            await producer.start()
        await producer.stop()


@pytest.mark.parametrize("who", [who for who in TABLE if who != TOPIC_MAKER])
async def test_topics_are_made_by_their_job_alone(secured: KafkaCluster, who: str) -> None:
    with pytest.raises(SettingsError, match="Authorization failed"):
        await create_topics(user(secured, who), [DEPLOYMENT, "another"])


async def test_the_job_finds_the_topics_that_it_made(secured: KafkaCluster) -> None:
    made = await create_topics(user(secured, TOPIC_MAKER), [DEPLOYMENT])
    assert made == dict.fromkeys((full_name(topic, LAB) for topic in TOPICS), False)


@pytest.mark.parametrize("who", [who for who in TABLE if who != LIST_MAKER])
async def test_lists_are_seen_and_made_by_their_maker_alone(
    secured: KafkaCluster, who: str
) -> None:
    settings = user(secured, who)
    with pytest.raises(SettingsError, match=f"User:lab-goalkick-{who} to be allowed to see"):
        await kafka_acls.compare(settings, [])
    with pytest.raises(SettingsError, match=f"User:lab-goalkick-{who} to be allowed to see"):
        await kafka_acls.apply(settings, [])


async def test_the_maker_of_lists_brings_them_to_the_table(secured: KafkaCluster) -> None:
    settings, grants = user(secured, LIST_MAKER), all_grants(TABLE, LAB)
    assert await kafka_acls.compare(settings, grants) == ([], [])
    more = Grant(user_name("strategy", LAB), "topic", full_name(DECISIONS, LAB), False, "Write")
    assert (await kafka_acls.apply(settings, [*grants, more])).missing == [more]
    assert (await kafka_acls.compare(settings, grants)).extra == [more]
    assert (await kafka_acls.apply(settings, grants)).extra == [more]  # told, and left
    assert (await kafka_acls.apply(settings, grants, prune=True)).extra == [more]
    assert await kafka_acls.compare(settings, grants) == ([], [])


async def test_the_operator_can_only_command(secured: KafkaCluster) -> None:
    commands = TOPIC_OF[control_event()].name
    log = KafkaLog(user(secured, OPERATOR), "test", TABLE[OPERATOR].rights)
    await log.start()
    try:
        counts = await log.partitions([commands])
        await log.send([Message(Partition(commands, counts[commands] - 1), "key", b"", ())])
        await log.flush()
        with pytest.raises(AccessError, match=f"Describe on topic lab.{DECISIONS}"):
            await log.partitions([commands, DECISIONS])
    finally:
        await log.close()


def control_event() -> type:
    return next(event for event in TOPIC_OF if event.__name__ == "Halt")


async def knock(settings: KafkaSettings) -> None:
    async with connected(settings, "test"):
        pass


async def test_a_wrong_password_and_an_unknown_user_are_told(secured: KafkaCluster) -> None:
    wrong = secured.settings("stranger")
    with pytest.raises(SettingsError, match="let in User:stranger by SCRAM-SHA-512, found: Auth"):
        await knock(wrong)
    log = KafkaLog(wrong, "test")
    with pytest.raises(SettingsError, match="let in User:stranger"):
        await log.start()
    with pytest.raises(SettingsError, match="let in User:stranger"):
        await log.partitions([DECISIONS])
    with pytest.raises(SettingsError, match="let in User:stranger"):
        await create_topics(wrong)


async def test_whoever_shows_nothing_is_not_let_in(secured: KafkaCluster) -> None:
    for place in (secured.bootstrap, secured.bootstrap_tls):
        plain = KafkaSettings(bootstrap_servers=place, request_timeout="5s")
        with pytest.raises(TransientError, match="hangs up on plaintext"):
            await knock(plain)
    bare = secured.certified("x", certificate_file=None, key_file=None)
    with pytest.raises((TransientError, SettingsError), match="expected"):
        await knock(bare)


async def test_a_certificate_of_a_strange_authority_is_not_let_in(
    secured: KafkaCluster, tmp_path: Path
) -> None:
    stranger = trustme.CA().issue_cert("localhost", common_name=user_name("risk", LAB))
    certificate = tmp_path / "strange.pem"
    stranger.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    settings = secured.certified("x", certificate_file=certificate, key_file=None)
    with pytest.raises((TransientError, SettingsError), match="expected"):
        await knock(settings)


async def test_a_broker_of_a_strange_authority_is_not_spoken_to(
    secured: KafkaCluster, tmp_path: Path
) -> None:
    strange = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(strange))
    settings = secured.settings(user_name("risk", LAB), ca_file=strange)
    with pytest.raises(SettingsError, match=r"runtime\.kafka\.ca_file vouches for, found"):
        await knock(settings)
