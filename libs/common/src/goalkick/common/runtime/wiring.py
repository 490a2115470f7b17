"""Which partitions a task reads and writes: read off the table of topics, for any service."""

from collections.abc import Callable, Collection, Mapping

import msgspec

from goalkick.common.core.errors import SettingsError
from goalkick.common.core.machine import Core
from goalkick.common.events.market import QuoteChanged
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.task import Awaits, Output, Spans, Task
from goalkick.common.topics import (
    TOPIC_OF,
    Topic,
    dividing_topic,
    inputs_of,
    outputs_of,
    partition_of,
)


class Service(msgspec.Struct, frozen=True):
    """What the runtime has to know of a service.

    Attributes:
        name: as `topics.py` calls it.
        make_core: a fresh core; called once for each task.
        awaits: for a service with a feedback input, see `task.Awaits`.
        reports: for a service with a feedback output: whether its core's state is such that
            somebody may await a report; None: always.
        account: the one account that its cores work for; None if they work for all keys.
    """

    name: str
    make_core: Callable[[], Core]
    awaits: Awaits | None = None
    account: str | None = None
    reports: Awaits | None = None


def inputs(service: str, settings: RuntimeSettings) -> tuple[Topic, ...]:
    """The topics that a service reads in this installation."""
    off = set()
    if not settings.quotes:
        off.add(TOPIC_OF[QuoteChanged].name)
    if not settings.forecasts:
        off.add(TOPIC_OF[ForecastMade].name)
    return tuple(topic for topic in inputs_of(service) if topic.name not in off)


def task_numbers(service: Service, counts: Mapping[str, int]) -> Collection[int]:
    """The partitions for which there is anything to do.

    Raises:
        SettingsError: topics that belong together have different numbers of partitions.
    """
    dividing = dividing_topic(service.name)
    count = counts[dividing.name]
    for topic in (*inputs_of(service.name), *outputs_of(service.name)):
        together = topic.consumers.get(service.name) != "broadcast"
        if together and topic.key == dividing.key and counts.get(topic.name, count) != count:
            raise SettingsError(
                f"topic {topic.name}: expected {count} partitions like {dividing.name}, "
                f"found {counts[topic.name]}"
            )
    if service.account is not None:
        return (partition_of(service.account, count),)
    return range(count)


def make_task(
    service: Service,
    number: int,
    counts: Mapping[str, int],
    settings: RuntimeSettings,
    spans: Spans | None = None,
) -> Task:
    """A fresh task for one partition of the service's dividing topic."""
    channels = [
        Channel(topic, Partition(topic.name, partition))
        for topic in inputs(service.name, settings)
        for partition in (
            range(counts[topic.name]) if topic.consumers[service.name] == "broadcast" else (number,)
        )
    ]
    outputs = [
        Output(topic, Partition(topic.name, number), service.name)
        for topic in outputs_of(service.name)
    ]
    return Task(service.make_core(), channels, outputs, service.awaits, spans, service.reports)
