"""Conclure un paiement avec l'argent que la banque a pris : un autre montant, ou sous une autre autorisation."""

from domain.geste import Proposition
from guichet.reglement import rattacher
from guichet.reglement.acte import Acte


def preciser(acte: Acte) -> Proposition:
    """L'argent va aux créances que le paiement devait régler, jusqu'à ce qu'elles doivent. Lève Refus."""
    voulue = acte.proposition.model_copy(update={"transaction": acte.dossier.transaction})
    return rattacher.preciser(acte._replace(proposition=voulue))
