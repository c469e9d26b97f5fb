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
from domain.references import ReferenceTransaction
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from kiosque.interface import KiosqueInjoignable


class Relance(StrEnum):
    """Ce qu'une relance a donné."""

    REPONSE_TRANSMISE = "reponse_transmise"
    EXPIRE = "expire"
    INCONNU_TROP_TOT = "inconnu_trop_tot"
    """Le kiosque ne le connaît pas, mais le délai n'est pas passé : la personne y arrive peut-être."""
    INJOIGNABLE = "injoignable"
    DEJA_CONCLU = "deja_conclu"


Transmettre = Callable[[str, Mapping[str, str]], None]
"""Met sur le topic des notifications un formulaire scellé, sous sa référence de transaction."""


def relancer_paiement(guichet: Guichet, transaction: str, transmettre: Transmettre, maintenant: datetime) -> Relance:
    """Relance un paiement ; rend ce qu'elle a donné. Un kiosque injoignable n'est pas une erreur.

    Lève ce que `transmettre` lève.
    """
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
    if paiement is None or not paiement.connu or paiement.fin is not None:
        return Relance.DEJA_CONCLU
    try:
        formulaire = guichet.kiosque.interroger(transaction, paiement.marchand)
    except KiosqueInjoignable:
        return Relance.INJOIGNABLE
    if formulaire is not None:
        transmettre(transaction, formulaire)
        return Relance.REPONSE_TRANSMISE
    if maintenant < paiement.created_on + guichet.politique.expirer_apres:
        return Relance.INCONNU_TROP_TOT
    return Relance.EXPIRE if _expirer(guichet, transaction, maintenant) else Relance.DEJA_CONCLU


def _expirer(guichet: Guichet, transaction: str, maintenant: datetime) -> bool:
    def decision(conn: Connection[Any]) -> bool:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        if paiement is None:
            return False
        creances = guichet.charger_creances(conn, [imputation.reference for imputation in paiement.imputations])
        if not expirer(paiement, creances, maintenant=maintenant):
            return False
        entries = collect([paiement, *creances.values()], "relance:inconnu-du-kiosque")
        guichet.recorder.record(conn, Batch(entries=entries))
        return True

    return guichet.decider(decision)
