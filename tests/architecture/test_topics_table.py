"""The table of topics: one direction, one declared feedback, every name in one place."""

import ast
import re
from collections.abc import Iterable

import pytest
from grimp import build_graph

from goalkick.common import topics
from goalkick.common.codec.protobuf import KINDS
from goalkick.common.events.control import Progress
from goalkick.common.topics import (
    DEAD_LETTERS,
    SERVICES,
    STATE_OF,
    TOPIC_OF,
    TOPICS,
    InternalTopic,
    Topic,
)
from tests.architecture.sources import ROOT, modules, python_files, tree_of

NAME = re.compile(
    r"goalkick\.(market|feature|prediction|signal|order|control|runtime)\.[a-z_]+\.v\d+"
)
ANY_NAME = re.compile(r"goalkick\.[a-z_]+\.[a-z_]+\.v\d+")
INTERNAL: tuple[InternalTopic, ...] = (DEAD_LETTERS, *STATE_OF.values())

NAMES = [*(topic.name for topic in TOPICS), *(topic.name for topic in INTERNAL)]


def edges(table: Iterable[Topic]) -> set[tuple[str, str, str]]:
    """(producer, consumer, topic) of every flow."""
    return {(topic.producer, name, topic.name) for topic in table for name in topic.consumers}


def cycles(flows: Iterable[tuple[str, str, str]]) -> list[tuple[str, ...]]:
    """Every simple cycle of services, begun at its alphabetically first member."""
    after: dict[str, set[str]] = {}
    for producer, consumer, _ in flows:
        after.setdefault(producer, set()).add(consumer)
    found: list[tuple[str, ...]] = []

    def walk(path: tuple[str, ...]) -> None:
        for name in sorted(after.get(path[-1], ())):
            if name == path[0]:
                found.append(path)
            elif name not in path and name > path[0]:
                walk((*path, name))

    for start in sorted(after):
        walk((start,))
    return found


def test_cycles_are_found() -> None:
    assert cycles([("a", "b", ""), ("b", "a", ""), ("b", "c", ""), ("c", "c", "")]) == [
        ("a", "b"),
        ("c",),
    ]


def test_the_flow_has_one_cycle_which_is_the_declared_feedback() -> None:
    assert cycles(edges(TOPICS)) == [("execution", "risk")]
    assert len([topic for topic in TOPICS if topic.feedback]) == 1
    assert cycles(edges(topic for topic in TOPICS if not topic.feedback)) == []


def test_everything_but_the_feedback_flows_down_the_list_of_services() -> None:
    place = {name: index for index, name in enumerate(("operator", *SERVICES))}
    for topic in TOPICS:
        for name in topic.consumers:
            assert (place[topic.producer] < place[name]) is not topic.feedback, (topic.name, name)


def test_ranks_rise_with_the_flow() -> None:
    """Whoever reads a topic says what it says at a higher rank; only the feedback goes back."""
    for topic in TOPICS:
        for consumer in topic.consumers:
            for said in topics.outputs_of(consumer):
                assert said.feedback or topic.rank < said.rank, (topic.name, said.name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_family_event_and_version(name: str) -> None:
    assert NAME.fullmatch(name)


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_every_event_that_travels_is_on_exactly_one_topic() -> None:
    listed = [event for topic in TOPICS for event in topic.events]
    assert len(set(listed)) == len(listed)
    assert set(listed) | {Progress} == set(KINDS.values())
    assert set(TOPIC_OF) == set(listed)


def test_every_producer_and_consumer_is_a_service() -> None:
    for topic in TOPICS:
        assert topic.producer in (*SERVICES, "operator")
        assert set(topic.consumers) <= set(SERVICES)


def test_topics_are_named_nowhere_but_in_the_table() -> None:
    named = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.value
        for path in python_files("libs", "services", "protos")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ANY_NAME.search(node.value)
        and path != modules()["goalkick.common.topics"]
    }
    assert not named


def test_the_table_stands_below_the_machinery() -> None:
    graph = build_graph("goalkick.common", cache_dir=None)
    below = graph.find_downstream_modules("goalkick.common.topics")
    assert "goalkick.common.runtime.wiring" in below
    above = graph.find_upstream_modules("goalkick.common.topics")
    assert not [name for name in above if ".runtime" in name or ".adapters" in name]
