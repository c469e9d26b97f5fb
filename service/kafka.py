"""Kafka, as the roles need it: the topics, one producer, and the reading of how far each topic goes."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import IsolationLevel
from kafka.errors import KafkaTimeoutError, TopicAlreadyExistsError

from engine import dead_letters as rebuts
from engine import kafka_clients as clients
from engine.kafka_records import UnreadableBatch
from engine.messages import kafka_time
from service.settings import Settings
from service.topic_configs import topic_configs

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
        except rebuts.REFUSALS as refused:
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
    starts, ends = consumer.beginning_offsets(partitions), _written_to(consumer, partitions)
    # After them: what a reader that stays open knows of the topic is only looked at again when it asks something.
    topic_id = consumer._cluster.topic_id(topic)  # noqa: SLF001  kafka-python offers it nowhere else
    if topic_id is None:
        return None
    return TopicEnd(
        topic_id,
        {tp.partition: offset for tp, offset in starts.items()},
        {tp.partition: offset for tp, offset in ends.items()},
    )


def _written_to(consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The next offset to be written: what waits behind an open transaction waits too, though it cannot be read yet."""
    fetcher = consumer._fetcher  # noqa: SLF001  kafka-python offers it nowhere else
    level, fetcher._isolation_level = fetcher._isolation_level, IsolationLevel.READ_UNCOMMITTED  # noqa: SLF001
    try:
        ends: dict[TopicPartition, int] = consumer.end_offsets(partitions)
        return ends
    finally:
        fetcher._isolation_level = level  # noqa: SLF001


def waiting(
    consumer: KafkaConsumer, topic: str, positions: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, datetime | None]:
    """The time of the first message that waits at each of these positions; None if it could not be read in time.

    A partition that only holds a transaction's marks, or what it took back, holds no message: it is not in the answer.
    """
    wanted = [TopicPartition(topic, partition) for partition in positions]
    consumer.assign(wanted)
    for tp in wanted:
        consumer.seek(tp, positions[tp.partition])
    found: dict[int, datetime | None] = {}
    left = set(wanted)
    deadline = time.monotonic() + PENDING_READ_SECONDS
    while left and time.monotonic() < deadline:
        try:
            for tp, records in consumer.poll(timeout_ms=200, max_records=100).items():
                found.setdefault(tp.partition, kafka_time(records[0].timestamp, datetime.now(UTC)))
        except UnreadableBatch as unread:
            consumer.pause(unread.where)
            found.setdefault(unread.where.partition, None)
        left = {tp for tp in left if tp.partition not in found and consumer.position(tp) < ends[tp.partition]}
    consumer.resume(*consumer.paused())
    consumer.assign([])
    return dict.fromkeys(tp.partition for tp in left) | found


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
        for records in poll_past(consumer, 200).values():
            found.extend(records)
    return found


def poll_past(
    consumer: KafkaConsumer, timeout_ms: int, max_records: int | None = None
) -> dict[TopicPartition, list[Any]]:
    """The next messages, past a batch that cannot be read: who only looks goes on with what follows it."""
    try:
        polled: dict[TopicPartition, list[Any]] = consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
    except UnreadableBatch as unread:
        structlog.get_logger().error("lot_illisible", cause=str(unread))
        consumer.seek(unread.where, unread.beyond)
        return {}
    return polled


def reader(settings: Settings, *, committed: bool = False) -> KafkaConsumer:
    """A consumer outside any group, to look without moving anything; `committed`: as the roles read."""
    options: dict[str, Any] = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    options["isolation_level"] = "read_committed" if committed else "read_uncommitted"
    bounds = {"bootstrap_timeout_ms": READ_MS, "request_timeout_ms": READ_MS}
    return clients.open_client(KafkaConsumer, **settings.kafka_connection(), **options, **bounds)
