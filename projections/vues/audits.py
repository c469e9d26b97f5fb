"""La table des audits demandés depuis une page : un seul en cours, ce qu'il en dit, les cent derniers gardés.

Seul module qui lise et écrive `vues.audits`.
"""

from datetime import date, datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

GARDES: Final = 100
SILENCE_S: Final = 30
"""Sans signe de vie pendant ce temps (secondes), un audit est tenu pour interrompu."""

INTERROMPU: Final = "Interrompu : le processus qui le faisait s'est arrêté."

_COLONNES: Final = "rang, demande_par, demande_le, depuis, etape, lus, sur, fini_le, echec, rapport"

_INTERROMPRE: Final = """
UPDATE vues.audits SET fini_le = clock_timestamp(), echec = %s
WHERE fini_le IS NULL AND vu_le < clock_timestamp() - make_interval(secs => %s)
"""
_OUBLIER: Final = """
DELETE FROM vues.audits WHERE rang <= (SELECT rang FROM vues.audits ORDER BY rang DESC OFFSET %s LIMIT 1)
"""
_DEMANDER: Final = "INSERT INTO vues.audits (demande_par, depuis) VALUES (%s, %s) RETURNING rang"
_EN_COURS: Final = "SELECT rang FROM vues.audits WHERE fini_le IS NULL"
_AVANCER: Final = """
UPDATE vues.audits SET vu_le = clock_timestamp(), etape = %s, lus = %s, sur = %s WHERE rang = %s AND fini_le IS NULL
"""
_FINIR: Final = """
UPDATE vues.audits SET fini_le = clock_timestamp(), vu_le = clock_timestamp(), echec = %s, rapport = %s, totaux = %s
WHERE rang = %s AND fini_le IS NULL
"""
_LIRE: Final = f"SELECT {_COLONNES} FROM vues.audits WHERE rang = %s"  # noqa: S608 (constante)
# De leur rapport, ce qui le résume.
_DERNIERS: Final = """
SELECT rang, demande_par, demande_le, depuis, etape, lus, sur, fini_le, echec, CASE WHEN rapport IS NOT NULL THEN
       jsonb_build_object('ecarts_total', rapport->'ecarts_total', 'illisibles_total', rapport->'illisibles_total',
                          'non_controles', rapport->'non_controles') END
FROM vues.audits ORDER BY rang DESC LIMIT %s
"""
_TOTAUX: Final = "SELECT totaux FROM vues.audits WHERE rang = %s"


class AuditDemande(NamedTuple):
    """Un audit demandé, et où il en est."""

    rang: int
    demande_par: str
    demande_le: datetime
    depuis: date | None
    etape: str
    lus: int
    sur: int
    fini_le: datetime | None
    echec: str | None
    rapport: dict[str, Any] | None


def demander(conn: Connection[Any], par: str, depuis: date | None) -> tuple[int, bool]:
    """Inscrit une demande ; rend son rang, et Vrai si elle est neuve : s'il en est un en cours, c'est le sien."""
    declarer_les_interrompus(conn)
    conn.execute(_OUBLIER, (GARDES - 1,))
    try:
        with conn.transaction():
            (rang,) = conn.execute(_DEMANDER, (par, depuis)).fetchone() or (0,)
            return int(rang), True
    except UniqueViolation:
        (rang,) = conn.execute(_EN_COURS).fetchone() or (0,)
        return int(rang), False


def declarer_les_interrompus(conn: Connection[Any]) -> None:
    """Un audit dont le processus ne donne plus signe de vie est fini, sans rapport."""
    conn.execute(_INTERROMPRE, (INTERROMPU, SILENCE_S))


def avancer(conn: Connection[Any], rang: int, etape: str, lus: int, sur: int) -> None:
    """Dit où il en est ; c'est aussi son signe de vie."""
    conn.execute(_AVANCER, (etape, lus, sur, rang))


def finir(
    conn: Connection[Any], rang: int, *, rapport: dict[str, Any] | None, totaux: str | None, echec: str | None = None
) -> None:
    """Il a fini : son rapport et ses totaux, ou pourquoi il n'a pas abouti."""
    conn.execute(_FINIR, (echec, None if rapport is None else Jsonb(rapport), totaux, rang))


def audit_demande(conn: Connection[Any], rang: int) -> AuditDemande | None:
    """Cet audit ; None s'il n'est pas gardé."""
    ligne = conn.execute(_LIRE, (rang,)).fetchone()
    return AuditDemande(*ligne) if ligne else None


def derniers(conn: Connection[Any]) -> list[AuditDemande]:
    """Ceux qui sont gardés, le plus récent d'abord ; de leur rapport, ce qui le résume."""
    return [AuditDemande(*ligne) for ligne in conn.execute(_DERNIERS, (GARDES,))]


def totaux_de(conn: Connection[Any], rang: int) -> str | None:
    """Ses totaux, en CSV ; None s'il n'a pas fini, ou n'est pas gardé."""
    (texte,) = conn.execute(_TOTAUX, (rang,)).fetchone() or (None,)
    return texte
