"""La preuve d'un solde de l'assuré : par l'API, sur une page, et à emporter.

Il ne lit que la preuve de ses créances ; celle qu'un agent a changée le nommerait, et le support la remet.
"""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from api.assure.lecture import PAIEMENTS_RECENTS
from api.assure.visite import AssureConnecte
from api.socle.acces import Assure
from api.socle.dependances import DeLApplication, Moyens
from api.socle.preuve_lue import ADRESSE_DU_VERIFICATEUR, VERIFICATEUR, fichier_de_preuve, temoins_de, valeurs_de
from api.socle.problemes import probleme_de
from api.socle.route_directe import RouteDirecte
from api.socle.schema import problemes
from domain.references import lire_reference
from domain.refus import ReferenceNonOuverte
from preuve.balance import NotYetSealed, prove
from projections.lectures.compte import compte
from projections.vues.restant_du import LigneCreance

routes = APIRouter(prefix="/api/v1/creances", tags=["Assuré"], route_class=RouteDirecte)
pages = APIRouter(include_in_schema=False, route_class=RouteDirecte)


@routes.get(
    "/{reference}/preuve",
    summary="La preuve de mon solde",
    responses=problemes(401, 403, 404, 409) | {200: {"content": {"application/json": {}}}},
    response_class=Response,
)
async def de_ma_creance(reference: str, assure: Assure, moyens: DeLApplication) -> Response:
    """Les faits de la créance, leur place dans l'arbre signé, le calcul : complet jusqu'à sa version, et rien de plus.

    `creances verify` et `preuve/verificateur.py` la vérifient, octet pour octet. 503 tant que le sceau n'y est pas
    encore ; 409 si un agent y serait nommé. Une référence inconnue ou d'une autre personne a une seule et même réponse.
    """
    _, faite = await _prouver(moyens, assure, reference)
    return Response(faite, media_type="application/json")


@pages.get("/creances/{reference}/preuve")
async def montrer(reference: str, visite: AssureConnecte) -> Response:
    """La preuve, pas à pas ; le navigateur la vérifie."""
    ligne, faite = await _prouver(visite.moyens, visite.assure, reference)
    valeurs = valeurs_de(faite, visite.moyens.dependances.preuve_reconnue)
    retard = valeurs["preuve"]["version"] < ligne.version
    return visite.rendre(
        "preuve.html",
        valeurs | {"telecharger": f"/creances/{ligne.reference}/preuve.json", "en_retard": retard},
    )


@pages.get("/creances/{reference}/preuve.json")
async def emporter(reference: str, visite: AssureConnecte) -> Response:
    """La même, à garder."""
    ligne, faite = await _prouver(visite.moyens, visite.assure, reference)
    return visite.prolonger(fichier_de_preuve(ligne.reference, faite))


@pages.get(ADRESSE_DU_VERIFICATEUR)
async def verificateur() -> Response:
    """Le vérificateur autonome : le fichier même que ce service exécute."""
    return FileResponse(VERIFICATEUR, media_type="text/x-python", filename=VERIFICATEUR.name)


async def _prouver(moyens: Moyens, assure: str, saisie: str) -> tuple[LigneCreance, bytes]:
    """La ligne de son compte et sa preuve ; lève un Problème 404 si elle n'y est pas, et les refus de `prove`."""
    reference = lire_reference(saisie)
    async with moyens.pool.connection() as conn:
        creances = (await compte(conn, assure, PAIEMENTS_RECENTS)).creances
    ligne = next((une for une in creances if une.reference == reference), None)
    if ligne is None:
        raise probleme_de(ReferenceNonOuverte(), statut=404)
    return ligne, await anyio.to_thread.run_sync(partial(_au_journal, moyens, ligne.reference))


def _au_journal(moyens: Moyens, reference: str) -> bytes:
    dependances = moyens.dependances
    if dependances.sel_de_preuve is None:
        raise NotYetSealed
    with dependances.guichet.base.transaction() as conn:
        temoins = temoins_de(dependances.preuve_reconnue)
        return prove(conn, dependances.sel_de_preuve, reference, with_agents=False, witnesses=temoins)
