"""Ce qui attend une personne, compté par genre : l'audit le dit, et ce ne sont pas des écarts."""

from typing import Any, Final

from psycopg import Connection

from domain.sort import ANOMALIES
from projections.audit.rapport import Rapport

_DES_SORTS: Final = """
SELECT s.sort, count(*) FROM journal.sorts s
LEFT JOIN journal.attentes_reglees r USING (topic_id, partition, decalage)
WHERE s.sort = ANY (%s) AND r.topic_id IS NULL GROUP BY s.sort ORDER BY s.sort
"""

_LES_AUTRES: Final[dict[str, str]] = {
    "ecart_de_rapport": "SELECT count(*) FROM vues.ecarts_ouverts",
    "evenement_ecarte": "SELECT count(*) FROM vues.ecartes",
    "vue_differente": "SELECT count(*) FROM vues.differences",
    "trop_percu": "SELECT count(*) FROM vues.restant_du WHERE solde < 0",
    "en_verification": "SELECT count(*) FROM vues.paiements WHERE statut = 'en_verification'",
    "partition_arretee": """
SELECT count(*) FROM journal.arrets a
WHERE NOT EXISTS (SELECT FROM journal.reprises r WHERE r.partition = a.partition AND r.topic = a.topic
                    AND r.enregistre_le >= a.enregistre_le)
""",
}


def compter_les_anomalies(conn: Connection[Any], rapport: Rapport) -> None:
    """Compte les anomalies ouvertes ; celles d'un genre qui n'en a pas sont omises."""
    comptes = {sort: int(messages) for sort, messages in conn.execute(_DES_SORTS, ([*map(str, ANOMALIES)],))}
    for genre, requete in _LES_AUTRES.items():
        (nombre,) = conn.execute(requete).fetchone() or (0,)
        comptes[genre] = int(nombre)
    rapport.anomalies = {genre: nombre for genre, nombre in comptes.items() if nombre}
