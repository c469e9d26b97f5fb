"""The lag of each follower and consumer, in events and in seconds, with its state and last error."""

from datetime import UTC, datetime
from typing import Any, Final

from psycopg import Connection

from journal.bases import Base
from journal.enregistreur import Enregistreur
from service import kafka
from service.composition import FOLLOWERS, concerns
from service.settings import Settings

# The events after a follower's position that concern it; a difference of positions would count gaps too.
_PENDING: Final = """
SELECT count(*), min(enregistre_le) FROM journal.evenements WHERE position > %s AND topic = ANY (%s)
"""

_STATES: Final = "SELECT nom, position, etat, meneur, derniere_erreur, erreur_le, battement_le FROM vues.suiveurs"

# What a view could not apply.
_PARKED: Final = "SELECT count(*) FROM vues.ecartes WHERE suiveur = %s"


def lag(settings: Settings, base: Base) -> list[dict[str, Any]]:
    """One row a consumer and follower, JSON-ready."""
    now = datetime.now(UTC)
    with base.transaction() as conn:
        states = {row[0]: row[1:] for row in conn.execute(_STATES)}
        rows = [_follower(conn, name, states.get(name), now, Enregistreur(base)) for name in FOLLOWERS]
    return _consumers(settings, base, states, now) + rows


def _follower(
    conn: Connection[Any], name: str, state: tuple[Any, ...] | None, now: datetime, recorder: Enregistreur
) -> dict[str, Any]:
    position = state[0] if state else 0
    count, oldest = conn.execute(_PENDING, (position, sorted(concerns(name, recorder)))).fetchone() or (0, None)
    (parked,) = conn.execute(_PARKED, (name,)).fetchone() or (0,)
    return _row("suiveur", name, count, _seconds(now, oldest), state) | {"position": position, "ecartes": parked}


def _consumers(
    settings: Settings, base: Base, states: dict[str, tuple[Any, ...]], now: datetime
) -> list[dict[str, Any]]:
    reader = kafka.reader(settings)
    rows = []
    try:
        for name, topic in (
            ("consommateur_avis", settings.topic_avis),
            ("consommateur_kiosque", settings.topic_notifications),
        ):
            end = kafka.topic_end(reader, topic)
            if end is None:
                rows.append(_row("consommateur", name, 0, 0.0, states.get(name)) | {"etat": "topic_absent"})
                continue
            with base.transaction() as conn:
                known = Enregistreur(base).positions(conn, end.topic_id)
            positions = {p: max(known.get(p, 0), start) for p, start in end.starts.items()}
            pending = {p: positions[p] for p, last in end.ends.items() if last > positions[p]}
            oldest = kafka.oldest_pending(reader, topic, pending) if pending else None
            count = sum(end.ends[p] - positions[p] for p in pending)
            rows.append(_row("consommateur", name, count, _seconds(now, oldest), states.get(name)))
    finally:
        reader.close()
    return rows


def _row(kind: str, name: str, count: int, seconds: float, state: tuple[Any, ...] | None) -> dict[str, Any]:
    _, status, leader, error, error_at, beat = state or (0, "jamais_demarre", None, None, None, None)
    return {
        "genre": kind,
        "nom": name,
        "evenements": count,
        "secondes": round(seconds, 3),
        "etat": status,
        "meneur": leader,
        "battement_le": beat.isoformat() if beat else None,
        "derniere_erreur": error,
        "erreur_le": error_at.isoformat() if error_at else None,
    }


def _seconds(now: datetime, oldest: datetime | None) -> float:
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
