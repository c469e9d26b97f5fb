"""L'application : ses pièces, assemblées."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from api import banque as kiosque
from api.assure import creances, messagerie, pages, paiements
from api.assure import preuve as preuve_de_l_assure
from api.exploitation import notice, pages_arretes, sante, suivi
from api.exploitation import pages as pages_de_l_exploitation
from api.partenaires import fil
from api.socle import connexion, fin_par_l_emetteur, gestionnaires, rendu
from api.socle.consigne import Consigne
from api.socle.debits import debits_de
from api.socle.dependances import Dependances, Moyens
from api.socle.en_tetes import EnTetes
from api.socle.enveloppe import Enveloppe
from api.socle.limites import Limites
from api.socle.mesures import Mesures
from api.socle.pool import verifier
from api.socle.rebuts import Depot, Place
from api.socle.schema import poser_schema
from api.socle.taille import TailleBornee
from api.support import anomalies, preuve, recherche
from api.support import historique as support
from api.support import pages as pages_du_support
from api.support import pages_anomalies as pages_des_anomalies
from api.support import pages_audit as pages_de_l_audit
from engine.database import POOL_TIMEOUT_S, connection_options, prepare_async

STATIQUE: Final = Path(__file__).parent / "socle" / "statique"
DESCRIPTION: Final = (
    "Paiement en ligne des créances de l'Assurance Maladie. Erreurs : RFC 9457. Montants : centimes d'euro."
)

_ROUTEURS: Final = (
    *(piece.routes for piece in (creances, paiements, kiosque, suivi, connexion, fin_par_l_emetteur, messagerie)),
    pages.routes,
    preuve_de_l_assure.routes,
    preuve_de_l_assure.pages,
    preuve.pages,
    *(piece.routes for piece in (anomalies, recherche, support, preuve)),
    *(piece.routes for piece in (pages_des_anomalies, pages_de_l_audit, pages_du_support)),
    pages_de_l_exploitation.routes,
    pages_arretes.routes,
    fil.routes,
    support.routes_d_audit,
    sante.vie,
)
"""Dans l'ordre où une adresse y est cherchée."""


def creer_api(dependances: Dependances) -> FastAPI:
    """L'application ASGI. Le pool de lecture s'ouvre et se ferme avec elle ; le guichet reste à l'appelant.

    Lève ValueError si le registre des métriques porte déjà celles d'une API.
    """
    mesures = Mesures(dependances.metriques)
    limites = dependances.limites
    pool = _pool(dependances)
    place = Place(limites, banque_connue=bool(dependances.reseaux_de_la_banque))
    moyens = Moyens(dependances, pool, debits_de(limites), place, Consigne(pool))

    @asynccontextmanager
    async def duree_de_vie(_: FastAPI) -> AsyncIterator[None]:
        # Sans attendre : une base encore absente se dit par /readyz, pas par un démarrage manqué.
        await moyens.pool.open(wait=False)
        # À côté : le service répond déjà, et aucune personne n'attend que sa page soit compilée.
        pages_pretes = asyncio.get_running_loop().run_in_executor(None, rendu.preparer)
        try:
            yield
        finally:
            await pages_pretes
            await moyens.pool.close()
            dependances.fermer()

    application = _assembler(duree_de_vie)
    if not dependances.exploitation_a_part:
        application.include_router(sante.routes)
        if dependances.demo:
            application.include_router(notice.routes)
    application.state.moyens = moyens
    application.state.mesures = mesures
    mesures.annoncer(_servies(), kiosque.CODES_DE_REFUS, Depot)
    gestionnaires.installer(application)
    application.mount("/statique", StaticFiles(directory=STATIQUE), name="statique")
    application.add_middleware(TailleBornee, octets_max=limites.corps_octets_max)
    application.add_middleware(Enveloppe, mesures=mesures, traceur=dependances.traceur)
    # La dernière ajoutée est la plus extérieure.
    application.add_middleware(EnTetes, https=dependances.https)
    return application


def creer_exploitation(principale: FastAPI, *, notice_servie: bool) -> FastAPI:
    """Ce que seule l'exploitation lit, à servir sur un port à part : santé, mesures, et la notice hors production.

    Elle ne touche pas au pool de la principale : les deux n'ont pas la même boucle. Ses erreurs sont donc pour un
    programme, même demandées par un navigateur, qui envoie ses cookies à tous les ports d'un hôte.
    """
    application = FastAPI(title="Créances : exploitation", docs_url=None, redoc_url=None, openapi_url=None)
    application.state.moyens = principale.state.moyens
    application.state.mesures = principale.state.mesures
    application.state.sans_pages = True
    application.include_router(sante.vie)
    application.include_router(sante.routes)
    if notice_servie:
        application.openapi = principale.openapi  # type: ignore[method-assign]
        application.include_router(notice.routes)
        application.mount("/statique", StaticFiles(directory=STATIQUE), name="statique")
    gestionnaires.installer(application)
    application.add_middleware(EnTetes, https=False)
    return application


def description() -> dict[str, Any]:
    """Le document OpenAPI de l'application ; rien n'est ouvert pour l'écrire."""
    application = _assembler(None)
    application.include_router(sante.routes)
    return application.openapi()


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
    for routeur in _ROUTEURS:  # À plat : un routeur inclus se cherche deux fois à chaque appel.
        application.router.routes.extend(routeur.routes)
    poser_schema(application)
    return application


def _servies() -> list[tuple[str, str]]:
    """La méthode et le chemin de chaque route."""
    return [
        (methode, route.path)
        for routeur in _ROUTEURS
        for route in routeur.routes
        if isinstance(route, APIRoute)
        for methode in sorted(route.methods or ())
    ]


def _pool(dependances: Dependances) -> AsyncConnectionPool[AsyncConnection[Any]]:
    return AsyncConnectionPool(
        dependances.url_base,
        min_size=1,
        max_size=dependances.connexions_max,
        timeout=POOL_TIMEOUT_S,
        check=verifier,
        configure=prepare_async,
        kwargs=connection_options("creances-api"),
        open=False,
        name="api",
    )


__all__ = ["Dependances", "Limites", "creer_api", "creer_exploitation"]
