"""The dead letters as support needs them: noted in the database as they come, read again, put back on their topic."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from engine.dead_letters import SUFFIXE
from engine.messages import kafka_time
from guichet.reglement.rejouer import Garde
from kiosque.interface import FormulaireIrrecevable
from service import bank
from service.kafka import poll_past, reader, topic_end
from service.publisher import Publisher
from service.settings import Settings

READ_SECONDS: Final = 10.0
"""How long one look at the dead letters may take; the next one goes on from there."""

BATCH: Final = 500

# Notes a dead letter, once.
_NOTE: Final = """
INSERT INTO vues.rebuts (topic_id, topic, partition, decalage, cause, transaction, montant, empreinte, depuis)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_READ_TO: Final = "SELECT partition, jusqu_a FROM vues.lectures_de_rebuts WHERE topic_id = %s"

_ADVANCE: Final = """
INSERT INTO vues.lectures_de_rebuts AS l (topic_id, partition, jusqu_a) VALUES (%s, %s, %s)
ON CONFLICT (topic_id, partition) DO UPDATE SET jusqu_a = greatest(l.jusqu_a, excluded.jusqu_a)
"""


class Mailbox:
    """Kafka for a replay: reads one message where it lies, and puts it back on its topic."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        """`publisher` is the caller's, to be closed by it."""
        self.topic_avis = settings.topic_avis
        self.topic_notifications = settings.topic_notifications
        self._settings = settings
        self._publisher = publisher

    def lire(self, topic: str, topic_id: UUID, partition: int, offset: int) -> Garde | None:
        """The message at this place; None if Kafka keeps it no more, or the topic was created again since."""
        with closing(reader(self._settings)) as consumer:
            end = topic_end(consumer, topic)
            if end is None or end.topic_id != topic_id:
                return None
            if not end.starts.get(partition, 0) <= offset < end.ends.get(partition, 0):
                return None
            for record in _records(consumer, TopicPartition(topic, partition), offset, offset + 1):
                if record.offset == offset:
                    return Garde(record.key, record.value or b"", kafka_time(record.timestamp, datetime.now(UTC)))
        return None

    def envoyer(self, topic: str, cle: bytes | None, valeur: bytes, en_tetes: list[tuple[str, bytes]]) -> None:
        """Put a message on a topic and wait for the acknowledgement; raise KafkaIndisponible if none comes."""
        self._publisher.send(topic, cle, valeur, en_tetes)


def note_dead_letters(settings: Settings, conn: psycopg.Connection[Any]) -> int:
    """Note in the database the forms that were refused at the door since the last time; return how many.

    Those that a consumer refused have a fate already, and are not noted. Raises KafkaError if Kafka does not answer.
    """
    topic = settings.topic_notifications + SUFFIXE
    with closing(reader(settings)) as consumer:
        end = topic_end(consumer, topic)
        if end is None:
            return 0
        read_to = dict(conn.execute(_READ_TO, (end.topic_id,)).fetchall())
        noted = 0
        for partition, last in end.ends.items():
            start = max(read_to.get(partition, 0), end.starts[partition])
            rows: list[tuple[Any, ...]] = []
            for record in _records(consumer, TopicPartition(topic, partition), start, last):
                start = record.offset + 1
                headers = dict(record.headers or ())
                if "origine-position" in headers:
                    continue
                rows.append(_row(end.topic_id, topic, partition, record, headers))
                if len(rows) >= BATCH:
                    noted += _write(conn, end.topic_id, partition, start, rows)
                    rows = []
            noted += _write(conn, end.topic_id, partition, start, rows)
        return noted


def _write(
    conn: psycopg.Connection[Any], topic_id: UUID, partition: int, read_to: int, rows: list[tuple[Any, ...]]
) -> int:
    with conn.transaction(), conn.cursor() as cursor:
        if rows:
            cursor.executemany(_NOTE, rows)
        cursor.execute(_ADVANCE, (topic_id, partition, read_to))
    return len(rows)


def _records(consumer: KafkaConsumer, tp: TopicPartition, start: int, end: int) -> Iterator[Any]:
    """The records of a partition from one offset to another, as far as the time allows."""
    if start >= end:
        return
    consumer.assign([tp])
    consumer.seek(tp, start)
    deadline = datetime.now(UTC).timestamp() + READ_SECONDS
    while datetime.now(UTC).timestamp() < deadline:
        for records in poll_past(consumer, 200, BATCH).values():
            for record in records:
                if record.offset >= end:
                    return
                yield record
        if consumer.position(tp) >= end:
            return


def _row(
    topic_id: UUID, topic: str, partition: int, record: Any, headers: Mapping[str, bytes | None]
) -> tuple[Any, ...]:
    transaction, amount = _claimed(record.value or b"")
    cause, digest = (_text(headers.get(name)) for name in ("cause", "sha256"))
    seen = kafka_time(record.timestamp, datetime.now(UTC))
    return topic_id, topic, partition, record.offset, cause or "sans cause", transaction, amount, digest, seen


def _text(header: bytes | None) -> str:
    """What a header says, if it is there and has a value, as PostgreSQL can keep it."""
    return (header or b"").decode(errors="replace").replace("\x00", "")


def _claimed(value: bytes) -> tuple[str | None, int]:
    """What the form claims to be about, and the amount in centimes; nothing proves it."""
    try:
        return bank.claimed(json.loads(value))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, FormulaireIrrecevable):
        return None, 0


def note_quietly(settings: Settings, conn: psycopg.Connection[Any]) -> None:
    """The same, where a list is to be told even if Kafka does not answer: what is known already is told."""
    try:
        note_dead_letters(settings, conn)
    except KafkaError as cause:
        structlog.get_logger().warning("rebuts_non_releves", cause=str(cause))
