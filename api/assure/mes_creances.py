"""Toutes les créances de l'assuré, et l'histoire des paiements de chacune."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.lecture import en_cours, est_consultable, lire_compte, raison_de_ne_pas_cocher, à_suivre
from api.assure.visite import DUnAssuré, Visite
from guichet.guichet import Guichet
from projections.mouvements import Mouvement, mouvements

routes = APIRouter(prefix="/creances", include_in_schema=False)


@routes.get("")
async def toutes(visite: DUnAssuré) -> Response:
    """Toutes : à payer, soldées, annulées, et celles qui ne se paient pas en ligne."""
    return visite.rendre("creances.html", await _valeurs(visite))


@routes.get("/suivi")
async def suivre(visite: DUnAssuré) -> Response:
    """La liste, relue par le script."""
    return visite.rendre_fragment("_creances.html", await _valeurs(visite))


async def _valeurs(visite: Visite) -> dict[str, Any]:
    créances, paiements = await lire_compte(visite.moyens, visite.assuré)
    guichet = visite.moyens.dépendances.guichet
    ouverts = en_cours(paiements)
    histoires = await anyio.to_thread.run_sync(partial(_raconter, guichet, [ligne.référence for ligne in créances]))
    return {
        "créances": [
            (
                ligne,
                raison_de_ne_pas_cocher(ligne, guichet.politique, ouverts, exclusif=True) if ligne.restant_dû else None,
                est_consultable(ligne),
                histoires[ligne.référence],
            )
            for ligne in sorted(créances, key=lambda ligne: (not ligne.restant_dû, ligne.date_émission))
        ],
        "restant_total": sum(ligne.restant_dû for ligne in créances if not ligne.annulée),
        "suivre": any(à_suivre(paiement) for paiement in paiements),
    }


def _raconter(guichet: Guichet, références: Sequence[str]) -> dict[str, list[Mouvement]]:
    with guichet.base.transaction() as conn:
        return mouvements(conn, guichet.enregistreur, références)
