"""The log's checkpoints on Kafka: a compacted topic that keeps the last witnessed state of each epoch for ever.

A restore of PostgreSQL does not turn it back. What it holds under our own key, and our tree does not continue, proves
that the database was: the journal then says so, and no payment opens until an epoch is.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import psycopg
import structlog
from kafka.errors import KafkaError
from psycopg import Connection

from api.socle.kafka import KafkaIndisponible
from engine.backoff import Backoff
from engine.database import connect
from engine.outages import Outage, describe, is_outage
from guichet.recul import constater_recul
from preuve.checkpoints import Checkpoint
from preuve.notes import KeyType, Verifier, split
from preuve.seal import log_name
from preuve.witnessing import Point, contradicts, cosigned_checkpoint, last_point
from service import composition, kafka
from service.publisher import Publisher
from service.settings import Settings

NAME: Final = "points"

READ_SECONDS: Final = 10.0


def latest(settings: Settings, log: str) -> list[str]:
    """What the topic holds of this log, the newest last; nothing if the topic is not there. Raises KafkaError."""
    with closing(kafka.reader(settings)) as reader:
        end = kafka.topic_end(reader, settings.topic_points)
        if end is None:
            return []
        starts = {partition: end.starts[partition] for partition, last in end.ends.items() if last}
        records = kafka.read_until(reader, settings.topic_points, starts, end.ends, READ_SECONDS)
    return [record.value.decode(errors="replace") for record in records if record.key == log.encode() and record.value]


def abandoned(settings: Settings, conn: Connection[Any], point: Point) -> str | None:
    """The state of this epoch that Kafka holds under our key and this database does not continue, if there is one.

    Its finding is noted: no payment opens until an epoch is. Raises KafkaError.
    """
    log = log_name(settings.preuve_origin, point.epoch)
    trusted = [Verifier(log, KeyType.NOTE, key) for key in composition.sealing_keys(settings)]
    found = latest(settings, log)
    # Before `contradicts` reads the log again: what is on the topic was in the database it came from.
    lost = next((note for note in reversed(found) if contradicts(conn, point.epoch, note, trusted)), None)
    if lost is not None:
        size = Checkpoint.parse(split(lost)[0]).size
        reason = f"Le journal scellé {log} allait jusqu'à {size} feuilles signées, que celui-ci ne continue pas."
        structlog.get_logger().error("journal_abandonne", journal=log, raison=reason)
        constater_recul(conn, reason, point.epoch)
    return lost


def recaller(settings: Settings) -> Callable[[Connection[Any], Point], str | None]:
    """`abandoned`, for who can ask again: None as well while Kafka does not answer."""

    def recall(conn: Connection[Any], point: Point) -> str | None:
        try:
            return abandoned(settings, conn, point)
        except KafkaError as cause:
            structlog.get_logger().warning("points_illisibles", cause=describe(cause))
            return None

    return recall


class PointsRole:
    """Puts each witnessed checkpoint on the topic, until it is stopped; Kafka or PostgreSQL away, it goes on later."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        """Without witnesses, each signed state is published as it is."""
        self._settings = settings
        self._publisher = publisher
        self._agree = settings.preuve_temoins_accord if settings.preuve_temoins else 0
        self._interval_s = settings.preuve_temoins_interval.total_seconds()
        self._told = ""
        self._whole: str | None = None
        """The epoch whose state on the topic this database continues."""
        self._lost: str | None = None
        """The epoch whose state on the topic it does not continue."""

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set."""
        retry = Backoff(structlog.get_logger(), "points_non_publies")
        while not stop.is_set():
            try:
                url = composition.required(self._settings.database_url, "DATABASE_URL")
                with closing(connect(url, application=f"creances-{NAME}")) as conn:
                    self._whole = self._lost = None  # Another database may answer at this address.
                    while not stop.is_set():
                        self.publish(conn)
                        retry.progress()
                        stop.wait(self._interval_s)
            except (KafkaError, KafkaIndisponible, Outage, psycopg.Error) as fault:
                if isinstance(fault, psycopg.Error) and not is_outage(fault):
                    raise
                stop.wait(retry.fail(fault))

    def publish(self, conn: Connection[Any]) -> None:
        """Send the last state that may be, if it was not sent yet. Raises KafkaIndisponible, KafkaError."""
        point = last_point(conn)
        if point is None:
            return
        note = cosigned_checkpoint(conn, at_least=self._agree) if self._agree else point.note
        if note is None or note == self._told or self._lost == point.epoch:
            return
        # The last value of a key is the one that stays: the state that was abandoned is never written over.
        if self._whole != point.epoch:
            if abandoned(self._settings, conn, point) is not None:
                self._lost = point.epoch
                return
            self._whole = point.epoch
        log = log_name(self._settings.preuve_origin, point.epoch)
        self._publisher.send(self._settings.topic_points, log.encode(), note.encode())
        self._told = note
