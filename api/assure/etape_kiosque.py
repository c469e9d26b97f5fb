"""Étape 3 sur 3 : le formulaire scellé qui mène au kiosque bancaire, puis l'état du paiement au retour."""

from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.justificatif import justificatif_de
from api.assure.lecture import (
    a_suivre,
    est_confirme,
    est_consultable,
    etat_du_paiement,
    fermes_parmi,
    lire_compte,
    repris_possible,
)
from api.assure.motifs import motif_de
from api.assure.reprises import reprises_de
from api.assure.visite import AssureConnecte
from api.socle.route_directe import RouteDirecte
from api.socle.visite import Visite
from domain.references import TRANSACTION, ReferenceTransaction
from domain.refus import PaiementClos, PaiementInconnu
from domain.statut import StatutDePaiement
from guichet.reprendre_paiement import reprendre_paiement

RAFRAICHIR_S: Final = 4
"""Sans script, intervalle entre deux regards sur un paiement en cours (secondes)."""

routes = APIRouter(prefix="/paiements/{transaction}", include_in_schema=False, route_class=RouteDirecte)


@routes.get("/kiosque")
async def partir(transaction: str, visite: AssureConnecte) -> Response:
    """Le formulaire scellé, et le bouton qui mène au kiosque ; un paiement clos mène à son état."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    if transaction in visite.retours:  # La banque l'a accepté : le remettre inviterait à payer deux fois.
        return visite.mener(f"/paiements/{transaction}")
    guichet, maintenant = visite.moyens.dependances.guichet, visite.moyens.dependances.horloge()
    try:
        ouvert = await anyio.to_thread.run_sync(
            partial(reprendre_paiement, guichet, visite.assure, ReferenceTransaction(transaction), maintenant)
        )
    except PaiementClos:
        return visite.mener(f"/paiements/{transaction}")
    fin = (await etat_du_paiement(visite.moyens, visite.assure, transaction)).expire_le
    return visite.rendre("kiosque.html", {"paiement": ouvert, "expire_le": fin}, vers=ouvert.formulaire.url)


@routes.get("")
async def etat(transaction: str, visite: AssureConnecte) -> Response:
    """Où en est le paiement : la réponse scellée de la banque décide, jamais le retour du navigateur."""
    return visite.rendre("paiement.html", await _valeurs(transaction, visite))


@routes.get("/suivi")
async def suivre(transaction: str, visite: AssureConnecte) -> Response:
    """La part de la page que la réponse de la banque fait changer."""
    return visite.rendre_fragment("_etat.html", await _valeurs(transaction, visite))


async def _valeurs(transaction: str, visite: Visite) -> dict[str, Any]:
    moyens = visite.moyens
    paiement = await etat_du_paiement(moyens, visite.assure, transaction)
    justificatif = await anyio.to_thread.run_sync(justificatif_de, moyens.dependances.guichet, transaction)
    if justificatif.a_regler and paiement.accepte_le is None and paiement.conclu_le is not None:
        # Refusé ou expiré pour le journal ; mais de l'argent a été pris : la personne ne lit pas qu'il a échoué.
        paiement = paiement._replace(statut=StatutDePaiement.EN_VERIFICATION)
    lu = await lire_compte(moyens, visite.assure)
    creances = {ligne.reference: ligne for ligne in lu.creances}
    repris = (await reprises_de(moyens, lu._replace(paiements=[paiement]))).get(ReferenceTransaction(transaction), 0)
    fermes = await fermes_parmi(moyens, [paiement])
    clos = fermes.get(paiement.transaction)
    politique = moyens.dependances.guichet.politique
    dues = [ligne for ligne in creances.values() if est_consultable(ligne)]
    restant_a_la_caisse = sum(ligne.restant_du for ligne in dues if ligne.caisse == paiement.caisse)
    return {
        "paiement": paiement,
        "repris": repris,
        "reprise": repris_possible(paiement, fermes, visite.retours),
        "fermeture": clos.phrase if clos is not None and clos.fermeture is not None else None,
        "confirme": est_confirme(paiement, visite.retours),
        "motif": motif_de(paiement, moyens.dependances.guichet.kiosque),
        "parts": [(part, creances.get(part.reference)) for part in justificatif.parts],
        "justificatif": justificatif,
        "encore_dues": any(ligne.restant_du for ligne in dues),
        "bloque": restant_a_la_caisse if politique.ferme_au_paiement(restant_a_la_caisse) else None,
        "politique": politique,
        "courriel": moyens.dependances.courriel is not None,
        "suivre": a_suivre(paiement),
        "rafraichir_s": RAFRAICHIR_S if a_suivre(paiement) else None,
    }
