"""La vue `delai_affichage` a une horloge par part acceptée, arrêtée si la part est affichée."""

from typing import Any

from psycopg import Connection

from domain.creance import Créance
from projections.audit.journal import Journal
from projections.audit.rapport import Rapport
from projections.vues.delai_affichage import DelaiAffichage, affichees


def comparer_affichage(conn: Connection[Any], journal: Journal, rapport: Rapport) -> None:
    """Compare chaque part acceptée."""
    vue = affichees(conn)
    for creance, _ in journal.creances(rapport.positions.get(DelaiAffichage.nom, 0)):
        reference = creance.avis.reference
        for transaction, part in creance.acceptees.items():
            vu = vue.pop((transaction, reference), None)
            if vu != part.affichee:
                rapport.ecart(f"delai_affichage : {transaction} sur {reference} vaut {vu}, le journal {part.affichee}")
    for reste, ou in vue:
        if not journal.illisible(Créance.flux(ou)):
            rapport.ecart(f"delai_affichage : {reste} sur {ou} sans événement")
