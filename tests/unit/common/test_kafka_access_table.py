"""The table of access: everything that the flow needs, nothing else, and the same in every form."""

import shlex
from collections.abc import Iterable
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.adapters.log.access import (
    LIST_MAKER,
    OPERATOR,
    TOPIC_MAKER,
    Access,
    access_of,
    access_table,
    full_name,
    user_name,
)
from goalkick.common.adapters.log.grants import (
    Grant,
    all_grants,
    command_lines,
    strimzi_files,
    strimzi_user,
)
from goalkick.common.core.errors import SettingsError
from goalkick.common.topics import (
    DEAD_LETTERS,
    PARTS,
    SERVICES,
    STATE_OF,
    TOPICS,
    Topic,
    inputs_of,
    outputs_of,
    signals_of,
    state_of,
)
from tests.architecture.sources import ROOT

RENDERED = ROOT / "deploy/k8s/platform/kafka"
TABLE = access_table()
FUSED = access_table(fused=True)


def things(access: Access, operation: str, resource: str = "topic") -> set[str]:
    return {
        right.name
        for right in access.rights
        if right.resource == resource and operation in right.operations and not right.prefixed
    }


@pytest.mark.parametrize("service", [*SERVICES, *PARTS])
def test_a_service_reads_its_inputs_and_its_own_and_writes_its_own(service: str) -> None:
    access = access_of(service)
    outputs = {topic.name for topic in outputs_of(service)}
    state = {STATE_OF[service].name} if service in STATE_OF else set()
    letters = {DEAD_LETTERS.name} if service in STATE_OF else set()
    inputs = {topic.name for topic in inputs_of(service)}
    assert things(access, "Read") == inputs | outputs | state
    assert things(access, "Write") == outputs | state | letters
    assert things(access, "Read", "group") == {f"goalkick.{service}"}
    assert {right.resource for right in access.rights} == {"topic", "group"}


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_each_topic_is_written_by_one(topic: str) -> None:
    writers = [who for who, access in TABLE.items() if topic in things(access, "Write")]
    assert writers == [next(row.producer for row in TOPICS if row.name == topic)]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_fused_each_topic_is_written_by_one_too(topic: Topic) -> None:
    writers = [who for who, access in FUSED.items() if topic.name in things(access, "Write")]
    assert writers == ["fused" if topic.producer in PARTS["fused"] else topic.producer]


def test_the_fused_form_has_the_rights_of_its_parts_and_none_is_left_to_them() -> None:
    assert not FUSED.keys() & set(PARTS["fused"])
    assert list(FUSED)[: list(FUSED).index(OPERATOR)] == ["ingest", "fused", "risk", "execution"]
    parts = [access_of(part) for part in PARTS["fused"]]
    of_their_own = {state_of(part).name for part in PARTS["fused"]}
    for operation in ("Read", "Write"):
        whole = {name for part in parts for name in things(part, operation)} - of_their_own
        assert things(FUSED["fused"], operation) == whole | {state_of("fused").name}
    assert {who: FUSED[who] for who in ("ingest", "risk", "execution")} == {
        who: TABLE[who] for who in ("ingest", "risk", "execution")
    }


@pytest.mark.parametrize("service", STATE_OF)
def test_snapshots_are_nobody_elses(service: str) -> None:
    state = STATE_OF[service].name
    table = FUSED if service in PARTS else TABLE
    users = [who for who, access in table.items() if state in things(access, "Read")]
    assert users == [service]


def test_a_strategy_beside_the_first_has_what_strategies_need_and_its_own() -> None:
    first, beside = access_of("strategy"), access_of("strategy", "guest")
    inputs = {topic.name for topic in inputs_of("strategy")}
    own = {signals_of("guest").name, state_of("strategy", "guest").name}
    assert things(beside, "Read") == inputs | own
    assert things(beside, "Write") == own | {DEAD_LETTERS.name}
    assert things(beside, "Read", "group") == {"goalkick.strategy-guest"}
    assert not things(beside, "Write") & (things(first, "Write") - {DEAD_LETTERS.name})
    assert beside.write_bytes_per_s > 0
    assert first.write_bytes_per_s == 0


def test_risk_may_read_signals_of_whoever_is_added() -> None:
    (beginning,) = (right for right in access_of("risk").rights if right.prefixed)
    assert beginning.operations == ("Read",)
    assert signals_of("anybody").name.startswith(beginning.name)
    others = {topic.name for topic in TOPICS} - {signals_of("").name}
    assert not any(name.startswith(beginning.name) for name in others)


