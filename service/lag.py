"""The lag of each consumer, follower and round, in events and in seconds, with its state and last error.

Read in PostgreSQL and in Kafka. Without PostgreSQL there is nothing to say; without Kafka the followers and the states
are told all the same, and the consumers' rows say why theirs are unknown (`illisible`).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from kafka.errors import KafkaError
from psycopg import Connection

from engine.database import Database
from engine.instants import age_s
from engine.outages import describe
from engine.positions import Accidents, accidents, places
from engine.recorder import Recorder
from guichet.recul import recul
from preuve import role as seal
from preuve.lag import unsealed
from preuve.witness_role import PREFIX as WITNESS
from preuve.witnessing import standings
from projections.vues.paiements import attente_de_reponse
from publication.etat import EtatDesSoldes
from publication.publication import Publication
from service import kafka, relance
from service.composition import FOLLOWERS, concerns, recorder_on
from service.settings import Settings

WAIT_SECONDS: Final = 3.0
"""How long to wait for a connection to PostgreSQL."""

SILENT_SECONDS: Final = 30.0
"""A role that says it is active, and gave no sign of life for longer, is silent."""

SILENT: Final = "silencieux"
STOPPED: Final = frozenset({SILENT, "arrete", "inactif"})

# The events after a follower's position that concern it; a difference of positions would count gaps too. The oldest's
# own time is its writer's: PostgreSQL's clock may have jumped.
_PENDING: Final = """
SELECT count(*), min(enregistre_le),
       (SELECT etat FROM journal.evenements WHERE position > %(after)s AND topic = ANY (%(topics)s)
        ORDER BY position LIMIT 1)
FROM journal.evenements WHERE position > %(after)s AND topic = ANY (%(topics)s)
"""

_STATES: Final = f"""
SELECT nom, position, etat, meneur, derniere_erreur, erreur_le, battement_le, interruptions,
    {age_s("battement_le")}
FROM vues.suiveurs
"""  # noqa: S608

# What a view could not apply.
_PARKED: Final = "SELECT count(*) FROM vues.ecartes WHERE suiveur = %s"


def lag(settings: Settings, base: Database, reader: "KeptReader | None" = None) -> list[dict[str, Any]]:
    """One row a role that works by itself, JSON-ready. Raises psycopg.Error if PostgreSQL does not answer.

    `reader`: one that stays open from one reading to the next, for who reads often; absent: one is opened and closed.
    """
    now = datetime.now(UTC)
    with base.transaction(delai_s=WAIT_SECONDS) as conn:
        states = {row[0]: row[1:] for row in conn.execute(_STATES)}
        mishaps = accidents(conn)
        behind = recul(conn)
        recorder = recorder_on(base)
        rows = [_follower(conn, name, states.get(name), now, recorder) for name in FOLLOWERS]
        rows.append(_rounds(conn, settings, states.get(relance.NAME), now))
        tail = unsealed(conn)
        rows.append(_row("sceau", seal.NAME, tail.events, round(tail.seconds, 3), states.get(seal.NAME)))
        rows += _witnesses(conn, settings, states)
    consumed = []
    for consumer, (topic, _) in settings.incoming.items():
        name = consumer.role
        row = _row("consommateur", name, None, None, states.get(name))
        consumed.append(row | _topic(topic, mishaps))
    _read_kafka(reader or KeptReader(settings), base, consumed, now, keep=reader is not None)
    published = next(row for row in rows if row["nom"] == Publication.nom)
    published |= _topic(settings.topic_evenements, mishaps) | {"journal_en_retard": behind}
    state = next(row for row in rows if row["nom"] == EtatDesSoldes.nom)
    state |= _topic(settings.topic_soldes, mishaps)
    return consumed + rows


def _witnesses(
    conn: Connection[Any], settings: Settings, states: Mapping[str, tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """A witness that is away is told, and is no role that is stopped: nothing waits for it."""
    rows = []
    for one in standings(conn, [temoin.verifier.name for temoin in settings.preuve_temoins]):
        row = _row("temoin", one.witness, one.leaves, one.seconds, states.get(WITNESS + one.witness))
        waits = row["etat"] != "actif"
        rows.append(row | {"etat": "refuse" if one.refuses else "absent" if waits else "actif", "refuse": one.refuses})
    return rows


def _topic(topic: str, mishaps: Mapping[str, Accidents]) -> dict[str, Any]:
    found = mishaps.get(topic)
    return {
        "topic": topic,
        "topic_recree": found.recree if found else 0,
        "topic_recree_le": found.recree_le.isoformat() if found and found.recree_le else None,
        "messages_perdus": found.perdus if found else 0,
        "partitions_arretees": 0,
    }


def unreadable(rows: list[dict[str, Any]]) -> str | None:
    """Why Kafka could not be read, if it could not."""
    return next((row["illisible"] for row in rows if row.get("illisible")), None)


def not_working(rows: list[dict[str, Any]]) -> list[str]:
    """The names of the roles that are silent or stopped."""
    return [row["nom"] for row in rows if row["etat"] in STOPPED]


def _follower(
    conn: Connection[Any], name: str, state: tuple[Any, ...] | None, now: datetime, recorder: Recorder
) -> dict[str, Any]:
    position = state[0] if state else 0
    wanted = {"after": position, "topics": sorted(concerns(name, recorder))}
    count, recorded, state_of_oldest = conn.execute(_PENDING, wanted).fetchone() or (0, None, None)
    oldest = _own_time(state_of_oldest, recorded)
    (parked,) = conn.execute(_PARKED, (name,)).fetchone() or (0,)
    return _row("suiveur", name, count, _seconds(now, oldest), state) | {"position": position, "ecartes": parked}


def _own_time(state: bytes | None, recorded: datetime | None) -> datetime | None:
    """The time that an event says of itself; the one it was recorded at if it cannot be read."""
    try:
        own = datetime.fromisoformat(json.loads(state or b"")["timestamp"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return recorded
    return own if own.tzinfo else recorded


def _rounds(conn: Connection[Any], settings: Settings, state: tuple[Any, ...] | None, now: datetime) -> dict[str, Any]:
    """The payments past the age at which the kiosk is asked: how many, and by how long the oldest."""
    due = now - settings.politique.interroger_apres
    count, opened = attente_de_reponse(conn, due)
    return _row("tournee", relance.NAME, count, _seconds(due, opened), state)


class KeptReader:
    """A Kafka reader that is opened when first needed, and again after a fault: opening one costs more than reading."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self.settings = settings
        self._reader: Any = None

    def get(self) -> Any:
        """The reader. Raises KafkaError."""
        if self._reader is None:
            self._reader = kafka.reader(self.settings, committed=True)
        return self._reader

    def close(self) -> None:
        """Close it, if it was opened."""
        opened, self._reader = self._reader, None
        if opened is not None:
            opened.close(timeout_ms=kafka.READ_MS)


