"""The six services as processes on a broker: start, kill, scale, and read what they decided.

All runs share a broker; topics are emptied between runs by deleting and making them again.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from goalkick.common.adapters.log.access import user_name
from goalkick.common.adapters.log.connection import client_options
from goalkick.common.adapters.log.kafka_topics import create_topics, wanted_topics
from goalkick.common.codec import protobuf
from goalkick.common.events.base import Event
from goalkick.common.events.control import Progress
from goalkick.common.events.order import OrderFilled
from goalkick.common.events.signal import Signal
from goalkick.common.ports.log import Partition, Record
from goalkick.common.runtime.envelope import envelope, read_event
from goalkick.common.runtime.place import HEADER, Group, Place, read_place
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import PARTS, SERVICES, TOPIC_OF, TOPICS, partition_of
from goalkick.common.values.ids import EventId, InstrumentId, StrategyId
from goalkick.common.values.time import NS_PER_SECOND
from tests.kafka.cluster import KafkaCluster

DECISIONS = tuple(t for t in TOPICS if t.producer in ("strategy", "risk", "execution"))
REPORTS = TOPIC_OF[OrderFilled]


class Platform:
    """Services on a broker; each copy is a process that is started again when it dies."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        settings: dict[str, Any],
        partitions: int = 6,
        cluster: KafkaCluster | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            bootstrap: where the broker is.
            folder: for settings and logs.
            settings: a file's sections.
            partitions: of topics by instrument.
            cluster: where every service shows a password of its own; None: an open broker.
        """
        self.bootstrap = bootstrap
        self.folder = folder
        self.cluster = cluster
        self.kafka = (
            cluster.settings(partitions=partitions)
            if cluster
            else KafkaSettings(bootstrap_servers=bootstrap, partitions=partitions)
        )
        self._client = client_options(self.kafka, "test")
        self.config = folder / "goalkick.yaml"
        runtime = settings.setdefault("runtime", {})
        runtime["kafka"] = {
            "bootstrap_servers": bootstrap, "session_timeout": "3s", **runtime.get("kafka", {})
        }  # fmt: skip
        self.settings = settings
        self.config.write_text(yaml.safe_dump(settings))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deaths: Counter[str] = Counter()
        self._starts: Counter[str] = Counter()

    async def make_topics(self) -> None:
        """Fresh, empty topics."""
        admin = AIOKafkaAdminClient(**self._client)
        await admin.start()
        try:
            names = [topic.name for topic in wanted_topics(self.kafka)]
            existing = set(await admin.list_topics())
            gone = [name for name in names if name in existing]
            if gone:
                await admin.delete_topics(gone)
                async with asyncio.timeout(30):
                    while set(await admin.list_topics()) & set(gone):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            groups = [f"goalkick.{service}" for service in (*SERVICES, *PARTS)]
            with contextlib.suppress(Exception):
                await admin.delete_consumer_groups(groups)
        finally:
            await admin.close()
        await create_topics(self.kafka)

    def start(self, service: str, copy: int = 0, environ: dict[str, str] | None = None) -> None:
        """Starts a copy of a service."""
        name = f"{service}-{copy}"
        self._starts[name] += 1
        with (self.folder / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"goalkick.{service}", "--config", self._config(service)],
                stdout=out,
                stderr=out,
                env={**os.environ, **(environ or {})},
            )

    def _config(self, service: str) -> str:
        """The file of settings that a service is started with."""
        if self.cluster is None:
            return str(self.config)
        path = self.folder / f"{service}.yaml"
        section = self.cluster.section(user_name(service, None))
        kafka = self.settings["runtime"]["kafka"] | section
        runtime = self.settings["runtime"] | {"kafka": kafka}
        path.write_text(yaml.safe_dump(self.settings | {"runtime": runtime}))
        return str(path)

    def start_all(self, services: Collection[str] = SERVICES) -> None:
        """One copy of each."""
        for service in services:
            self.start(service)

    def kill(self, name: str) -> None:
        """SIGKILL, and a new process in its place."""
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.deaths[name] += 1
        service, _, copy = name.rpartition("-")
        self.start(service, int(copy))

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(timeout=10)

    def revive(self) -> None:
        """Starts again what has ended by itself, as an orchestrator does."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.deaths[f"{name} by itself"] += 1
                service, _, copy = name.rpartition("-")
                self.start(service, int(copy))

    def close(self) -> None:
        """Ends everything."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a failing test."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(line[:400] for line in tail))
        return "\n".join(parts)

    async def finished(self, moment: int, account: str = "main", timeout_s: float = 60) -> None:
        """Returns when execution has said all about `moment`; revives what dies meanwhile."""
        partition = partition_of(account, REPORTS.partitions)
        place = TopicPartition(REPORTS.name, partition)
        consumer = AIOKafkaConsumer(**self._client, auto_offset_reset="earliest")
        await consumer.start()
        deadline = time.monotonic() + timeout_s
        try:
            consumer.assign([place])
            while True:
                self.revive()
                with contextlib.suppress(ConnectionError):
                    for record in (await consumer.getmany(timeout_ms=200)).get(place, ()):
                        found = read_place(dict(record.headers).get(HEADER)).group
                        if found.moment >= moment and found.phase == 1:
                            return
                if time.monotonic() > deadline:
                    raise AssertionError(
                        f"expected reports up to {moment} within {timeout_s} s\n{self.logs()}"
                    )
        finally:
            await consumer.stop()

    def worked(self, name: str) -> bool:
        """Whether a copy was ever given anything to do; needs log level info."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        assigned = [json.loads(line) for line in lines if '"partitions assigned"' in line]
        return any(line["tasks"] for line in assigned)

    async def seen(self, wanted: Callable[[Event], bool], timeout_s: float) -> Any:
        """The first decision that is wanted, among those made before and those to come."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.revive()
            for event in await self.decided():
                if wanted(event):
                    return event
        raise AssertionError(f"expected a certain decision within {timeout_s} s\n{self.logs()}")

    async def send_signal_for(self, instrument: str, target: float) -> None:
        """A signal of nobody's, on a partition that no instrument of the run is on."""
        now_ns = time.time_ns()
        signal_ = Signal(
            time_ns=now_ns,
            instrument=InstrumentId(instrument),
            cause=EventId("0" * 32),
            strategy=StrategyId("somebody"),
            target=target,
            expires_at_ns=now_ns + 60 * NS_PER_SECOND,
        )
        topic = TOPIC_OF[Signal].name
        count = self.kafka.partitions or TOPIC_OF[Signal].partitions
        used = {partition_of(f"simulated:{name}/USDT", count) for name in ("BTC", "ETH", "SOL")}
        number = next(n for n in range(count) if n not in used)
        place = Place(Group(now_ns, 1), 0, True)
        producer = AIOKafkaProducer(**self._client)
        await producer.start()
        try:
            await producer.send_and_wait(
                topic,
                protobuf.encode(signal_),
                key=signal_.key.encode(),
                partition=number,
                headers=list(envelope(signal_, "nobody", place, b"")),
            )
        finally:
            await producer.stop()

    async def decided(self) -> list[Event]:
        """Everything on the topics of decisions, each event once."""
        records = await self.read([topic.name for topic in DECISIONS])
        events: dict[str, Event] = {}
        for record in records:
            event = read_event(record)
            if not isinstance(event, Progress):
                known = events.setdefault(event.id, event)
                assert known == event, f"two events with one id: {known} and {event}"
        return list(events.values())

    async def read(self, topics: Sequence[str]) -> list[Record]:
        """All records of some topics, partition by partition."""
        consumer = AIOKafkaConsumer(**self._client, auto_offset_reset="earliest")
        await consumer.start()
        found: list[Record] = []
        try:
            counts = {t.name: t.partitions for t in wanted_topics(self.kafka)}
            places = [TopicPartition(t, n) for t in topics for n in range(counts[t])]
            consumer.assign(places)
            ends = {p: end for p, end in (await consumer.end_offsets(places)).items() if end}
            while ends:
                for place, batch in (await consumer.getmany(timeout_ms=500)).items():
                    found += [
                        Record(
                            Partition(r.topic, r.partition),
                            r.offset,
                            (r.key or b"").decode(),
                            r.value,
                            r.headers,
                        )
                        for r in batch
                    ]
                    if batch[-1].offset >= ends.get(place, 0) - 1:
                        ends.pop(place, None)
        finally:
            await consumer.stop()
        return found


async def kill_at_random(
    platform: Platform, names: Sequence[str], times: int, seed: int, pause_s: tuple[float, float]
) -> None:
    """Kills each of `names` in turn, at random moments."""
    chance = random.Random(seed)
    for turn in range(times):
        await asyncio.sleep(chance.uniform(*pause_s))
        platform.kill(names[turn % len(names)])
        platform.revive()
