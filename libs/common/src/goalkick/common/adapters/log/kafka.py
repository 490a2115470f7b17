"""The partitioned log on Apache Kafka, by aiokafka.

Membership and reading are two consumers: one belongs to the group and never fetches, the other
reads whatever partitions it is told to. So a service reads topics that are not divided among its
copies, from offsets that stand in its snapshots, and Kafka's group protocol decides who does what.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
)
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
)

from goalkick.common.adapters.log.access import Operation, Resource, Right, full_name
from goalkick.common.adapters.log.connection import client_options, connected, explained, who
from goalkick.common.adapters.log.kafka_changes import Changes
from goalkick.common.adapters.log.kafka_names import Names
from goalkick.common.adapters.log.rights import (
    DENIED_TOPIC,
    AccessError,
    Denied,
    check_rights,
    denied,
    read_denial,
)
from goalkick.common.core.errors import (
    GoalkickError,
    InvariantError,
    SettingsError,
    TransientError,
)
from goalkick.common.ports.log import Change, Message, Partition, Record
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND

_FOREVER_MS = 2**31 - 1
"""The member never fetches, so it may never be taken for stuck because it does not."""

_MEMBER_LOOKS_MS = 5_000
"""How often the member looks who leads the partitions: aiokafka does not look when a former leader
sends it away, and would ask it again and again for the usual five minutes."""

_TAIL_WAIT_MS = 10_000
"""How long the last record of a partition may take to arrive."""

_CLOSE_S = 0.5
"""How long each of our three connections may take to end: together within a service's stop."""

MAX_RECORDS = 2_000
"""Records a poll returns at most: bounds how long the loop is busy with one batch (about 50 ms)."""

MAX_MESSAGE_BYTES = 16 * 2**20
"""Largest snapshot; the state topics are made with the same limit."""


