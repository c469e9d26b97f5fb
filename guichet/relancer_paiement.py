"""Relancer un paiement sans réponse, ou fini sans accord : interroger le kiosque, et l'expirer s'il y est inconnu.

La réponse du kiosque entre comme n'importe quelle notification, sous son sceau : elle a donc un sort. Un paiement
en attente chez la banque, ou un kiosque injoignable, n'expire jamais tout seul : il alerte.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

import structlog
from psycopg import Connection

from domain.notification import etrangere, expirer
from domain.paiement import Fin
from domain.references import ReferenceTransaction
from domain.reponse import Issue
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from kiosque.interface import Inconnue, Trouvee, ValeurDuTopic
from kiosque.operation import Indeterminee


class Relance(StrEnum):
    """Ce qu'une relance a donné."""

    REPONSE_TRANSMISE = "reponse_transmise"
    EXPIRE = "expire"
    INCONNU_TROP_TOT = "inconnu_trop_tot"
    """Le kiosque ne le connaît pas, mais le délai n'est pas passé : la personne y arrive peut-être."""
    INJOIGNABLE = "injoignable"
    DEJA_CONCLU = "deja_conclu"
    """Il avait une fin, et la banque n'en dit pas plus."""
    IMPOSSIBLE = "impossible"
    """Ce paiement ne peut pas être lu ou relancé : il attend, et n'arrête pas les autres."""


Transmettre = Callable[[str, ValeurDuTopic], None]
"""Met sur le topic des notifications une réponse de la banque, sous sa référence de transaction."""


def relancer_paiement(guichet: Guichet, transaction: str, transmettre: Transmettre, maintenant: datetime) -> Relance:
    """Relance un paiement ; rend ce qu'elle a donné. Un kiosque injoignable n'est pas une erreur.

    Un paiement refusé ou expiré est demandé aussi : si la banque l'a pris, sa réponse suit le chemin de toutes. Lève ce
    que `transmettre` lève.
    """
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
    if paiement is None or not paiement.connu or paiement.fin is Fin.ACCEPTE:
        return Relance.DEJA_CONCLU
    # La question se pose hors de toute transaction : une banque muette ne retient pas la base.
    etat = guichet.kiosque.interroger(transaction, paiement.marchand)
    if isinstance(etat, Trouvee) and (pourquoi := etrangere(paiement, etat.reponse)) is not None:
        # L'argent d'un autre paiement sous ce nom est un fait, à rattacher ; du nôtre, la banque ne sait rien.
        structlog.get_logger().warning("reponse_d_un_autre_paiement", transaction=transaction, cause=pourquoi)
        if etat.reponse.issue is Issue.ACCEPTEE:
            transmettre(transaction, etat.valeur)
        etat = Inconnue()
    match etat:
        case Indeterminee(cause=cause):
            structlog.get_logger().warning("kiosque_sans_reponse", transaction=transaction, cause=cause)
            return Relance.INJOIGNABLE
        case Trouvee(reponse=reponse, valeur=valeur):
            if paiement.fin is not None and reponse.issue is not Issue.ACCEPTEE:
                return Relance.DEJA_CONCLU
            transmettre(transaction, valeur)
            return Relance.REPONSE_TRANSMISE
        case Inconnue():
            if paiement.fin is None and maintenant < paiement.created_on + guichet.politique.expirer_apres:
                return Relance.INCONNU_TROP_TOT
            expire = paiement.fin is None and _expirer(guichet, transaction, maintenant)
            return Relance.EXPIRE if expire else Relance.DEJA_CONCLU
        case _:
            assert_never(etat)


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
