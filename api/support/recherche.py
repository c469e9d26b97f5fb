"""`/api/v1/support/recherche` : un seul champ, et pourquoi chaque résultat répond."""

from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.socle.acces import Support
from api.socle.dependances import DeLApplication
from api.socle.schema import problemes
from api.support.acces import MotifDit, lecteur_de, sources
from api.support.consultation import chercher
from guichet.acces import lire_motif

routes = APIRouter(prefix="/api/v1/support", tags=["Support"])


class ResultatsDeRecherche(BaseModel):
    """Ce qui a été compris, et ce qui y répond."""

    compris: list[str] = Field(description="Ce que la saisie peut vouloir dire, le plus sûr d'abord.")
    resultats: list[dict[str, Any]] = Field(description="Ce que c'est, et pourquoi cela répond ; montants en centimes.")
    tronques: bool = Field(description="Vrai : il y en a d'autres, un jour ou un nom les départagerait.")


@routes.get("/recherche", summary="Chercher", responses=problemes(401, 403, 422))
async def rechercher(
    identite: Support,
    moyens: DeLApplication,
    q: Annotated[
        str, Query(description="Référence, transaction, pseudonyme, « 20 € hier », autorisation, carte…")
    ] = "",
    motif: MotifDit = None,
) -> ResultatsDeRecherche:
    """Une référence, une transaction, un assuré, un montant et un jour, une autorisation, une carte, un message."""
    dit, maintenant = lire_motif(motif), moyens.dependances.horloge()
    trouves = await anyio.to_thread.run_sync(
        partial(chercher, sources(moyens), lecteur_de(identite), q, dit, maintenant=maintenant)
    )
    return ResultatsDeRecherche(**trouves.en_json())
