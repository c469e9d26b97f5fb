"""Reprendre un paiement ouvert : le même formulaire scellé, tant que la session du kiosque dure."""

from datetime import datetime
from typing import Any

from domain.refus import PaiementInconnu
from guichet.guichet import Guichet
from guichet.ouvrir_paiement import decrire


def reprendre_paiement(guichet: Guichet, assure: str, transaction: str, maintenant: datetime) -> dict[str, Any]:
    """Rend de nouveau la réponse de l'ouverture.

    Lève PaiementInconnu (aussi pour celui d'une autre personne) ou PaiementClos.
    """
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, transaction)
    if paiement is None or paiement.assure != assure:
        raise PaiementInconnu
    paiement.exiger_ouvert(maintenant)
    return decrire(guichet, paiement)
