"""Which partitions a task reads and writes: read off the table of topics, for any service."""

from collections.abc import Callable, Collection, Mapping

import msgspec

from goalkick.common.core.errors import SettingsError
from goalkick.common.core.machine import Core
from goalkick.common.events.market import BarClosed, QuoteChanged
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Partition
from goalkick.common.runtime.channel import Channel
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.common.runtime.standing import Looks
from goalkick.common.runtime.task import Awaits, Opener, Output, Spans, Task
from goalkick.common.topics import (
    TOPIC_OF,
    Topic,
    dividing_topic,
    inner_of,
    inputs_of,
    outputs_of,
    partition_of,
    reading_of,
    signals_of,
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
        deployment: its name where there are several of the service; "" for the only one.
        renews: whether its state follows from what the log holds: a snapshot that other settings
            made is then no reason to stop, but to begin anew.
        looks: what there is to see in its cores, for `/info` and `/metrics`.
        unsaid: names of topics that are its to write and that it leaves empty: what its parts say
            to each other and nobody else wants to hear.
    """

    name: str
    make_core: Callable[[], Core]
    awaits: Awaits | None = None
    account: str | None = None
    reports: Awaits | None = None
    deployment: str = ""
    renews: bool = False
    looks: Looks = Looks()
    unsaid: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """What tells its group, its state and its records from others'."""
        return f"{self.name}-{self.deployment}" if self.deployment else self.name


def inputs(service: str, settings: RuntimeSettings) -> tuple[Topic, ...]:
    """The topics that a service reads in this installation."""
    off = set()
    if not settings.quotes:
        off.add(TOPIC_OF[QuoteChanged].name)
    if not settings.forecasts:
        off.add(TOPIC_OF[ForecastMade].name)
    found: list[Topic] = []
    for topic in inputs_of(service):
        if Signal in topic.events:
            found += map(signals_of, settings.deployments)
        elif topic.name not in off:
            found.append(topic)
    return tuple(found)


def outputs(service: Service) -> Mapping[str, str]:
    """The topics that a service writes: name in the table -> name of this deployment's own."""
    return {
        topic.name: signals_of(service.deployment).name if Signal in topic.events else topic.name
        for topic in outputs_of(service.name)
        if topic.name not in service.unsaid
    }


def task_numbers(service: Service, counts: Mapping[str, int]) -> Collection[int]:
    """The partitions for which there is anything to do.

    Raises:
        SettingsError: topics that belong together have different numbers of partitions.
    """
    dividing = dividing_topic(service.name)
    count = counts[dividing.name]
    own = outputs(service)
    for topic in (*inputs_of(service.name), *outputs_of(service.name)):
        name = own.get(topic.name, topic.name)
        together = reading_of(service.name, topic) != "broadcast"
        if together and topic.key == dividing.key and counts.get(name, count) != count:
            raise SettingsError(
                f"topic {name}: expected {count} partitions like {dividing.name}, "
                f"found {counts[name]}"
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
            range(counts[topic.name])
            if reading_of(service.name, topic) == "broadcast"
            else (number,)
        )
    ]
    own = outputs(service)
    said = [
        Output(topic, Partition(own[topic.name], number), service.title)
        for topic in outputs_of(service.name)
        if topic.name in own
    ]
    return Task(
        service.make_core(),
        channels,
        said,
        service.awaits,
        spans,
        service.reports,
        _opener(service, counts),
        inner_of(service.name),
    )


def _opener(service: Service, counts: Mapping[str, int]) -> Opener | None:
    """How a task that reads signals reads those of a strategy service that is added."""
    if all(Signal not in topic.events for topic in inputs_of(service.name)):
        return None
    count = counts[TOPIC_OF[BarClosed].name]

    def open_(deployment: str) -> list[Channel]:
        topic = signals_of(deployment)
        return [Channel(topic, Partition(topic.name, number)) for number in range(count)]

    return open_
