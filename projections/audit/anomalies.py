"""Ce qui attend une personne, compté par genre : l'audit le dit, et ce ne sont pas des écarts."""

from typing import Any, Final

from psycopg import Connection

from projections.audit.rapport import Rapport
from projections.lectures.sources_d_anomalies import compter_les_ouvertes

# Un paiement dont l'argent est réglé peut rester en vérification : le bon montant peut encore venir.
_EN_VERIFICATION: Final = "SELECT count(*) FROM vues.paiements WHERE statut = 'en_verification'"


def compter_les_anomalies(conn: Connection[Any], rapport: Rapport) -> None:
    """Compte les anomalies ouvertes, telles que leur liste les montre ; un genre qui n'en a pas est omis."""
    rapport.anomalies = compter_les_ouvertes(conn)
    (rapport.en_verification,) = conn.execute(_EN_VERIFICATION).fetchone() or (0,)
