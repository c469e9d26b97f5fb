"""Où en est chaque partenaire : du fil HTTP, à ce qu'il dit en demandant la suite ; son retard, en événements."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.mapper import EventMapper
from publication.curseur import Curseur
from publication.epoques import epoque_courante
from publication.fil import en_attente

# Garde où il en est ; ce qui n'a pas bougé ne se réécrit que de temps en temps.
_NOTER: Final = """
INSERT INTO vues.lectures_du_fil AS l (partenaire, caisses, epoque, position, retenus, lu_le)
VALUES (%b, %b::text[], %b, %b, %b::int8[], clock_timestamp())
ON CONFLICT (partenaire) DO UPDATE
SET caisses = excluded.caisses, epoque = excluded.epoque, position = excluded.position,
    retenus = excluded.retenus, lu_le = excluded.lu_le
WHERE (l.caisses, l.epoque, l.position, l.retenus)
      IS DISTINCT FROM (excluded.caisses, excluded.epoque, excluded.position, excluded.retenus)
   OR l.lu_le < excluded.lu_le - interval '10 seconds'
"""

_LIRE: Final = """
SELECT partenaire, caisses, epoque, position, retenus, lu_le FROM vues.lectures_du_fil
WHERE %b::text IS NULL OR partenaire = %b ORDER BY partenaire
"""


class Lecture(NamedTuple):
    """Où en est un partenaire du fil."""

    partenaire: str
    caisses: list[str]
    curseur: Curseur
    lu_le: datetime
    retard_evenements: int
    """`fil.COMPTES_MAX` au plus."""
    premier_en_attente_le: datetime | None

    def en_json(self) -> dict[str, Any]:
        """La même chose, en JSON."""
        premier = self.premier_en_attente_le
        return {
            "partenaire": self.partenaire,
            "caisses": self.caisses,
            "curseur": str(self.curseur),
            "lu_le": self.lu_le.isoformat(),
            "retard_evenements": self.retard_evenements,
            "premier_en_attente_le": premier.isoformat() if premier else None,
        }


def noter_lecture(conn: Connection[Any], partenaire: str, caisses: Collection[str], curseur: Curseur) -> None:
    """Garde ce que ce partenaire dit avoir lu."""
    conn.execute(_NOTER, (partenaire, sorted(caisses), curseur.epoque, curseur.position, list(curseur.retenus)))


def lectures(conn: Connection[Any], mapper: EventMapper, partenaire: str | None = None) -> list[Lecture]:
    """Où en est un partenaire, ou chacun ; un curseur d'une époque passée a tout le journal devant lui."""
    courante = epoque_courante(conn)
    trouvees = []
    for nom, caisses, epoque, position, retenus, lu_le in conn.execute(_LIRE, (partenaire, partenaire)).fetchall():
        combien, premier = en_attente(conn, mapper, caisses, position if epoque == courante else 0)
        trouvees.append(Lecture(nom, caisses, Curseur(epoque, position, tuple(retenus)), lu_le, combien, premier))
    return trouvees
