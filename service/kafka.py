"""Kafka, as the roles need it: the topics, one producer, and the reading of how far each topic goes."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError

from api.kafka import KafkaIndisponible
from consumers import rebuts
from service.settings import Settings

ACK_SECONDS: Final = 10.0
"""How long the bank's POST waits for Kafka before it is answered 503."""

PENDING_READ_SECONDS: Final = 3.0
"""How long `lag` looks for the time of the oldest unread message."""

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Largest message of an incoming topic; a dead-letter topic takes larger ones."""


def topics(settings: Settings) -> dict[str, int]:
    """All topics of the service, with their partitions."""
    wanted = {
        settings.topic_avis: settings.partitions_avis,
        settings.topic_notifications: settings.partitions_notifications,
    }
    return (
        wanted
        | {f"{topic}{rebuts.SUFFIXE}": 1 for topic in wanted}
        | {settings.topic_evenements: settings.partitions_evenements}
    )


def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and return their names; safe to run twice, at once, from two places."""
    admin = KafkaAdminClient(**settings.kafka_connection())
    try:
        existing = set(admin.list_topics())
        created = []
        for topic, partitions in topics(settings).items():
            if topic in existing:
                continue
            size = rebuts.OCTETS_MAX if topic.endswith(rebuts.SUFFIXE) else MESSAGE_BYTES_MAX
            options = {
                "num_partitions": partitions,
                "replication_factor": settings.topic_replicas,
                "configs": {"max.message.bytes": str(size)},
            }
            try:
                admin.create_topics({topic: options})
            except TopicAlreadyExistsError:
                continue
            created.append(topic)
        admin.wait_for_topics(list(topics(settings)))
        return created
    finally:
        admin.close()


def producer(settings: Settings) -> KafkaProducer:
    """A producer that loses nothing: every replica acknowledges, and a retry never writes twice."""
    return KafkaProducer(**settings.kafka_connection(), acks="all", allow_auto_create_topics=False, linger_ms=2)


class Publisher:
    """What the API and the janitor put on Kafka; opened at the first message."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._producer: KafkaProducer | None = None

    def send(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send and wait for the acknowledgement; raise KafkaIndisponible if none comes."""
        try:
            if self._producer is None:
                self._producer = producer(self.settings)
            self._producer.send(topic, value=value, key=key, headers=list(headers)).get(timeout=ACK_SECONDS)
        except KafkaError as cause:
            raise KafkaIndisponible(str(cause)) from cause

    async def publish(
        self,
        kind: Literal["notifications", "rebuts"],
        key: bytes | None,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Send from the API without holding its loop."""
        topic = self.settings.topic_notifications
        if kind == "rebuts":
            topic += rebuts.SUFFIXE
        await asyncio.to_thread(self.send, topic, key, value, headers)

    def forward(self, transaction: str, form: Mapping[str, str]) -> None:
        """Put a sealed form on the notifications' topic, as if the bank had sent it."""
        message = dict(form) | {"recue_le": datetime.now(UTC).isoformat()}
        self.send(self.settings.topic_notifications, transaction.encode(), json.dumps(message).encode())

    def close(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            self._producer.close(timeout=ACK_SECONDS)


class TopicEnd(NamedTuple):
    """How far a topic goes."""

    topic_id: UUID
    starts: dict[int, int]
    ends: dict[int, int]


def topic_end(consumer: KafkaConsumer, topic: str) -> TopicEnd | None:
    """First and next offset of each partition; None if the topic does not exist."""
    partitions = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
    topic_id = consumer._cluster.topic_id(topic)  # noqa: SLF001  kafka-python offers it nowhere else
    if not partitions or topic_id is None:
        return None
    return TopicEnd(
        topic_id,
        {tp.partition: offset for tp, offset in consumer.beginning_offsets(partitions).items()},
        {tp.partition: offset for tp, offset in consumer.end_offsets(partitions).items()},
    )


def oldest_pending(consumer: KafkaConsumer, topic: str, positions: Mapping[int, int]) -> datetime | None:
    """Time of the oldest message at these positions; None if none could be read in time."""
    wanted = [TopicPartition(topic, partition) for partition in positions]
    consumer.assign(wanted)
    for tp in wanted:
        consumer.seek(tp, positions[tp.partition])
    oldest: dict[TopicPartition, int] = {}
    deadline = datetime.now(UTC).timestamp() + PENDING_READ_SECONDS
    while len(oldest) < len(wanted) and datetime.now(UTC).timestamp() < deadline:
        for tp, records in consumer.poll(timeout_ms=200, max_records=100).items():
            oldest.setdefault(tp, records[0].timestamp)
    return datetime.fromtimestamp(min(oldest.values()) / 1000, UTC) if oldest else None


def reader(settings: Settings) -> KafkaConsumer:
    """A consumer outside any group, to look without moving anything."""
    options: dict[str, Any] = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    return KafkaConsumer(**settings.kafka_connection(), allow_auto_create_topics=False, **options)
