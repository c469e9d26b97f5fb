"""L'audit : recalculer chaque solde depuis le journal, et comparer chaque vue à sa propre position.

Tout est lu dans un même instantané. Le retard d'une vue n'est pas un écart : elle est comparée au journal arrêté à sa
position. Le solde est calculé deux fois, par l'agrégat et par la formule de la règle, qui doivent s'accorder. Un flux
illisible est nommé, et tout le reste est audité.
"""

from datetime import UTC, datetime
from typing import Any, Final

from psycopg import Connection, IsolationLevel

from domain.creance import Créance
from engine import fates as comptes
from projections.audit.affichage import comparer_affichage
from projections.audit.encaissements import comparer_encaissements
from projections.audit.formule import solde_par_la_formule
from projections.audit.journal import Journal
from projections.audit.messagerie import comparer_messagerie
from projections.audit.paiements import comparer_paiements
from projections.audit.rapport import ECARTS_MAX, Rapport
from projections.audit.restant_du import comparer_restant_du

__all__ = ["ECARTS_MAX", "Rapport", "auditer", "solde_par_la_formule"]

_POSITIONS: Final = "SELECT nom, position FROM vues.suiveurs"

_TETE: Final = "SELECT coalesce(max(position), 0), count(*) FROM journal.evenements"

_ECARTES: Final = """
SELECT suiveur, flux, position, cause FROM vues.ecartes WHERE %s::text IS NULL OR flux = %s ORDER BY suiveur, position
"""


def auditer(conn: Connection[Any], reference: str | None = None, maintenant: datetime | None = None) -> Rapport:
    """Audite tout, ou une créance ; `conn` est en autocommit et hors transaction.

    `maintenant` dit quels messages sont échus : la vue peut encore les porter ou non, ce n'est pas un écart.
    """
    rapport = Rapport()
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            rapport.tete, rapport.evenements = conn.execute(_TETE).fetchone() or (0, 0)
            rapport.positions = dict(conn.execute(_POSITIONS).fetchall())
            journal = Journal(conn, rapport)
            if reference is None:
                _auditer_tout(conn, journal, rapport, maintenant or datetime.now(UTC))
            else:
                comparer_restant_du(conn, journal, rapport, reference)
            nom = None if reference is None else Créance.flux(reference)
            for suiveur, flux, position, cause in conn.execute(_ECARTES, (nom, nom)):
                rapport.ecart(f"{suiveur} : événement {position} de {flux} écarté ({cause})")
    finally:
        conn.isolation_level = avant
    return rapport


def _auditer_tout(conn: Connection[Any], journal: Journal, rapport: Rapport, maintenant: datetime) -> None:
    comparer_restant_du(conn, journal, rapport, None)
    comparer_encaissements(journal, rapport)
    comparer_paiements(conn, journal, rapport)
    comparer_affichage(conn, journal, rapport)
    comparer_messagerie(conn, journal, rapport, maintenant)
    for phrase in comptes.ecarts(conn):
        rapport.ecart(phrase)
