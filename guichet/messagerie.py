"""La messagerie de l'assuré : relire, ouvrir et supprimer un accusé de réception.

Tout est décidé au journal : un message supprimé ne se rouvre pas, même si la vue a un instant de retard.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.accuse import Accusé, accusé_de
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from domain.references import TRANSACTION
from domain.refus import MessageInconnu
from guichet.guichet import Guichet
from journal.enregistreur import recueillir
from journal.lot import Lot

CAUSE = "requete:messagerie"


def consulter_message(guichet: Guichet, assuré: str, transaction: str, maintenant: datetime) -> Accusé:
    """L'accusé de réception de ce paiement, sans rien enregistrer ; lève MessageInconnu."""
    with guichet.base.transaction() as conn:
        accusé, messagerie = _charger(guichet, conn, assuré, transaction, maintenant)
    if accusé.transaction in messagerie.supprimés:
        raise MessageInconnu
    return accusé


def ouvrir_message(guichet: Guichet, assuré: str, transaction: str, maintenant: datetime) -> Accusé:
    """Le même, et le fait qu'il est lu, la première fois ; lève MessageInconnu."""
    return _faire(guichet, assuré, transaction, maintenant, Messagerie.lire)


def supprimer_message(guichet: Guichet, assuré: str, transaction: str, maintenant: datetime) -> None:
    """Supprime ce message, une fois ; le supprimer encore ne fait rien. Lève MessageInconnu."""
    _faire(guichet, assuré, transaction, maintenant, Messagerie.supprimer)


def messagerie_de(guichet: Guichet, assuré: str, maintenant: datetime) -> Messagerie:
    """Ce que l'assuré a fait de ses messages, à l'instant."""
    flux = Messagerie.flux(assuré)
    with guichet.base.transaction() as conn:
        connue: Messagerie | None = guichet.enregistreur.charger(conn, [flux]).get(flux)
    return connue or Messagerie.vide(assuré, maintenant=maintenant)


def _faire(guichet: Guichet, assuré: str, transaction: str, maintenant: datetime, geste: Callable[..., None]) -> Accusé:
    def décision(conn: Connection[Any]) -> Accusé:
        accusé, messagerie = _charger(guichet, conn, assuré, transaction, maintenant)
        geste(messagerie, accusé, maintenant=maintenant)
        guichet.enregistreur.inscrire(conn, Lot(inscriptions=recueillir([messagerie], CAUSE)))
        return accusé

    return guichet.décider(décision)


def _charger(
    guichet: Guichet, conn: Connection[Any], assuré: str, transaction: str, maintenant: datetime
) -> tuple[Accusé, Messagerie]:
    """L'accusé et la messagerie, en une requête ; lève MessageInconnu."""
    if not TRANSACTION.fullmatch(transaction):
        raise MessageInconnu
    paiement, messagerie = Paiement.flux(transaction), Messagerie.flux(assuré)
    connus = guichet.enregistreur.charger(conn, [paiement, messagerie])
    accusé = accusé_de(connus.get(paiement), assuré, maintenant)
    return accusé, connus.get(messagerie) or Messagerie.vide(assuré, maintenant=maintenant)
