"""What the cluster decided, and what one process decides about the same market."""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.order import OrderFilled
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Partition, Record
from goalkick.common.runtime.envelope import header_of, read_event, read_place_of
from goalkick.common.telemetry.traces import HEADER as TRACE
from goalkick.common.topics import TOPIC_OF, TOPICS, signals_of
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings
from goalkick.ingest.feeds.build import build_recorded
from goalkick.ingest.settings import IngestSettings
from tests.e2e.cluster.shell import Release

DECIDERS = ("strategy", "risk", "execution")
REPORTS = TOPIC_OF[OrderFilled]
DUMP = Path(__file__).with_name("dump.py")


class Found(NamedTuple):
    """A record, and when it was sent."""

    record: Record
    time_ms: int


def topics_of(producers: Sequence[str], deployments: Iterable[str]) -> list[str]:
    """Names of all that some services say; strategies have a topic each."""
    names = [t.name for t in TOPICS if t.producer in producers and Signal not in t.events]
    if "strategy" in producers:
        names += [signals_of(deployment).name for deployment in deployments]
    return names


def read(release: Release, topics: Iterable[str]) -> list[Found]:
    """All records of some topics, read by a pod of risk."""
    said = release.python("risk", DUMP.read_text(), *topics, variables=release.reads_as)
    lines = said.splitlines()
    return [_found(json.loads(line)) for line in lines]


def complete_until(found: Iterable[Found]) -> int:
    """The last moment, UTC ns, about which execution has said everything."""
    moments = [-1]
    for record, _ in found:
        if record.partition.topic == REPORTS.name:
            place = read_place_of(record, REPORTS)
            if place is not None and place.group.phase == 1 and place.last:
                moments.append(place.group.moment)
    return max(moments)


def decided(found: Iterable[Found], until_ns: int, but: Collection[str] = ()) -> list[Event]:
    """The events of records, each once, in order of partition.

    Args:
        found: the records.
        until_ns: the last moment, UTC ns.
        but: strategies whose events are left out.

    Raises:
        AssertionError: two events have one id.
    """
    events: dict[str, Event] = {}
    for record, _ in found:
        event = read_event(record)
        if getattr(event, "strategy", None) in but:
            continue
        if not isinstance(event, Progress) and event.time_ns <= until_ns:
            known = events.setdefault(event.id, event)
            assert known == event, f"two events with one id: {known} and {event}"
    return list(events.values())


def embedded(values: Mapping[str, Any], until_ns: int) -> list[Event]:
    """What one process decides about the market that a chart's values describe, up to a moment."""
    seen: list[Event] = []
    config = values["config"]
    settings = GoalkickSettings(
        feature=config.get("feature", {}),
        strategy={"strategies": values["strategies"]},
        risk=config.get("risk", {}),
        execution=config.get("execution", {}),
    )
    kinds = [kind for topic in TOPICS if topic.producer in DECIDERS for kind in topic.events]
    pipeline = Pipeline(settings, sinks=[(kind, seen.append) for kind in kinds])
    for step in build_recorded(IngestSettings(**config["ingest"])).steps():
        if step[0].time_ns > until_ns:
            break
        pipeline.feed(step)
    return seen


def difference(expected: Sequence[Event], found: Sequence[Event]) -> str:
    """What is lost, added or other in what was found; empty if nothing is."""
    wanted = {event.id: event for event in expected}
    there = {event.id: event for event in found}
    lost = [event for key, event in wanted.items() if key not in there]
    more = [event for key, event in there.items() if key not in wanted]
    other = [key for key, event in wanted.items() if there.get(key, event) != event]
    if not lost and not more and not other:
        return ""
    kinds = Counter(f"lost {type(e).__name__}" for e in lost)
    kinds += Counter(f"added {type(e).__name__}" for e in more)
    first = min((*lost, *more), key=lambda event: event.time_ns, default=None)
    return f"{dict(kinds)}, {len(other)} differ, first: {first}"


def hops_of_one_trace(found: Sequence[Found]) -> tuple[str, tuple[str, ...]]:
    """The trace that spans most topics, and those topics."""
    spans: dict[str, set[str]] = {}
    for record, _ in found:
        trace = (header_of(record, TRACE) or b"").split(b"-")
        if len(trace) == 4 and not isinstance(read_event(record), Progress):
            spans.setdefault(trace[1].decode(), set()).add(record.partition.topic)
    best = max(spans, key=lambda trace: len(spans[trace]), default="")
    return best, tuple(sorted(spans.get(best, ())))


def longest_silence_s(found: Iterable[Found], since_s: float, until_s: float) -> float:
    """The longest time between two records of execution's, within a stretch of wall time."""
    times = sorted(
        time_ms / 1000 for record, time_ms in found if record.partition.topic == REPORTS.name
    )
    within = [since_s, *(t for t in times if since_s < t < until_s), until_s]
    return max(later - earlier for earlier, later in pairwise(within))


def _found(line: dict[str, Any]) -> Found:
    headers = tuple((name, base64.b64decode(value)) for name, value in line["headers"])
    place = Partition(line["topic"], line["partition"])
    record = Record(place, line["offset"], "", base64.b64decode(line["value"]), headers)
    return Found(record, line["time_ms"])
