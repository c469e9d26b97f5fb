"""La vue `paiements` dit le montant et le statut que dit le journal."""

from typing import Any

from psycopg import Connection

from domain.paiement import Paiement
from projections.audit.journal import Journal
from projections.audit.rapport import Rapport
from projections.vues.paiements import Paiements, montants_et_statuts


def comparer_paiements(conn: Connection[Any], journal: Journal, rapport: Rapport) -> None:
    """Compare chaque paiement ouvert chez nous."""
    vue = {transaction: (montant, statut.value) for transaction, (montant, statut) in montants_et_statuts(conn).items()}
    for paiement in journal.paiements(rapport.positions.get(Paiements.nom, 0)):
        if not paiement.connu:
            continue
        attendu = (paiement.montant, paiement.statut.value)
        if (vu := vue.pop(paiement.transaction, None)) != attendu:
            rapport.ecart(f"paiements : {paiement.transaction} vaut {vu}, le journal dit {attendu}")
    for transaction in vue:
        if not journal.illisible(Paiement.flux(transaction)):
            rapport.ecart(f"paiements : {transaction} sans événement")