class KafkaLog:
    """One member's access to a Kafka cluster."""

    def __init__(
        self,
        settings: KafkaSettings,
        client: str,
        rights: Collection[Right] = (),
        on_denied: Denied | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            settings: where and how; with a resolved password.
            client: name of this process, shown in the broker's logs.
            rights: what `start` sees whether the broker allows it.
            on_denied: is told of each thing that the broker denies us.
        """
        self._settings = settings
        self._client = client
        self._rights = rights
        self._on_denied = on_denied
        self._names = Names(settings.installation)
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._member: AIOKafkaConsumer | None = None
        self._under_way: list[asyncio.Future[Any]] = []
        self._listener: Changes | None = None

    async def start(self) -> None:
        """See the port."""
        common = self._common
        await self._see_the_rights()
        timeout_ms = self._settings.request_timeout // NS_PER_MS
        compression = None if self._settings.compression == "none" else self._settings.compression
        self._producer = AIOKafkaProducer(
            **common,
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
            linger_ms=self._settings.linger // NS_PER_MS,
            max_batch_size=256 * 1024,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=timeout_ms,
        )
        self._reader = AIOKafkaConsumer(
            **common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )
        try:
            await self._producer.start()
            await self._reader.start()
        except KafkaConnectionError as error:
            await self.close()
            raise await explained(self._settings, self._client, error) from error

    async def close(self) -> None:
        """See the port."""
        for client in (self._member, self._reader, self._producer):
            if client is not None:
                # A broker that is away must not keep us: the others find out by themselves.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.stop(), _CLOSE_S)
        self._member = self._reader = self._producer = None

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """See the port."""
        inner = {self._names.outer(topic): topic for topic in topics}
        admin = AIOKafkaAdminClient(**self._common)
        try:
            with self._reaching("describe topics", "Describe"):
                await admin.start()
                described = await admin.describe_topics(list(inner))
        except TransientError as error:
            raise await explained(self._settings, self._client, error) from error
        finally:
            await admin.close()
        hidden = [each["topic"] for each in described if each["error_code"] == DENIED_TOPIC]
        if hidden:
            raise self._denial("topic", ", ".join(sorted(hidden)), "Describe")
        counts = {
            inner[each["topic"]]: len(each["partitions"])
            for each in described
            if not each["error_code"]
        }
        missing = sorted(set(topics) - set(counts))
        if missing:
            raise SettingsError(
                f"Kafka at {self._settings.bootstrap_servers}: expected {len(topics)} topics, "
                f"found no {', no '.join(missing)}; make them with `goalkick topics --create`"
            )
        return counts

    async def join(self, group: str, topic: str, lost: Change, gained: Change) -> None:
        """See the port."""
        session_ms = self._settings.session_timeout // NS_PER_MS
        self._member = AIOKafkaConsumer(
            **self._common,
            group_id=full_name(group, self._settings.installation),
            group_instance_id=self._settings.instance,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(100, session_ms // 10),
            rebalance_timeout_ms=session_ms,
            max_poll_interval_ms=_FOREVER_MS,
            metadata_max_age_ms=_MEMBER_LOOKS_MS,
        )
        self._listener = Changes(self._member, lost, gained)
        self._member.subscribe([self._names.outer(topic)], listener=self._listener)
        with self._reaching("let us join the group", "Read"):
            await self._member.start()

    async def leave(self) -> None:
        """See the port."""
        member, self._member = self._member, None
        if member is not None and self._listener is not None:
            await self._listener.on_partitions_revoked(member.assignment())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(member.stop(), _CLOSE_S)

    async def read_from(self, offsets: Mapping[Partition, int]) -> None:
        """See the port."""
        reader = self._reading()
        if not offsets:
            reader.unsubscribe()
            return
        places = {self._names.place(partition): at for partition, at in offsets.items()}
        reader.assign(list(places))
        for place, offset in places.items():
            reader.seek(place, offset)

    async def poll(self, timeout_s: float) -> Sequence[Record]:
        """See the port."""
        reader = self._reading()
        if self._listener is not None and self._listener.failure is not None:
            raise self._listener.failure
        if not reader.assignment():
            await asyncio.sleep(timeout_s)
            return ()
        try:
            batches = await reader.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=MAX_RECORDS
            )
            if self._member is not None and not batches:
                # Raises what the group's coordination has to say; fetches nothing.
                await self._member.getmany(timeout_ms=0)
        except OffsetOutOfRangeError as error:
            raise InvariantError(
                f"Kafka: expected the records from offset {error.args[0]} on, which are no longer "
                "kept; remove the service's state to begin with what there is"
            ) from error
        except IllegalStateError:
            return ()
        except KafkaError as error:
            self._see_a_denial(error, "Read")
            raise
        return [self._names.record(found) for batch in batches.values() for found in batch]

    def pause(self, partitions: Collection[Partition]) -> None:
        """See the port."""
        self._reading().pause(*map(self._names.place, partitions))

    def resume(self, partitions: Collection[Partition]) -> None:
        """See the port."""
        self._reading().resume(*map(self._names.place, partitions))

    async def send(self, messages: Sequence[Message], *, whole: bool = False) -> None:
        """See the port."""
        producer = self._writing()
        if whole:
            await self._send_whole(messages)
            return
        under_way = self._under_way
        outer = self._names.outer
        with self._reaching("take records", "Write"):
            for message in messages:
                partition, key, value, headers = message
                under_way.append(
                    await producer.send(
                        outer(partition.topic),
                        value,
                        key=key.encode(),
                        partition=partition.number,
                        headers=list(headers),
                    )
                )
        if len(under_way) > MAX_RECORDS:
            self._settle()

    async def _send_whole(self, messages: Sequence[Message]) -> None:
        """One batch for each partition: Kafka writes a batch whole or not at all."""
        producer = self._writing()
        together: dict[Partition, list[Message]] = {}
        for message in messages:
            together.setdefault(message.partition, []).append(message)
        for partition, mine in together.items():
            batch = producer.create_batch()
            for _, key, value, headers in mine:
                if not batch.append(
                    timestamp=None, key=key.encode(), value=value, headers=list(headers)
                ):
                    raise InvariantError(
                        f"Kafka: expected {len(mine)} records of {partition.topic} to fit a batch, "
                        "found more than it holds"
                    )
            batch.close()
            topic = self._names.outer(partition.topic)
            with self._reaching("take records", "Write"):
                self._under_way.append(
                    await producer.send_batch(batch, topic, partition=partition.number)
                )
        self._settle()

    async def flush(self) -> None:
        """See the port."""
        producer = self._writing()
        timeout_s = self._settings.request_timeout / NS_PER_SECOND
        try:
            # An idempotent producer tries again for ever.
            async with asyncio.timeout(timeout_s):
                await producer.flush()
                await asyncio.gather(*self._under_way)
        except TimeoutError as error:
            raise TransientError(
                f"Kafka: expected records to be written within {timeout_s} s, found no answer"
            ) from error
        except KafkaError as error:
            raise self._unwritten(error) from error
        self._under_way.clear()

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """See the port."""
        if not partitions:
            return {}
        async with self._looking() as consumer:
            return await self._ends(consumer, partitions)

    async def tails(
        self, partitions: Collection[Partition], count: int
    ) -> Mapping[Partition, Sequence[Record]]:
        """See the port."""
        found: dict[Partition, list[Record]] = {place: [] for place in partitions}
        if not found:
            return found
        async with self._looking() as consumer:
            known = await self._ends(consumer, partitions)
            ends = {place: end for place, end in known.items() if end[0] < end[1]}
            consumer.assign([self._names.place(place) for place in ends])
            for place, (first, end) in ends.items():
                consumer.seek(self._names.place(place), max(first, end - count))
            # A compacted topic may lack some of the offsets, never the last one.
            while any(
                not found[p] or found[p][-1].offset < end - 1 for p, (_, end) in ends.items()
            ):
                batches = await consumer.getmany(timeout_ms=_TAIL_WAIT_MS)
                if not batches:
                    raise TransientError(
                        f"Kafka: expected the ends of {len(ends)} partitions within "
                        f"{_TAIL_WAIT_MS} ms, found nothing"
                    )
                for batch in batches.values():
                    for record in map(self._names.record, batch):
                        found[record.partition].append(record)
        return {place: records[-count:] for place, records in found.items()}

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """See the port; onlookers lose nothing if it cannot be done in the middle of a change."""
        if self._member is None or not offsets:
            return False
        try:
            await self._member.commit(
                {self._names.place(partition): offset for partition, offset in offsets.items()}
            )
        except (KafkaError, IllegalStateError) as error:
            self._see_a_denial(error, "Read")
            return False
        return True

    @contextlib.asynccontextmanager
    async def _looking(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer for one look: what the reader asks waits until its long fetch is answered."""
        consumer = AIOKafkaConsumer(
            **self._common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )
        try:
            with self._reaching("be looked at", "Read"):
                await consumer.start()
                yield consumer
        except TransientError:
            # What is denied here looks as if nobody answered.
            await self._see_the_rights()
            raise
        finally:
            # With TLS, a connection that still waits for records would take 30 s to end.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(consumer.stop(), _CLOSE_S)

    async def _ends(
        self, consumer: AIOKafkaConsumer, partitions: Collection[Partition]
    ) -> Mapping[Partition, tuple[int, int]]:
        places = {partition: self._names.place(partition) for partition in partitions}
        first = await consumer.beginning_offsets(list(places.values()))
        end = await consumer.end_offsets(list(places.values()))
        return {partition: (first[p], end[p]) for partition, p in places.items()}

    def _settle(self) -> None:
        """Forgets what is acknowledged; raises what failed."""
        left = []
        for future in self._under_way:
            if not future.done():
                left.append(future)
            elif future.exception() is not None:
                raise self._unwritten(future.exception())
        self._under_way = left

    def _unwritten(self, error: BaseException | None) -> GoalkickError:
        if error is not None:
            self._see_a_denial(error, "Write")
        return TransientError(f"Kafka: expected records to be written, found: {error!r}")

    async def _see_the_rights(self) -> None:
        """Asks, where it was said what we need, before anything is begun."""
        if not self._rights:
            return
        async with connected(self._settings, self._client) as connection:
            await check_rights(
                connection,
                self._rights,
                who(self._settings),
                self._settings.installation,
                self._on_denied,
            )

    def _see_a_denial(self, error: BaseException, operation: Operation) -> None:
        """Raises an error in our words if the broker says that we may not."""
        found = read_denial(error)
        if found is not None:
            raise self._denial(*found, operation) from error

    def _denial(self, resource: Resource, name: str, operation: Operation) -> AccessError:
        principal = who(self._settings)
        return denied(principal, [(resource, name, (operation,))], self._on_denied)

    @contextlib.contextmanager
    def _reaching(self, purpose: str, operation: Operation) -> Iterator[None]:
        """Says in our words that the cluster did not do what it was asked for."""
        try:
            yield
        except KafkaError as error:
            self._see_a_denial(error, operation)
            raise TransientError(f"Kafka: expected it to {purpose}, found: {error!r}") from error

    @cached_property
    def _common(self) -> dict[str, Any]:
        return client_options(self._settings, self._client)

    def _reading(self) -> AIOKafkaConsumer:
        if self._reader is None:
            raise InvariantError("Kafka: expected a started log, found one that is not")
        return self._reader

    def _writing(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise InvariantError("Kafka: expected a started log, found one that is not")
        return self._producer
