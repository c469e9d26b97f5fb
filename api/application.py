"""L'application : ses pièces, assemblées."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from api import banque as kiosque
from api.assure import creances, messagerie, pages, paiements
from api.exploitation import notice, sante, suivi
from api.socle import connexion, gestionnaires
from api.socle.debits import debits_de
from api.socle.dependances import Dependances, Moyens
from api.socle.en_tetes import EnTetes
from api.socle.enveloppe import Enveloppe
from api.socle.limites import Limites
from api.socle.mesures import Mesures
from api.socle.rebuts import Place
from api.socle.schema import poser_schema
from api.socle.taille import TailleBornee
from api.support import anomalies
from engine.database import POOL_TIMEOUT_S, connection_options

STATIQUE: Final = Path(__file__).parent / "socle" / "statique"
DESCRIPTION: Final = (
    "Paiement en ligne des créances de l'Assurance Maladie. Erreurs : RFC 9457. Montants : centimes d'euro."
)


def creer_api(dependances: Dependances) -> FastAPI:
    """L'application ASGI. Le pool de lecture s'ouvre et se ferme avec elle ; le guichet reste à l'appelant.

    Lève ValueError si le registre des métriques porte déjà celles d'une API.
    """
    mesures = Mesures(dependances.metriques)
    limites = dependances.limites
    moyens = Moyens(dependances, _pool(dependances), debits_de(limites), Place(limites))

    @asynccontextmanager
    async def duree_de_vie(_: FastAPI) -> AsyncIterator[None]:
        # Sans attendre : une base encore absente se dit par /readyz, pas par un démarrage manqué.
        await moyens.pool.open(wait=False)
        try:
            yield
        finally:
            await moyens.pool.close()

    application = _assembler(duree_de_vie)
    if dependances.demo:
        application.include_router(notice.routes)
    application.state.moyens = moyens
    application.state.mesures = mesures
    gestionnaires.installer(application)
    application.mount("/statique", StaticFiles(directory=STATIQUE), name="statique")
    application.add_middleware(TailleBornee, octets_max=limites.corps_octets_max)
    application.add_middleware(Enveloppe, mesures=mesures)
    # La dernière ajoutée est la plus extérieure.
    application.add_middleware(EnTetes, https=dependances.https)
    return application


def description() -> dict[str, Any]:
    """Le document OpenAPI de l'application ; rien n'est ouvert pour l'écrire."""
    return _assembler(None).openapi()


def _assembler(duree_de_vie: Lifespan[FastAPI] | None) -> FastAPI:
    application = FastAPI(
        title="Créances",
        version="1",
        description=DESCRIPTION,
        lifespan=duree_de_vie,
        docs_url=None,  # La page de FastAPI charge ses scripts d'ailleurs : la nôtre est `api.exploitation.notice`.
        redoc_url=None,
        redirect_slashes=False,
    )
    for piece in (creances, paiements, kiosque, suivi, sante, connexion, messagerie, pages):
        application.include_router(piece.routes)
    application.include_router(anomalies.routes)
    poser_schema(application)
    return application


def _pool(dependances: Dependances) -> AsyncConnectionPool[AsyncConnection[Any]]:
    return AsyncConnectionPool(
        dependances.url_base,
        min_size=1,
        max_size=dependances.connexions_max,
        timeout=POOL_TIMEOUT_S,
        check=AsyncConnectionPool.check_connection,
        kwargs=connection_options("creances-api"),
        open=False,
        name="api",
    )


__all__ = ["Dependances", "Limites", "creer_api"]
