"""Kafka, as the roles need it: the topics, one producer, and the reading of how far each topic goes."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from api.socle.kafka import KafkaIndisponible
from engine import dead_letters as rebuts
from engine import kafka_clients as clients
from engine.outages import describe
from service.settings import Settings
from service.topic_configs import topic_configs
from service.tracing import Tracing, sending

ACK_SECONDS: Final = 8.0
"""How long the bank's POST waits for Kafka before it is answered 503."""

REOPEN_SECONDS: Final = 1.0
"""After a failed opening, how long callers are refused without a new attempt."""

READ_MS: Final = 2_000
"""How long `lag` and `/metrics` wait for a broker."""

PENDING_READ_SECONDS: Final = 3.0
"""How long `lag` looks for the time of the oldest unread message."""


def topics(settings: Settings) -> dict[str, int]:
    """All topics of the service, with their partitions."""
    wanted = dict(settings.incoming.values())
    return (
        wanted
        | {f"{topic}{rebuts.SUFFIXE}": 1 for topic in wanted}
        | {settings.topic_evenements: settings.partitions_evenements, settings.topic_soldes: settings.partitions_soldes}
        | {settings.topic_points: 1}
    )


def ensure_dead_letters(settings: Settings, topic: str) -> bool:
    """Create this dead-letter topic if it is missing; whether it was.

    Raises TopicRefused if Kafka does not let us, KafkaError if it does not answer.
    """
    admin = clients.open_client(
        KafkaAdminClient, **settings.kafka_connection(), bootstrap_timeout_ms=clients.OPENING_MS
    )
    try:
        if topic in admin.list_topics():
            return False
        structlog.get_logger().error("topic_de_rebuts_disparu", topic=topic)
        options = {
            "num_partitions": 1,
            "replication_factor": settings.topic_replicas,
            "configs": topic_configs(settings, topic),
        }
        try:
            admin.create_topics({topic: options})
        except TopicAlreadyExistsError:
            return True
        except (ClusterAuthorizationFailedError, TopicAuthorizationFailedError, PolicyViolationError) as refused:
            raise rebuts.TopicRefused(str(refused)) from refused
        admin.wait_for_topics([topic])
        return True
    finally:
        admin.close()


def create_topics(settings: Settings, wanted: Mapping[str, int] | None = None) -> list[str]:
    """Create the topics that are missing and return their names; safe to run twice, at once, from two places.

    `wanted`: these, with their partitions, instead of all of the service's.
    """
    wanted = topics(settings) if wanted is None else wanted
    admin = clients.open_client(
        KafkaAdminClient, **settings.kafka_connection(), bootstrap_timeout_ms=clients.REQUEST_MS
    )
    try:
        existing = set(admin.list_topics())
        created = []
        for topic, partitions in wanted.items():
            if topic in existing:
                continue
            options = {
                "num_partitions": partitions,
                "replication_factor": settings.topic_replicas,
                "configs": topic_configs(settings, topic),
            }
            try:
                admin.create_topics({topic: options})
            except TopicAlreadyExistsError:
                continue
            created.append(topic)
        admin.wait_for_topics(list(wanted))
        return created
    finally:
        admin.close()


def producer(settings: Settings) -> KafkaProducer:
    """A producer that loses nothing: every replica acknowledges, and a retry never writes twice."""
    connection = settings.kafka_connection()
    return clients.open_client(KafkaProducer, **connection, acks="all", linger_ms=2, **clients.PRODUCTEUR)


