"""Lire les anomalies pour le support, depuis la page ou l'API ; la lecture est écrite avant d'être rendue.

Régler est l'affaire de `guichet.reglement` : les routes et les pages l'appellent directement.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.geste import Source
from domain.references import TRANSACTION, ReferenceTransaction
from domain.refus import AnomalieInconnue, PaiementInconnu
from guichet.acces import Lecteur, Motif, noter_acces
from guichet.guichet import Guichet
from guichet.reglement.dossiers import charger_anomalie, charger_dossier, gestes_d_un_message
from projections.lectures.anomalies import (
    Page,
    Verite,
    Voulue,
    anomalie,
    anomalies_ouvertes,
    histoire,
    page_des_ouvertes,
    page_des_reglees,
)
from projections.lectures.ligne_d_anomalie import LigneDAnomalie

_GENRE: Final = re.compile(r"[a-z_]{1,32}")


class Montree(NamedTuple):
    """Une anomalie, et tout ce que des personnes en ont fait."""

    ligne: LigneDAnomalie
    histoire: list[dict[str, Any]]


def lister(
    guichet: Guichet,
    lecteur: Lecteur,
    motif: Motif,
    maintenant: datetime,
    voulue: Voulue = Voulue(),  # noqa: B008 (immuable)
    *,
    reglees: bool = False,
) -> Page:
    """Une page des anomalies ouvertes, la plus ancienne d'abord ; ou des réglées. Lève PageInconnue."""
    with guichet.base.transaction() as conn:
        if reglees:
            page = page_des_reglees(conn, voulue)
        else:
            page = page_des_ouvertes(conn, maintenant, voulue, gestes_d_un_message=gestes_d_un_message)
        assures = {ligne.assure for ligne in page.lignes if ligne.assure}
        noter_acces(conn, lecteur, quoi="anomalies", objet="liste", assures=assures, motif=motif)
    return page


def lire_genre(dit: str | None) -> str | None:
    """Le genre demandé ; None : tous. Un nom qui n'en est pas un ne retient rien."""
    return dit if dit and _GENRE.fullmatch(dit) else "" if dit else None


def ouvertes_de(guichet: Guichet, noms: Collection[str], maintenant: datetime) -> list[LigneDAnomalie]:
    """Ce qui est à régler de ces créances, paiements ou assurés ; leur lecture est déjà écrite par qui les montre."""
    with guichet.base.transaction() as conn:
        return anomalies_ouvertes(conn, maintenant, gestes_d_un_message=gestes_d_un_message, noms=noms)


def montrer(guichet: Guichet, lecteur: Lecteur, motif: Motif, ident: str, maintenant: datetime) -> Montree:
    """Une anomalie et son histoire, telles que le journal les dit à l'instant ; lève AnomalieInconnue."""
    with guichet.base.transaction() as conn:
        ligne = anomalie(
            conn,
            guichet.recorder,
            ident,
            maintenant,
            gestes_d_un_message=gestes_d_un_message,
            verite=_verite(guichet, conn, ident, maintenant),
        )
        assures = {ligne.assure} if ligne and ligne.assure else set[str]()
        objet = f"anomalie-{ident}" if ligne else "anomalie inconnue"
        noter_acces(conn, lecteur, quoi="anomalie", objet=objet, assures=assures, motif=motif)
        dite = histoire(conn, guichet.recorder, ident) if ligne else []
    if ligne is None:
        raise AnomalieInconnue
    return Montree(ligne, dite)


def _verite(guichet: Guichet, conn: Connection[Any], ident: str, maintenant: datetime) -> Verite | None:
    """Ce que le guichet en déciderait à l'instant ; None si rien ne porte ce nom au journal."""
    try:
        dossier = charger_dossier(guichet, conn, ident, charger_anomalie(guichet, conn, ident, maintenant))
    except AnomalieInconnue:
        return None
    compte = dossier.source in {Source.ARGENT, Source.TROP_PERCU}
    return Verite(dossier.ouverte, dossier.montant if compte else None)


def noter_question(guichet: Guichet, lecteur: Lecteur, transaction: str, motif: Motif) -> None:
    """Écrit qu'un paiement est lu chez nous et à la banque, avant de le montrer ; lève PaiementInconnu."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        assures = [paiement.assure] if paiement and paiement.assure else []
        noter_acces(conn, lecteur, quoi="question", objet=f"paiement-{transaction}", assures=assures, motif=motif)
