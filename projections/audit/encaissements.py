"""Chaque centime accepté par la banque est sur une créance, une fois et une seule."""

from domain.creance import Créance
from domain.paiement import Fin, Paiement
from projections.audit.journal import Journal
from projections.audit.rapport import Rapport


def comparer_encaissements(journal: Journal, rapport: Rapport) -> None:
    """Rapproche les parts que les créances ont acceptées de celles des paiements acceptés."""
    parts = {
        (transaction, creance.avis.reference): part.part
        for creance, _ in journal.creances(rapport.tete)
        for transaction, part in creance.acceptees.items()
    }
    for paiement in journal.paiements(rapport.tete):
        if not paiement.connu:
            continue
        rapport.paiements += 1
        if paiement.fin is not Fin.ACCEPTE:
            continue
        rapport.accepte_total += paiement.montant
        for imputation in paiement.imputations:
            if journal.illisible(Créance.flux(imputation.reference)):
                continue
            part = parts.pop((paiement.transaction, imputation.reference), None)
            if part != imputation.part:
                rapport.ecart(
                    f"{paiement.transaction} : {imputation.part} centimes acceptés pour {imputation.reference},"
                    f" qui en porte {part or 0}"
                )
    for (transaction, reference), part in parts.items():
        if not journal.illisible(Paiement.flux(transaction)):
            rapport.ecart(f"{reference} : {part} centimes de {transaction}, que le paiement ne dit pas acceptés")
