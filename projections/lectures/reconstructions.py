"""Les reconstructions des vues : celles qui courent, et ce que les autres sont devenues."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.instants import age_s

LIMITE: Final = 50
"""Reconstructions rendues, au plus."""

_TOUTES: Final = f"""
SELECT vue, etat, position, lus, total, ecartes, differences, cause, meneur, commencee_le, battement_le, finie_le,
       {age_s("battement_le")}
FROM vues.reconstructions ORDER BY rang DESC LIMIT %s
"""  # noqa: S608

_COMPTES: Final = """
SELECT vue, etat, count(*), max(extract(epoch FROM finie_le))::float8 FROM vues.reconstructions GROUP BY vue, etat
"""


class Reconstruction(NamedTuple):
    """Une reconstruction."""

    vue: str
    etat: str
    position: int
    lus: int
    total: int
    ecartes: int
    differences: int
    cause: str | None
    meneur: str
    commencee_le: datetime
    battement_le: datetime
    finie_le: datetime | None
    battement_s: float


def reconstructions(conn: Connection[Any], limite: int = LIMITE) -> list[Reconstruction]:
    """Les dernières, la plus récente d'abord."""
    return [Reconstruction(*ligne) for ligne in conn.execute(_TOUTES, (limite,))]


def comptes(conn: Connection[Any]) -> dict[tuple[str, str], tuple[int, float | None]]:
    """Par (vue, état) : combien, et quand la dernière a fini (secondes depuis 1970)."""
    return {(vue, etat): (combien, fini) for vue, etat, combien, fini in conn.execute(_COMPTES)}
