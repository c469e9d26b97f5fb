"""La messagerie de l'assuré : relire, ouvrir et supprimer un accusé de réception.

Tout est décidé au journal : un message supprimé ne se rouvre pas, même si la vue a un instant de retard.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.accuse import Accuse, accuse_de
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from domain.references import TRANSACTION, Pseudonyme
from domain.refus import MessageInconnu
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet

CAUSE = "requete:messagerie"


def consulter_message(guichet: Guichet, assure: Pseudonyme, transaction: str, maintenant: datetime) -> Accuse:
    """L'accusé de réception de ce paiement, sans rien enregistrer ; lève MessageInconnu."""
    with guichet.base.transaction() as conn:
        accuse, messagerie = _charger(guichet, conn, assure, transaction, maintenant)
    if accuse.transaction in messagerie.supprimes:
        raise MessageInconnu
    return accuse


def ouvrir_message(guichet: Guichet, assure: Pseudonyme, transaction: str, maintenant: datetime) -> Accuse:
    """Le même, et le fait qu'il est lu, la première fois ; lève MessageInconnu."""
    return _faire(guichet, assure, transaction, maintenant, Messagerie.lire)


def supprimer_message(guichet: Guichet, assure: Pseudonyme, transaction: str, maintenant: datetime) -> None:
    """Supprime ce message, une fois ; le supprimer encore ne fait rien. Lève MessageInconnu."""
    _faire(guichet, assure, transaction, maintenant, Messagerie.supprimer)


def messagerie_de(guichet: Guichet, assure: Pseudonyme, maintenant: datetime) -> Messagerie:
    """Ce que l'assuré a fait de ses messages, à l'instant."""
    flux = Messagerie.flux(assure)
    with guichet.base.transaction() as conn:
        connue: Messagerie | None = guichet.recorder.load(conn, [flux]).get(flux)
    return connue or Messagerie.vide(assure, maintenant=maintenant)


def _faire(
    guichet: Guichet, assure: Pseudonyme, transaction: str, maintenant: datetime, geste: Callable[..., None]
) -> Accuse:
    def decision(conn: Connection[Any]) -> Accuse:
        accuse, messagerie = _charger(guichet, conn, assure, transaction, maintenant)
        geste(messagerie, accuse, maintenant=maintenant)
        guichet.recorder.record(conn, Batch(entries=collect([messagerie], CAUSE)))
        return accuse

    return guichet.decider(decision)


def _charger(
    guichet: Guichet, conn: Connection[Any], assure: Pseudonyme, transaction: str, maintenant: datetime
) -> tuple[Accuse, Messagerie]:
    """L'accusé et la messagerie, en une requête ; lève MessageInconnu."""
    if not TRANSACTION.fullmatch(transaction):
        raise MessageInconnu
    paiement, messagerie = Paiement.flux(transaction), Messagerie.flux(assure)
    connus = guichet.recorder.load(conn, [paiement, messagerie])
    accuse = accuse_de(connus.get(paiement), assure, maintenant)
    return accuse, connus.get(messagerie) or Messagerie.vide(assure, maintenant=maintenant)
