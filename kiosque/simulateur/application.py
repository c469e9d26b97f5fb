"""L'application du simulateur : ses adresses, et rien que leur enchaînement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kiosque.interface import FormulaireIrrecevable
from kiosque.simulateur.banque import Banque
from kiosque.simulateur.etat import Horloge
from kiosque.simulateur.formulaires import lire_corps, lire_formulaire
from kiosque.simulateur.office import repondre
from kiosque.simulateur.pages import STATIQUE, page
from kiosque.simulateur.parcours import Parcours
from kiosque.simulateur.rapports import servir_rapport
from kiosque.simulateur.reglages import DemandeDeConsigne, ReglagesSimulateur
from kiosque.simulateur.situations import SITUATIONS, choisir
from kiosque.simulateur.webhook_sender import Dormir
from kiosque.sips.office.client import CHEMIN

SESSIONS_MONTREES = 50
ENVOIS_MONTRES = 100

Reponse = Callable[[Request], Awaitable[Response]]


def heure_utc() -> datetime:
    """L'instant présent : l'horloge par défaut."""
    return datetime.now(UTC)


def creer_simulateur(
    reglages: ReglagesSimulateur | None = None,
    *,
    horloge: Horloge = heure_utc,
    dormir: Dormir = asyncio.sleep,
) -> Starlette:
    """L'application ASGI du simulateur.

    `horloge` donne l'instant, avec fuseau, et date les sessions ; `dormir` attend les retards et les nouveaux essais.
    """
    banque = Banque(reglages or ReglagesSimulateur(), horloge, dormir)
    parcours = Parcours(banque)

    @asynccontextmanager
    async def duree_de_vie(_: Starlette) -> AsyncIterator[None]:
        yield
        await banque.webhook_sender.fermer()

    return Starlette(
        routes=[
            Route("/paypage", _page(parcours.presenter), methods=["POST"]),
            Route("/paypage/valider", _page(parcours.valider), methods=["POST"]),
            Route("/paypage/authentifier", _page(parcours.authentifier), methods=["POST"]),
            Route("/paypage/session/{jeton}", _session(parcours.revenir), methods=["GET"]),
            Route("/paypage/annuler", _page(parcours.annuler), methods=["POST"]),
            Route("/paypage/recu", _page(parcours.recu), methods=["POST"]),
            Route(CHEMIN + "{service:path}", partial(_office, banque), methods=["POST"]),
            Route("/simulateur", partial(_montrer, banque), methods=["GET"]),
            Route("/simulateur/reglages", partial(_regler, banque), methods=["GET", "POST"]),
            Route("/simulateur/situation", partial(choisir, banque), methods=["POST"]),
            Route("/simulateur/rapports/{genre}", partial(servir_rapport, banque), methods=["GET"]),
            Route("/livez", _vivant, methods=["GET"]),
            Mount("/statique", StaticFiles(directory=STATIQUE), name="statique"),
        ],
        exception_handlers={HTTPException: _erreur_http},
        lifespan=duree_de_vie,
    )


def _page(etape: Callable[[dict[str, str]], Response]) -> Reponse:
    """Une étape du parcours : un formulaire posté, une page rendue, et un 400 qui dit pourquoi sinon."""

    async def rendre(requete: Request) -> Response:
        try:
            return etape(await lire_formulaire(requete))
        except FormulaireIrrecevable as refus:
            return page("erreur.html", statut=HTTPStatus.BAD_REQUEST, valeurs={"phrase": refus.phrase, "refus": refus})

    return rendre


def _session(etape: Callable[[dict[str, str]], Response]) -> Reponse:
    """Une page retrouvée par le jeton que son adresse porte."""

    async def rendre(requete: Request) -> Response:
        try:
            return etape({"jeton": requete.path_params["jeton"]})
        except FormulaireIrrecevable as refus:
            return page("erreur.html", statut=HTTPStatus.BAD_REQUEST, valeurs={"phrase": refus.phrase, "refus": refus})

    return rendre


async def _office(banque: Banque, requete: Request) -> Response:
    """Sips Office JSON : toute réponse comprise est un 200, son code dit le reste."""
    try:
        corps = await lire_corps(requete)
    except FormulaireIrrecevable as refus:
        return PlainTextResponse(refus.phrase, status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    reponse = repondre(banque, requete.path_params["service"], corps)
    if reponse is None:
        return PlainTextResponse("", status_code=HTTPStatus.GATEWAY_TIMEOUT)
    return Response(reponse, media_type="application/json")


async def _montrer(banque: Banque, _: Request) -> Response:
    sessions = banque.registre.recentes(SESSIONS_MONTREES)
    valeurs = {
        "reglages": banque.reglages,
        "situations": SITUATIONS,
        "prochaines": banque.consignes.prochaines,
        "sessions": [(s, s.conclusion, banque.consignes.de(s.demande.transaction)) for s in sessions],
        "envois": list(banque.webhook_sender.envois)[-ENVOIS_MONTRES:][::-1],
    }
    return page("simulateur.html", valeurs=valeurs)


async def _regler(banque: Banque, requete: Request) -> Response:
    """Note une consigne (POST, JSON), et rend celles qui attendent."""
    if requete.method == "POST":
        # Exiger JSON met l'adresse hors de portée d'un formulaire venu d'un autre site.
        genre = requete.headers.get("content-type", "").partition(";")[0].strip().lower()
        if genre != "application/json":
            return JSONResponse({"detail": "du JSON est attendu"}, status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            banque.consignes.noter(DemandeDeConsigne.model_validate_json(await lire_corps(requete)))
        except FormulaireIrrecevable as refus:
            return JSONResponse({"detail": str(refus)}, status_code=HTTPStatus.BAD_REQUEST)
        except ValidationError as refus:
            fautes = refus.errors(include_url=False, include_input=False, include_context=False)
            return JSONResponse({"detail": fautes}, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
    return JSONResponse({"prochaines": [consigne.model_dump() for consigne in banque.consignes.prochaines]})


async def _vivant(_: Request) -> Response:
    return PlainTextResponse("vivant")


async def _erreur_http(_: Request, erreur: Exception) -> Response:
    statut = HTTPStatus(erreur.status_code) if isinstance(erreur, HTTPException) else HTTPStatus.BAD_REQUEST
    entetes = erreur.headers if isinstance(erreur, HTTPException) else None
    return PlainTextResponse(f"{statut.value} {statut.phrase}", status_code=statut, headers=entetes)
