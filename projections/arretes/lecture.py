"""Les clôtures écrites, telles que les pages, les commandes et l'archive les lisent."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from projections.arretes.contenu import Arrete, ArreteIllisible, lire

_LIRE: Final = """
SELECT a.contenu, a.empreinte, a.enregistre_le, j.autorite, j.horodate_le, j.jeton
FROM journal.arretes a LEFT JOIN journal.jetons_d_arrete j USING (jour)
"""

_DERNIERS: Final = _LIRE + "ORDER BY a.numero DESC LIMIT %s"
_UN: Final = _LIRE + "WHERE a.jour = %s"
_ENTRE: Final = _LIRE + "WHERE a.jour >= %s AND a.jour <= %s ORDER BY a.numero"

_OCTETS: Final = "SELECT contenu FROM journal.arretes ORDER BY jusqu_a, numero"

_JETONS: Final = """
SELECT jour, a.contenu, j.jeton FROM journal.jetons_d_arrete j JOIN journal.arretes a USING (jour) ORDER BY jour
"""

_SANS_JETON: Final = """
SELECT a.jour FROM journal.arretes a LEFT JOIN journal.jetons_d_arrete j USING (jour)
WHERE j.jour IS NULL ORDER BY a.numero LIMIT %s
"""


class Jeton(NamedTuple):
    """Ce qu'une autorité d'horodatage a signé d'une clôture."""

    autorite: str
    horodate_le: datetime
    reponse: bytes
    """La réponse entière (TimeStampResp, DER)."""


class Cloture(NamedTuple):
    """Une clôture, et ce qui la scelle."""

    arrete: Arrete
    octets: bytes
    empreinte: str
    """Hexadécimale."""
    arretee_le: datetime
    jeton: Jeton | None


def dernieres(conn: Connection[Any], combien: int = 1) -> list[Cloture]:
    """Les dernières, la plus récente d'abord. Lève ArreteIllisible."""
    return [_cloture(ligne) for ligne in conn.execute(_DERNIERS, (combien,)).fetchall()]


def cloture_du(conn: Connection[Any], jour: date) -> Cloture | None:
    """Celle de ce jour, s'il est arrêté. Lève ArreteIllisible."""
    ligne = conn.execute(_UN, (jour,)).fetchone()
    return _cloture(ligne) if ligne else None


def dernier_jour(conn: Connection[Any]) -> date | None:
    """Le dernier jour arrêté ; None s'il n'y en a aucun."""
    (jour,) = conn.execute("SELECT max(jour) FROM journal.arretes").fetchone() or (None,)
    return jour


def clotures_entre(conn: Connection[Any], premier: date, dernier: date) -> Iterator[Cloture]:
    """Celles de ces jours, dans l'ordre. Lève ArreteIllisible."""
    for ligne in conn.execute(_ENTRE, (premier, dernier)).fetchall():
        yield _cloture(ligne)


def arretes_lisibles(conn: Connection[Any]) -> Iterator[Arrete]:
    """Chaque arrêté, dans l'ordre ; ce qui ne se lit plus est laissé, l'audit le nomme."""
    for (octets,) in conn.execute(_OCTETS).fetchall():
        with suppress(ArreteIllisible):
            yield lire(bytes(octets))


def jours_sans_jeton(conn: Connection[Any], combien: int) -> list[date]:
    """Les jours arrêtés que rien n'horodate encore, les plus anciens d'abord."""
    return [jour for (jour,) in conn.execute(_SANS_JETON, (combien,))]


def jetons_gardes(conn: Connection[Any]) -> list[tuple[date, bytes, bytes]]:
    """De chaque arrêté horodaté : son jour, les octets scellés, et ce que l'autorité en a répondu."""
    return [(jour, bytes(octets), bytes(jeton)) for jour, octets, jeton in conn.execute(_JETONS)]


def _cloture(ligne: tuple[Any, ...]) -> Cloture:
    contenu, empreinte, arretee_le, autorite, horodate_le, jeton = ligne
    octets = bytes(contenu)
    dit = None if jeton is None else Jeton(autorite, horodate_le, bytes(jeton))
    return Cloture(lire(octets), octets, bytes(empreinte).hex(), arretee_le, dit)