class Publisher:
    """What the API and the janitor put on Kafka; opened at the first message, and again after a fault of its own.

    While no broker answers, callers are told at once: their requests never pile up behind one another.
    """

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self._trace = partial(sending, tracing)
        self._opening = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._reopen_at = 0.0

    def send(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send and wait for the acknowledgement; raise KafkaIndisponible if none comes."""
        opened = self._ready()
        with self._trace(topic) as more, self._told(opened):
            opened.send(topic, value=value, key=key, headers=[*headers, *more]).get(timeout=ACK_SECONDS)

    async def publish(
        self,
        kind: Literal["notifications", "rebuts"],
        key: bytes | None,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Send from the API: only the start holds a thread, and briefly; the wait for Kafka holds none."""
        topic = self.settings.topic_notifications + (rebuts.SUFFIXE if kind == "rebuts" else "")
        with self._trace(topic) as more:
            await self._publish(topic, key, value, [*headers, *more])

    async def _publish(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        def start() -> tuple[KafkaProducer, Any]:
            opened = self._ready()
            with self._told(opened):
                return opened, opened.send(topic, value=value, key=key, headers=list(headers))

        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # The loop may be gone: nobody waits any more.
                loop.call_soon_threadsafe(settled.set)

        try:
            async with asyncio.timeout(ACK_SECONDS):
                opened, sent = await asyncio.to_thread(start)
                sent.add_both(wake)
                await settled.wait()
        except TimeoutError as cause:
            raise KafkaIndisponible(f"aucun accusé en {ACK_SECONDS:.0f} s") from cause
        with self._told(opened):
            sent.get(timeout=0)

    def _ready(self) -> KafkaProducer:
        """The producer, opened if need be; raise KafkaIndisponible at once while no broker answers."""
        opened = self._open()
        try:
            clients.require_news(opened._metadata)  # noqa: SLF001  kafka-python offers it nowhere else
        except clients.KafkaUnreachable as cause:
            raise KafkaIndisponible(str(cause)) from cause
        return opened

    @contextmanager
    def _told(self, opened: KafkaProducer) -> Iterator[None]:
        """A fault of Kafka becomes KafkaIndisponible; one that would last costs this producer its place.

        One message refused as too large is such a fault: an idempotent producer sends nothing more after it.
        """
        try:
            yield
        except KafkaError as cause:
            if not isinstance(cause, KafkaTimeoutError):
                self._drop(opened)
            raise KafkaIndisponible(describe(cause)) from cause

    def _open(self) -> KafkaProducer:
        with self._opening:
            if self._producer is not None and clients.is_lost(self._producer):
                clients.drop_producer(self._producer)
                self._producer = None
            if self._producer is None:
                if time.monotonic() < self._reopen_at:
                    raise KafkaIndisponible("aucun courtier ne répondait il y a un instant")
                try:
                    self._producer = producer(self.settings)
                except KafkaError as cause:
                    self._reopen_at = time.monotonic() + REOPEN_SECONDS
                    raise KafkaIndisponible(describe(cause)) from cause
            return self._producer

    def _drop(self, opened: KafkaProducer) -> None:
        """Forget a producer that was refused once: kafka-python then has it refuse everything, for good."""
        with self._opening:
            current = self._producer is opened
            if current:
                self._producer = None
        if current:
            clients.drop_producer(opened)

    def forward(self, transaction: str, form: Mapping[str, str]) -> None:
        """Put a sealed form on the notifications' topic, as if the bank had sent it."""
        message = dict(form) | {"recue_le": datetime.now(UTC).isoformat()}
        self.send(self.settings.topic_notifications, transaction.encode(), json.dumps(message).encode())

    def close(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            with suppress(KafkaError):
                self._producer.close(timeout=clients.PRODUCER_CLOSE_S)


class TopicEnd(NamedTuple):
    """How far a topic goes."""

    topic_id: UUID
    starts: dict[int, int]
    ends: dict[int, int]


def topic_end(consumer: KafkaConsumer, topic: str) -> TopicEnd | None:
    """First and next offset of each partition; None if the topic does not exist."""
    partitions = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
    if not partitions:
        return None
    starts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    # After them: what a reader that stays open knows of the topic is only looked at again when it asks something.
    topic_id = consumer._cluster.topic_id(topic)  # noqa: SLF001  kafka-python offers it nowhere else
    if topic_id is None:
        return None
    return TopicEnd(
        topic_id,
        {tp.partition: offset for tp, offset in starts.items()},
        {tp.partition: offset for tp, offset in ends.items()},
    )


def oldest_by_partition(consumer: KafkaConsumer, topic: str, positions: Mapping[int, int]) -> dict[int, datetime]:
    """Time of the message at each of these positions; without those that could not be read in time."""
    wanted = [TopicPartition(topic, partition) for partition in positions]
    consumer.assign(wanted)
    for tp in wanted:
        consumer.seek(tp, positions[tp.partition])
    oldest: dict[int, datetime] = {}
    deadline = time.monotonic() + PENDING_READ_SECONDS
    while len(oldest) < len(wanted) and time.monotonic() < deadline:
        for tp, records in consumer.poll(timeout_ms=200, max_records=100).items():
            oldest.setdefault(tp.partition, datetime.fromtimestamp(records[0].timestamp / 1000, UTC))
    consumer.assign([])
    return oldest


def read_until(
    consumer: KafkaConsumer, topic: str, starts: Mapping[int, int], ends: Mapping[int, int], seconds: float
) -> list[Any]:
    """The messages of these partitions, from `starts` up to `ends`; raise KafkaTimeoutError if it takes longer."""
    waited = {TopicPartition(topic, partition): ends[partition] for partition in starts}
    if not waited:
        return []
    consumer.assign(list(waited))
    for tp in waited:
        consumer.seek(tp, starts[tp.partition])
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while any(consumer.position(tp) < end for tp, end in waited.items()):
        if time.monotonic() > deadline:
            raise KafkaTimeoutError(f"{topic} n'a pas été lu en {seconds:g} s")
        for records in consumer.poll(timeout_ms=200).values():
            found.extend(records)
    return found


def reader(settings: Settings) -> KafkaConsumer:
    """A consumer outside any group, to look without moving anything."""
    options: dict[str, Any] = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    bounds = {"bootstrap_timeout_ms": READ_MS, "request_timeout_ms": READ_MS}
    return clients.open_client(KafkaConsumer, **settings.kafka_connection(), **options, **bounds)
