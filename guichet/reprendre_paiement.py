"""Reprendre un paiement ouvert : le même formulaire scellé, tant que la session du kiosque dure."""

from collections.abc import Collection
from datetime import datetime

from domain.ouverture import fermeture_de
from domain.paiement import Paiement
from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import PaiementClos, PaiementInconnu
from domain.statut import StatutDePaiement
from guichet.guichet import Guichet, sans_dementi
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


def paiements_fermes(
    guichet: Guichet, transactions: Collection[ReferenceTransaction], maintenant: datetime
) -> dict[str, PaiementClos]:
    """De ces paiements, ceux dont le formulaire ne se remet plus, et pourquoi : ce que les pages n'offrent pas.

    Un flux qui ne se lit pas en ferme un aussi, et n'arrête pas la page.
    """
    illisibles: dict[str, str] = {}
    with guichet.base.transaction() as conn:
        charges = sans_dementi(guichet.recorder.load(conn, map(Paiement.flux, transactions), illisibles), illisibles)
        paiements: list[Paiement] = list(charges.values())
        references = {imputation.reference for paiement in paiements for imputation in paiement.imputations}
        creances = guichet.charger_creances(conn, references, illisibles)
    fermes: dict[str, PaiementClos] = {
        transaction: PaiementClos(transaction, StatutDePaiement.EN_COURS)
        for transaction in transactions
        if Paiement.flux(transaction) in illisibles
    }
    for paiement in paiements:
        if any(imputation.reference not in creances for imputation in paiement.imputations):
            fermes[paiement.transaction] = PaiementClos(paiement.transaction, paiement.statut)
            continue
        try:
            paiement.exiger_ouvert(maintenant, fermeture_de(paiement, creances))
        except PaiementClos as clos:
            fermes[paiement.transaction] = clos
    return fermes
