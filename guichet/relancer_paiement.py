"""Relancer un paiement sans réponse : interroger le kiosque, et l'expirer s'il ne le connaît pas.

La réponse du kiosque entre comme n'importe quelle notification scellée : elle a donc un sort, elle aussi. Un paiement
en attente chez la banque, ou un kiosque injoignable, n'expire jamais tout seul : il alerte.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection

from domain.notification import expirer
from guichet.guichet import Guichet
from journal.enregistreur import recueillir
from journal.lot import Lot
from kiosque.interface import KiosqueInjoignable


class Relance(StrEnum):
    """Ce qu'une relance a donné."""

    RÉPONSE_TRANSMISE = "reponse_transmise"
    EXPIRÉ = "expire"
    INCONNU_TROP_TÔT = "inconnu_trop_tot"
    """Le kiosque ne le connaît pas, mais le délai n'est pas passé : la personne y arrive peut-être."""
    INJOIGNABLE = "injoignable"
    DÉJÀ_CONCLU = "deja_conclu"


Transmettre = Callable[[str, Mapping[str, str]], None]
"""Met sur le topic des notifications un formulaire scellé, sous sa référence de transaction."""


def relancer_paiement(guichet: Guichet, transaction: str, transmettre: Transmettre, maintenant: datetime) -> Relance:
    """Relance un paiement ; rend ce qu'elle a donné. Un kiosque injoignable n'est pas une erreur.

    Lève ce que `transmettre` lève.
    """
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, transaction)
    if paiement is None or not paiement.connu or paiement.fin is not None:
        return Relance.DÉJÀ_CONCLU
    try:
        formulaire = guichet.kiosque.interroger(transaction, paiement.marchand)
    except KiosqueInjoignable:
        return Relance.INJOIGNABLE
    if formulaire is not None:
        transmettre(transaction, formulaire)
        return Relance.RÉPONSE_TRANSMISE
    if maintenant < paiement.created_on + guichet.politique.expirer_après:
        return Relance.INCONNU_TROP_TÔT
    return Relance.EXPIRÉ if _expirer(guichet, transaction, maintenant) else Relance.DÉJÀ_CONCLU


def _expirer(guichet: Guichet, transaction: str, maintenant: datetime) -> bool:
    def décision(conn: Connection[Any]) -> bool:
        paiement = guichet.charger_paiement(conn, transaction)
        if paiement is None:
            return False
        créances = guichet.charger_créances(conn, [imputation.référence for imputation in paiement.imputations])
        if not expirer(paiement, créances, maintenant=maintenant):
            return False
        inscriptions = recueillir([paiement, *créances.values()], "relance:inconnu-du-kiosque")
        guichet.enregistreur.inscrire(conn, Lot(inscriptions=inscriptions))
        return True

    return guichet.décider(décision)
