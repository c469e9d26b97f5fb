"""Les durées d'affichage, comptées par tranche : ce que l'horloge dit des paiements affichés sans les relire.

Une durée va de l'acceptation par la banque à l'affichage de la dernière part. Une tranche porte le nom de sa plus
longue durée : qu'un paiement ait passé un délai est exact pour tout délai qui est une borne, dont toute minute entière.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from psycopg import Connection

PAS_MS: Final = ((10_000, 10), (60_000, 100), (3_600_000, 1_000), (None, 60_000))
"""Jusqu'à quelle durée, et de combien en combien, les tranches se suivent (millisecondes) : à deux centièmes près."""

_TRANCHE: Final = (
    "(CASE "
    + " ".join(
        (f"WHEN ms <= {jusqu_a} THEN" if jusqu_a else "ELSE") + f" ceil(ms / {pas}) * {pas}" for jusqu_a, pas in PAS_MS
    )
    + " END)::int8"
)

SANS_FIN_MS: Final = 10**15
"""La durée d'un paiement dont une heure est sans fin : PostgreSQL en connaît, une main peut en écrire une, et aucune ne
doit arrêter le compte des autres."""

# La tranche de chaque paiement affiché, parmi des parts.
TRANCHES: Final = (
    f"SELECT transaction, {_TRANCHE} AS tranche_ms FROM ("  # noqa: S608 (constantes)
    "SELECT transaction, CASE WHEN isfinite(max(affiche_le)) AND isfinite(min(accepte_le))"
    " THEN greatest(extract(epoch FROM max(affiche_le) - min(accepte_le)) * 1000, 0)"
    f" ELSE {SANS_FIN_MS} END AS ms"
    " FROM {parts} AS parts GROUP BY transaction HAVING count(*) = count(affiche_le)"
    ") AS finis"
)

_TOUTES: Final = (
    "SELECT tranche_ms, count(*) AS paiements FROM ("  # noqa: S608 (constantes)
    + TRANCHES.format(parts="vues.delai_affichage")
    + ") AS toutes GROUP BY tranche_ms"
)

# Ajoute ces paiements aux comptes (1), ou les en ôte (-1).
_COMPTER: Final = (
    "INSERT INTO vues.durees_d_affichage AS d (tranche_ms, paiements)"  # noqa: S608 (constantes)
    " SELECT tranche_ms, %b::int8 * count(*) FROM ("
    + TRANCHES.format(parts="(SELECT * FROM vues.delai_affichage WHERE transaction = ANY (%b::text[]))")
    + ") AS touches GROUP BY tranche_ms"
    " ON CONFLICT (tranche_ms) DO UPDATE SET paiements = d.paiements + excluded.paiements"
)
_OTER_LES_VIDES: Final = "DELETE FROM vues.durees_d_affichage WHERE paiements = 0"

_VIDER: Final = "DELETE FROM vues.durees_d_affichage"
_REFAIRE: Final = f"INSERT INTO vues.durees_d_affichage (tranche_ms, paiements) {_TOUTES}"

# Où les comptes ne sont pas ceux des lignes : la tranche, ce qui est gardé, ce que disent les lignes.
ECARTS: Final = f"""
SELECT tranche_ms, coalesce(d.paiements, 0), coalesce(l.paiements, 0)
FROM vues.durees_d_affichage AS d FULL JOIN ({_TOUTES}) AS l USING (tranche_ms)
WHERE d.paiements IS DISTINCT FROM l.paiements ORDER BY tranche_ms
"""  # noqa: S608 (constantes)

_FINIS: Final = """
SELECT coalesce(sum(paiements), 0)::int8, coalesce(sum(paiements) FILTER (WHERE tranche_ms > %s), 0)::int8
FROM vues.durees_d_affichage
"""


def tranche_ms(duree: timedelta) -> int:
    """La tranche de cette durée, comme la base la calcule."""
    microsecondes = max(duree // timedelta(microseconds=1), 0)
    pas = next(pas for jusqu_a, pas in PAS_MS if jusqu_a is None or microsecondes <= jusqu_a * 1_000)
    return -(-microsecondes // (pas * 1_000)) * pas


def compter(conn: Connection[Any], transactions: Iterable[str]) -> None:
    """Compte ceux de ces paiements qui sont affichés."""
    conn.execute(_COMPTER, (1, list(transactions)))


def decompter(conn: Connection[Any], transactions: Iterable[str]) -> bool:
    """Ôte des comptes ceux de ces paiements qui sont affichés, avant que leurs parts changent ; dit s'il y en avait."""
    return conn.execute(_COMPTER, (-1, list(transactions))).rowcount > 0


def oter_les_vides(conn: Connection[Any]) -> None:
    """Ôte les tranches où il ne reste personne."""
    conn.execute(_OTER_LES_VIDES)


def refaire(conn: Connection[Any]) -> None:
    """Refait tous les comptes, des lignes."""
    conn.execute(_VIDER)
    conn.execute(_REFAIRE)


def finis(conn: Connection[Any], delai: timedelta) -> tuple[int, int]:
    """Les paiements affichés, et ceux qui l'ont été trop tard."""
    return conn.execute(_FINIS, (tranche_ms(delai),)).fetchone() or (0, 0)
