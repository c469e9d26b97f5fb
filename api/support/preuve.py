"""`/api/v1/support/creances/{reference}/preuve` : la preuve d'un solde, telle que chacun peut la vérifier sans nous."""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.socle.acces import Support
from api.socle.dependances import DeLApplication, Moyens
from api.socle.schema import problemes
from api.support.acces import MotifDit, lecteur_de, sources
from api.support.consultation import Genre, lire_objet
from guichet.acces import Lecteur, Motif, lire_motif, noter_acces
from preuve.balance import NothingSealed, assures_de, prove

routes = APIRouter(prefix="/api/v1/support", tags=["Support"])


@routes.get(
    "/creances/{reference}/preuve",
    summary="La preuve d'un solde",
    responses=problemes(401, 403, 404, 409, 422) | {200: {"content": {"application/json": {}}}},
    response_class=Response,
)
async def de_la_creance(reference: str, identite: Support, moyens: DeLApplication, motif: MotifDit = None) -> Response:
    """Les faits de la créance, leur place dans l'arbre signé, le calcul : complet jusqu'à sa version, et rien de plus.

    `creances verify` et `preuve/verificateur.py` la vérifient, octet pour octet ; la lecture est elle-même écrite.
    """
    dit = lire_motif(motif)
    objet = lire_objet(Genre.CREANCE, reference)
    faite = await anyio.to_thread.run_sync(partial(_prouver, moyens, lecteur_de(identite), objet.nom, dit))
    return Response(faite, media_type="application/json")


def _prouver(moyens: Moyens, lecteur: Lecteur, reference: str, motif: Motif) -> bytes:
    sel = moyens.dependances.sel_de_preuve
    base, _ = sources(moyens)
    with base.transaction() as conn:
        assures = assures_de(conn, reference)
        noter_acces(conn, lecteur, quoi="preuve", objet=f"creance-{reference}", assures=assures, motif=motif)
    if sel is None:
        raise NothingSealed
    with base.transaction() as conn:
        return prove(conn, sel, reference)
