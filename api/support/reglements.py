"""Lire les anomalies pour le support, depuis la page ou l'API ; la lecture est écrite avant d'être rendue.

Régler est l'affaire de `guichet.reglement` : les routes et les pages l'appellent directement.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from domain.references import TRANSACTION, ReferenceTransaction
from domain.refus import AnomalieInconnue, PaiementInconnu
from guichet.acces import Lecteur, Motif, noter_acces
from guichet.guichet import Guichet
from guichet.reglement.dossiers import gestes_d_un_message
from projections.lectures.anomalies import LigneDAnomalie, anomalie, anomalies_ouvertes, anomalies_reglees, histoire


class Montree(NamedTuple):
    """Une anomalie, et tout ce que des personnes en ont fait."""

    ligne: LigneDAnomalie
    histoire: list[dict[str, Any]]


def lister(
    guichet: Guichet, lecteur: Lecteur, motif: Motif, maintenant: datetime, *, reglees: bool = False
) -> list[LigneDAnomalie]:
    """Les anomalies ouvertes, la plus ancienne d'abord ; ou les dernières réglées."""
    with guichet.base.transaction() as conn:
        if reglees:
            lignes = anomalies_reglees(conn)
        else:
            lignes = anomalies_ouvertes(conn, maintenant, gestes_d_un_message=gestes_d_un_message)
        assures = {ligne.assure for ligne in lignes if ligne.assure}
        noter_acces(conn, lecteur, quoi="anomalies", objet="liste", assures=assures, motif=motif)
    return lignes


def ouvertes_de(guichet: Guichet, noms: Collection[str], maintenant: datetime) -> list[LigneDAnomalie]:
    """Ce qui est à régler de ces créances, paiements ou assurés ; leur lecture est déjà écrite par qui les montre."""
    with guichet.base.transaction() as conn:
        lignes = anomalies_ouvertes(conn, maintenant, gestes_d_un_message=gestes_d_un_message)
    return [ligne for ligne in lignes if not {ligne.reference, ligne.transaction, ligne.assure}.isdisjoint(noms)]


def montrer(guichet: Guichet, lecteur: Lecteur, motif: Motif, ident: str, maintenant: datetime) -> Montree:
    """Une anomalie et son histoire ; lève AnomalieInconnue."""
    with guichet.base.transaction() as conn:
        ligne = anomalie(conn, ident, maintenant, gestes_d_un_message=gestes_d_un_message)
        assures = {ligne.assure} if ligne and ligne.assure else set[str]()
        objet = f"anomalie-{ident}" if ligne else "anomalie inconnue"
        noter_acces(conn, lecteur, quoi="anomalie", objet=objet, assures=assures, motif=motif)
        dite = histoire(conn, guichet.recorder, ident) if ligne else []
    if ligne is None:
        raise AnomalieInconnue
    return Montree(ligne, dite)


def est_visible(guichet: Guichet, ident: str, maintenant: datetime) -> bool:
    """Dit si cette anomalie se lit, ouverte ou réglée : après un règlement, la vue peut avoir un instant de retard."""
    with guichet.base.transaction() as conn:
        return anomalie(conn, ident, maintenant, gestes_d_un_message=gestes_d_un_message) is not None


def noter_question(guichet: Guichet, lecteur: Lecteur, transaction: str, motif: Motif) -> None:
    """Écrit qu'un paiement est lu chez nous et à la banque, avant de le montrer ; lève PaiementInconnu."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        assures = [paiement.assure] if paiement and paiement.assure else []
        noter_acces(conn, lecteur, quoi="question", objet=f"paiement-{transaction}", assures=assures, motif=motif)