def _read_kafka(reader: KeptReader, base: Database, rows: list[dict[str, Any]], now: datetime, *, keep: bool) -> None:
    """Complete the consumers' rows with what Kafka holds; a broker that does not answer is told in them."""
    try:
        for row in rows:
            _read_topic(reader.get(), base, row, now)
    except KafkaError as cause:
        keep = False
        for row in rows:
            if row["evenements"] is None:
                row["illisible"] = f"Kafka ne répond pas : {describe(cause)}"
    finally:
        if not keep:
            with suppress(KafkaError):
                reader.close()


def _read_topic(reader: Any, base: Database, row: dict[str, Any], now: datetime) -> None:
    end = kafka.topic_end(reader, row["topic"])
    if end is None:
        row |= {"etat": "topic_absent", "evenements": 0, "secondes": 0.0}
        return
    with base.transaction(delai_s=WAIT_SECONDS) as conn:
        found = places(conn, row["topic"], end.topic_id, list(end.ends))
    stopped = sorted(p for p, place in found.items() if place.arretee)
    positions = {p: max(found[p].position, start) for p, start in end.starts.items()}
    pending = {p: positions[p] for p, last in end.ends.items() if last > positions[p] and p not in stopped}
    oldest = kafka.waiting(reader, row["topic"], pending, end.ends) if pending else {}
    row |= {
        "evenements": sum(end.ends[p] - positions[p] for p in oldest),
        "secondes": _seconds(now, min((since for since in oldest.values() if since), default=None)),
        "partitions_arretees": len(stopped),
        "partitions": [
            {
                "partition": p,
                "evenements": 0 if p in pending and p not in oldest else max(last - positions[p], 0),
                "secondes": _seconds(now, oldest.get(p)),
            }
            for p, last in sorted(end.ends.items())
        ],
    }


def _row(
    kind: str, name: str, count: int | None, seconds: float | None, state: tuple[Any, ...] | None
) -> dict[str, Any]:
    _, status, leader, error, error_at, beat, stops, age = state or (0, "jamais_demarre", *[None] * 4, 0, None)
    # A sign given in the future is one that a clock since set back cannot date.
    if status == "actif" and (age is None or abs(age) > SILENT_SECONDS):
        status = SILENT
    return {
        "genre": kind,
        "nom": name,
        "evenements": count,
        "secondes": seconds,
        "etat": status,
        "meneur": leader,
        "battement_le": beat.isoformat() if beat else None,
        "battement_secondes": None if age is None else round(age, 1),
        "derniere_erreur": error,
        "erreur_le": error_at.isoformat() if error_at else None,
        "interruptions": stops,
    }


def _seconds(now: datetime, oldest: datetime | None) -> float:
    return round(max(0.0, (now - oldest).total_seconds()), 3) if oldest else 0.0
