"""Étape 3 sur 3 : le formulaire scellé qui mène au kiosque bancaire, puis l'état du paiement au retour."""

from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.lecture import est_consultable, imputations_de, lire_compte, repris_possible, à_suivre, état_du_paiement
from api.assure.visite import DUnAssuré, Visite
from domain.references import TRANSACTION
from domain.refus import PaiementClos, PaiementInconnu
from guichet.reprendre_paiement import reprendre_paiement

RAFRAÎCHIR_S: Final = 4
"""Sans script, intervalle entre deux regards sur un paiement en cours (secondes)."""

routes = APIRouter(prefix="/paiements/{transaction}", include_in_schema=False)


@routes.get("/kiosque")
async def partir(transaction: str, visite: DUnAssuré) -> Response:
    """Le formulaire scellé, et le bouton qui mène au kiosque ; un paiement clos mène à son état."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    guichet, maintenant = visite.moyens.dépendances.guichet, visite.moyens.dépendances.horloge()
    try:
        ouvert = await anyio.to_thread.run_sync(
            partial(reprendre_paiement, guichet, visite.assuré, transaction, maintenant)
        )
    except PaiementClos:
        return visite.mener(f"/paiements/{transaction}")
    fin = (await état_du_paiement(visite.moyens, visite.assuré, transaction)).expire_le
    return visite.rendre("kiosque.html", {"paiement": ouvert, "expire_le": fin}, vers=ouvert["kiosque"]["url"])


@routes.get("")
async def état(transaction: str, visite: DUnAssuré) -> Response:
    """Où en est le paiement : la réponse scellée de la banque décide, jamais le retour du navigateur."""
    return visite.rendre("paiement.html", await _valeurs(transaction, visite))


@routes.get("/suivi")
async def suivre(transaction: str, visite: DUnAssuré) -> Response:
    """La part de la page que la réponse de la banque fait changer."""
    return visite.rendre_fragment("_etat.html", await _valeurs(transaction, visite))


async def _valeurs(transaction: str, visite: Visite) -> dict[str, Any]:
    moyens, maintenant = visite.moyens, visite.moyens.dépendances.horloge()
    paiement = await état_du_paiement(moyens, visite.assuré, transaction)
    parts = await anyio.to_thread.run_sync(imputations_de, moyens.dépendances.guichet, transaction)
    créances = {ligne.référence: ligne for ligne in (await lire_compte(moyens, visite.assuré)).créances}
    return {
        "paiement": paiement,
        "reprise": repris_possible(paiement, maintenant),
        "parts": [(part, créances.get(part.référence)) for part in parts],
        "encore_dues": any(ligne.restant_dû for ligne in créances.values() if est_consultable(ligne)),
        "politique": moyens.dépendances.guichet.politique,
        "suivre": à_suivre(paiement),
        "rafraîchir_s": RAFRAÎCHIR_S if à_suivre(paiement) else None,
    }
