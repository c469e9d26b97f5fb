"""Le journal tel qu'une clôture l'arrête : où un jour finit, et l'empreinte de ce qu'il porte."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.delai import PARIS, jour_de_paris

LIGNES_PAR_LECTURE: Final = 2_000

_PREMIER: Final = "SELECT enregistre_le FROM journal.evenements ORDER BY position LIMIT 1"

# Le dernier événement d'avant un instant. L'heure ne recule jamais d'une position à l'autre : il s'y lit à rebours.
_BORNE: Final = """
SELECT position FROM journal.evenements WHERE enregistre_le < %s AND position <= %s ORDER BY position DESC LIMIT 1
"""

_TETE: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"

_EVENEMENTS: Final = """
SELECT position, flux, version, topic, etat, cause, (extract(epoch FROM enregistre_le) * 1000000)::int8
FROM journal.evenements WHERE position > %s AND position <= %s ORDER BY position
"""


class Tranche(NamedTuple):
    """Un jour du journal : ce qui suit `depuis`, jusqu'à `jusqu_a` compris."""

    jour: date
    depuis: int
    jusqu_a: int


def debut_du(jour: date) -> datetime:
    """Minuit, à Paris."""
    return datetime.combine(jour, time(), PARIS).astimezone(UTC)


def premier_jour(conn: Connection[Any]) -> date | None:
    """Le jour du premier événement ; None si le journal est vide."""
    ligne = conn.execute(_PREMIER).fetchone()
    return jour_de_paris(ligne[0]) if ligne else None


def tranches(conn: Connection[Any], premier: date, dernier: date, depuis: int) -> list[Tranche]:
    """Les jours de `premier` à `dernier`, le journal étant arrêté jusqu'à `depuis`."""
    (haut,) = conn.execute(_TETE).fetchone() or (0,)
    jours = [premier + timedelta(days=n) for n in range((dernier - premier).days + 1)]
    bornes: list[int] = []
    for jour in reversed(jours):
        trouve = conn.execute(_BORNE, (debut_du(jour + timedelta(days=1)), haut)).fetchone()
        haut = max(trouve[0] if trouve else 0, depuis)
        bornes.append(haut)
    bornes.reverse()
    return [Tranche(*un) for un in zip(jours, [depuis, *bornes[:-1]], bornes, strict=True)]


def lignes_du_jour(conn: Connection[Any], depuis: int, jusqu_a: int) -> Iterator[bytes]:
    """Les événements, une ligne de JSON chacun : position, flux, version, topic, état, cause, instant (µs).

    Les octets de l'état s'y lisent un signe chacun (ISO 8859-1) : rien n'en est perdu, quels qu'ils soient.
    """
    with conn.cursor(name="lignes_du_jour") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_EVENEMENTS, (depuis, jusqu_a), binary=True)
        for position, flux, version, topic, etat, cause, le in curseur:
            yield ligne_de((position, flux, version, topic, bytes(etat).decode("latin-1"), cause, le))


def ligne_de(valeurs: Sequence[Any]) -> bytes:
    """La ligne d'un événement."""
    return json.dumps(valeurs, separators=(",", ":")).encode("ascii") + b"\n"


def empreinte_du_jour(conn: Connection[Any], depuis: int, jusqu_a: int) -> tuple[int, str]:
    """Combien d'événements, et le SHA-256 de leurs lignes."""
    somme, combien = sha256(), 0
    for ligne in lignes_du_jour(conn, depuis, jusqu_a):
        somme.update(ligne)
        combien += 1
    return combien, somme.hexdigest()
