"""The services do their real work on a Kafka on which each may do only its own."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from goalkick.common.adapters.log import kafka_acls
from goalkick.common.adapters.log.access import user_name
from goalkick.common.adapters.log.grants import Grant, all_grants
from goalkick.common.events.signal import Signal
from goalkick.common.topics import PARTS, SERVICES, TOPIC_OF
from tests.integration.conftest import TABLE
from tests.integration.test_platform_on_kafka import (
    assert_sound,
    embedded,
    in_order,
    settings,
    steps_of,
)
from tests.kafka.cluster import KafkaCluster
from tests.kafka.platform import Platform, kill_at_random

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

FUSED = ("ingest", "fused", "risk", "execution")
SIGNALS = TOPIC_OF[Signal].name


@pytest.fixture
def denials(secured: KafkaCluster) -> Iterator[list[str]]:
    """What the broker denied to services of the first installation during a test."""
    before = len(secured.said())
    found: list[str] = []
    yield found
    users = "|".join(user_name(service, None) for service in (*SERVICES, *PARTS))
    found += re.findall(rf"Principal = User:(?:{users}) is Denied.*", secured.said()[before:])
    assert found == []


@pytest.mark.parametrize("services", [SERVICES, FUSED], ids=["six", "fused"])
async def test_services_with_their_own_rights_decide_what_one_process_decides(
    secured: KafkaCluster, tmp_path: Path, denials: list[str], services: Sequence[str]
) -> None:
    config = settings(4, bars=500, speed=60 * 30)
    steps = steps_of(config)
    platform = Platform(secured.bootstrap, tmp_path, config, cluster=secured)
    try:
        await platform.make_topics()
        platform.start_all(services)
        names = [f"{service}-0" for service in services]
        # Who takes up reads snapshots and the ends of its output: that wants rights, too.
        killing = asyncio.create_task(kill_at_random(platform, names, 6, 3, (0.5, 1.5)))
        await platform.finished(steps[-1][0].time_ns, timeout_s=200)
        assert killing.done(), "the run was over before everything was killed: make it longer"
        decided = await platform.decided()
    finally:
        platform.close()
    assert_sound(decided)
    assert in_order(decided) == in_order(embedded(config, steps))


async def test_a_service_that_lacks_a_right_says_so_and_ends(
    secured: KafkaCluster, tmp_path: Path
) -> None:
    grants = all_grants(TABLE)
    lost = Grant(user_name("strategy", None), "topic", SIGNALS, False, "Write")
    config = tmp_path / "goalkick.yaml"
    section = secured.section(user_name("strategy", None))
    config.write_text(yaml.safe_dump({"runtime": {"kafka": section}}))
    found = await kafka_acls.apply(
        secured.settings(), [grant for grant in grants if grant != lost], prune=True
    )
    assert found.extra == [lost]
    try:
        ended = await asyncio.to_thread(_run, "strategy", config)
    finally:
        assert (await kafka_acls.apply(secured.settings(), grants)).missing == [lost]
    assert ended.returncode == 2
    (said,) = (line for line in ended.stderr.splitlines() if line.startswith("goalkick strategy:"))
    assert said == (
        "goalkick strategy: Kafka: expected User:goalkick-strategy to have all its rights, found "
        f"that it lacks Write on topic {SIGNALS}; `goalkick kafka acls` says who needs what, and "
        "--apply grants it"
    )


async def test_a_service_with_a_wrong_password_says_so_and_ends(
    secured: KafkaCluster, tmp_path: Path
) -> None:
    config = tmp_path / "goalkick.yaml"
    wrong = tmp_path / "password"
    wrong.write_text("not-the-one")
    section = secured.section(user_name("strategy", None)) | {"password": f"file:{wrong}"}
    config.write_text(yaml.safe_dump({"runtime": {"kafka": section}}))
    ended = await asyncio.to_thread(_run, "strategy", config)
    assert ended.returncode == 2
    assert "expected it to let in User:goalkick-strategy by SCRAM-SHA-512" in ended.stderr
    assert "not-the-one" not in ended.stderr + ended.stdout


def _run(service: str, config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", f"goalkick.{service}", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
