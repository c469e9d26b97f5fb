"""What those downstream have read: each consumer group of what we publish, and each reader of the HTTP feed."""

from collections.abc import Iterator
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from psycopg import Connection

from domain.agregats import AGREGATS
from engine import kafka_clients as clients
from engine.mapper import EventMapper
from publication.lectures import lectures
from service import kafka
from service.settings import Settings


def groups(settings: Settings) -> list[dict[str, Any]]:
    """One row a group and topic of ours that it reads: messages behind, partition by partition.

    A reader that keeps its offsets itself, as our samples do, belongs to no group: Kafka knows nothing of it.
    Raises KafkaError if no broker answers.
    """
    ends: dict[TopicPartition, int] = {}
    reader = kafka.reader(settings)
    try:
        for topic in _published(settings, reader):
            end = kafka.topic_end(reader, topic)
            ends |= {TopicPartition(topic, number): last for number, last in end.ends.items()} if end else {}
    finally:
        reader.close(timeout_ms=kafka.READ_MS)
    admin = clients.open_client(
        KafkaAdminClient, **settings.kafka_connection(), bootstrap_timeout_ms=clients.OPENING_MS
    )
    try:
        return [row for group in _names(admin) for row in _behind(admin, group, ends)]
    finally:
        admin.close()


def feed(conn: Connection[Any]) -> list[dict[str, Any]]:
    """One row a partner that reads the HTTP feed."""
    return [reading.en_json() for reading in lectures(conn, EventMapper(AGREGATS))]


def _published(settings: Settings, reader: KafkaConsumer) -> list[str]:
    always = {settings.topic_evenements, settings.topic_soldes}
    resends = settings.topic_renvois("")
    return sorted(topic for topic in reader.topics() if topic in always or topic.startswith(resends))


def _names(admin: KafkaAdminClient) -> list[str]:
    return sorted({group["group_id"] for group in admin.list_groups()})


def _behind(admin: KafkaAdminClient, group: str, ends: dict[TopicPartition, int]) -> Iterator[dict[str, Any]]:
    read = {tp: offset for tp, offset in _offsets(admin, group).items() if tp in ends}
    for topic in sorted({tp.topic for tp in read}):
        # A partition without an offset has not been read at all; one read beyond its end is no lead on the others.
        partitions: dict[int, dict[str, Any]] = {
            tp.partition: {"lu": read.get(tp), "fin": end, "retard": max(end - (read.get(tp) or 0), 0)}
            for tp, end in ends.items()
            if tp.topic == topic
        }
        late = sum(one["retard"] for one in partitions.values())
        yield {"groupe": group, "topic": topic, "retard_messages": late, "partitions": partitions}


def _offsets(admin: KafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    found: dict[TopicPartition, Any] = admin.list_group_offsets(group)[group]
    return {tp: one.offset for tp, one in found.items() if one.offset >= 0}
