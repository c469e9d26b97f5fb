"""Ce que l'assuré voit : sa créance et les autres, ses paiements. Des vues, et du journal si elles tardent."""

from datetime import datetime
from typing import Final, NamedTuple

import anyio.to_thread

from api.dependances import Moyens
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import TRANSACTION, lire_référence
from domain.refus import PaiementEnCours, PaiementInconnu, RestantDûInsuffisant, RéférenceNonOuverte
from guichet.guichet import Guichet
from projections.paiements import LignePaiement, derniers_paiements
from projections.paiements import paiement as lire_paiement
from projections.restant_du import LigneCréance, créance, créances_de

PAIEMENTS_RÉCENTS: Final = 20
"""Derniers paiements d'un assuré que l'on regarde pour trouver ceux qui sont en cours."""

AUCUNE: Final = ""
"""Cherchée à la place d'une saisie qui n'est pas une référence : le même travail, et rien n'y répond."""


class Consultation(NamedTuple):
    """Ce que la recherche d'une référence donne."""

    cherchée: LigneCréance
    autres: list[LigneCréance]
    """Celles de l'assuré qui restent dues en ligne, la plus ancienne d'abord."""
    paiements: list[LignePaiement]
    """Les derniers, le plus récent d'abord."""


class Raison(NamedTuple):
    """Pourquoi une créance ne peut pas être cochée maintenant."""

    code: str
    phrase: str
    jusqu_à: datetime | None = None


async def consulter(moyens: Moyens, assuré: str, saisie: str) -> Consultation:
    """Cherche une créance de cet assuré.

    Lève RéférenceNonOuverte, après le même travail que la référence soit illisible, inconnue, exclue, annulée ou d'une
    autre personne : ni la réponse ni sa durée ne disent laquelle.
    """
    référence = lire_référence(saisie) or AUCUNE
    async with moyens.pool.connection() as conn:
        cherchée = await créance(conn, référence)
        toutes = await créances_de(conn, assuré)
        paiements = await derniers_paiements(conn, assuré, PAIEMENTS_RÉCENTS)
    autres = [ligne for ligne in toutes if ligne.référence != référence and est_consultable(ligne) and ligne.restant_dû]
    if cherchée is None or cherchée.assuré != assuré or not est_consultable(cherchée):
        raise RéférenceNonOuverte
    return Consultation(cherchée, autres, paiements)


def est_consultable(ligne: LigneCréance) -> bool:
    """Dit si la créance est ouverte au service en ligne."""
    return ligne.payable_en_ligne and not ligne.annulée


def raison_de_ne_pas_cocher(ligne: LigneCréance, politique: Politique, ouverts: list[LignePaiement]) -> Raison | None:
    """Pourquoi cette ligne ne peut pas être cochée, telle que la vue la connaît, ou None.

    La vue aide à choisir ; la décision reste au domaine. `ouverts` : les paiements en cours de l'assuré.
    """
    if ligne.restant_dû < politique.minimum_par_paiement:
        refus = RestantDûInsuffisant(ligne.référence)
        return Raison(refus.code, refus.phrase)
    if ligne.disponible < politique.minimum_par_paiement and ligne.en_cours:
        fins = [paiement.expire_le for paiement in ouverts if paiement.caisse == ligne.caisse]
        if not fins:  # La vue des paiements a un instant de retard sur celle des créances.
            return Raison(PaiementEnCours.code, PaiementEnCours.__doc__ or "")
        return Raison(PaiementEnCours.code, PaiementEnCours(max(fins), ()).phrase, max(fins))
    return None


def en_cours(paiements: list[LignePaiement]) -> list[LignePaiement]:
    """Ceux qui n'ont pas encore de fin."""
    return [paiement for paiement in paiements if paiement.statut == "en_cours"]


def repris_possible(paiement: LignePaiement, maintenant: datetime) -> bool:
    """Dit si le formulaire du kiosque peut encore être remis."""
    return paiement.statut == "en_cours" and maintenant < paiement.expire_le


async def état_du_paiement(moyens: Moyens, assuré: str, transaction: str) -> LignePaiement:
    """Où en est un paiement de cet assuré ; lève PaiementInconnu, aussi pour celui d'une autre personne.

    Un paiement qui vient d'être ouvert peut précéder la vue : il est alors lu au journal.
    """
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    async with moyens.pool.connection() as conn:
        ligne = await lire_paiement(conn, transaction)
    if ligne is None:
        ligne = await anyio.to_thread.run_sync(_au_journal, moyens.dépendances.guichet, transaction)
    if ligne is None or ligne.assuré != assuré:
        raise PaiementInconnu
    return ligne


def _au_journal(guichet: Guichet, transaction: str) -> LignePaiement | None:
    with guichet.base.transaction() as conn:
        paiement = guichet.charger_paiement(conn, transaction)
    if paiement is None or not paiement.connu:
        return None
    return _ligne(paiement)


def _ligne(paiement: Paiement) -> LignePaiement:
    assert paiement.assuré and paiement.caisse and paiement.canal and paiement.expire_le  # noqa: S101, PT018 (connu)
    return LignePaiement(
        paiement.transaction,
        paiement.assuré,
        paiement.caisse,
        paiement.canal.value,
        paiement.montant,
        paiement.fin.value if paiement.fin else "en_cours",
        paiement.code,
        paiement.cause,
        paiement.created_on,
        paiement.expire_le,
        paiement.conclu_le,
        paiement.accepté_le,
        None,
    )
