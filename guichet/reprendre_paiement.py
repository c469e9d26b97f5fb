"""Reprendre un paiement ouvert : le même formulaire scellé, tant que la session du kiosque dure."""

from datetime import datetime

from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import PaiementInconnu
from guichet.guichet import Guichet
from guichet.ouvrir_paiement import PaiementRemis, remettre


def reprendre_paiement(
    guichet: Guichet, assure: Pseudonyme, transaction: ReferenceTransaction, maintenant: datetime
) -> PaiementRemis:
    """Rend de nouveau la réponse de l'ouverture.

    Lève PaiementInconnu (aussi pour celui d'une autre personne), PaiementClos ou FormulaireIndisponible.
    """
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, transaction)
        if paiement is None or paiement.assure != assure:
            raise PaiementInconnu
        guichet.exiger_ouvert(conn, paiement, maintenant)
    return remettre(guichet, paiement)