def test_only_two_may_do_more_than_read_and_write() -> None:
    more = {
        who: {one for right in access.rights for one in right.operations} - {"Read", "Write"}
        for who, access in TABLE.items()
    }
    assert more.pop(TOPIC_MAKER) == {"Create", "Describe", "DescribeConfigs"}
    assert more.pop(LIST_MAKER) == {"Alter", "Describe"}
    assert set(map(len, more.values())) == {0}


def test_the_operator_writes_commands_and_reads_nothing() -> None:
    assert things(TABLE[OPERATOR], "Write") == {
        topic.name for topic in TOPICS if topic.producer == "operator"
    }
    assert things(TABLE[OPERATOR], "Read") == set()


@pytest.mark.parametrize("name", ["Guest", "a b", "-a", "a-", "a.b", "x" * 41, "a'; rm"])
def test_a_deployment_whose_name_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="deployment: expected at most 40 small letters"):
        access_table([name])


def test_an_installation_stands_before_every_name() -> None:
    for grant in all_grants(access_table(["guest"]), "lab"):
        assert grant.user.startswith("lab-goalkick-")
        assert grant.resource == "cluster" or grant.name.startswith("lab.goalkick.")
    assert full_name("goalkick.x", None) == "goalkick.x"
    assert user_name("risk", None) == "goalkick-risk"


names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)


@given(st.sets(names, max_size=3), st.none() | names)
def test_every_form_says_the_same(deployments: set[str], installation: str | None) -> None:
    table = access_table(deployments)
    grants = all_grants(table, installation)
    assert len(set(grants)) == len(grants)
    assert set(read_commands(command_lines(grants))) == set(grants)
    users = (
        strimzi_user(who, access, cluster="kafka", installation=installation)
        for who, access in table.items()
    )
    assert {grant for user in users for grant in read_user(user)} == set(grants)


def read_commands(lines: Iterable[str]) -> list[Grant]:
    found = []
    for line in lines:
        words = shlex.split(line)
        options = dict(pairwise(words))
        resource = next(one for one in ("topic", "group", "cluster") if f"--{one}" in words)
        found.append(
            Grant(
                options["--allow-principal"].removeprefix("User:"),
                resource,  # type: ignore[arg-type]
                options.get(f"--{resource}", "") if resource != "cluster" else "kafka-cluster",
                options.get("--resource-pattern-type") == "prefixed",
                options["--operation"],  # type: ignore[arg-type]
            )
        )
    return found


def read_user(user: dict[str, object]) -> list[Grant]:
    spec, metadata = user["spec"], user["metadata"]
    assert isinstance(spec, dict)
    assert isinstance(metadata, dict)
    return [
        Grant(
            metadata["name"],
            acl["resource"]["type"],
            acl["resource"].get("name", "kafka-cluster"),
            acl["resource"].get("patternType") == "prefix",
            operation,
        )
        for acl in spec["authorization"]["acls"]
        for operation in acl["operations"]
    ]


def test_the_files_for_strimzi_are_those_of_the_table() -> None:
    """`goalkick kafka render --out deploy/k8s/platform/kafka` brings them up to date."""
    made = strimzi_files(TABLE, cluster="kafka")
    found = {f"users/{path.name}": path.read_text() for path in (RENDERED / "users").glob("*")}
    assert found == made
    assert f"users/{user_name(LIST_MAKER, None)}.yaml" not in found


def test_kustomize_applies_every_file() -> None:
    listed = yaml.safe_load((RENDERED / "kustomization.yaml").read_text())["resources"]
    there = {
        str(path.relative_to(RENDERED))
        for path in RENDERED.rglob("*.yaml")
        if path.name != "kustomization.yaml"
    }
    assert set(listed) == there


def test_the_brokers_lose_no_record_with_one_of_them() -> None:
    pool, kafka = yaml.safe_load_all((RENDERED / "kafka.yaml").read_text())
    config = kafka["spec"]["kafka"]["config"]
    assert pool["spec"]["replicas"] == config["default.replication.factor"] == 3
    assert config["min.insync.replicas"] == config["transaction.state.log.min.isr"] == 2
    assert config["unclean.leader.election.enable"] is False
    assert config["auto.create.topics.enable"] is False


def test_the_brokers_have_one_door_and_it_asks_who_is_there() -> None:
    _, kafka = yaml.safe_load_all((RENDERED / "kafka.yaml").read_text())
    (door,) = kafka["spec"]["kafka"]["listeners"]
    assert door["tls"] is True
    assert door["authentication"] == {"type": "scram-sha-512"}
    assert kafka["spec"]["kafka"]["authorization"] == {"type": "simple"}
