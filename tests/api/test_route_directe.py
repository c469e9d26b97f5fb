"""Une route directe répond, refuse et se décrit comme celle de FastAPI, mais sans qu'il résolve rien."""

from collections.abc import Callable
from typing import Annotated, Any

import fastapi.dependencies.utils
import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.socle.route_directe import RouteDirecte
from tests.api.conftest import Service
from tests.serveurs import servi


class Lue(BaseModel):
    """Ce qu'une route d'essai rend."""

    quoi: str
    de: str | None = None


class _Portier(HTTPBearer):
    async def __call__(self, requete: Request) -> str:  # type: ignore[override]
        nom = requete.headers.get("authorization", "")
        if not nom:
            raise HTTPException(401, "sans nom")
        return nom


async def _nom(requete: Request) -> str:
    return requete.headers.get("authorization", "personne")


def _nom_dans_un_fil(requete: Request) -> str:
    return requete.headers.get("authorization", "personne")


async def _nom_de(x_nom: str = "") -> str:
    return x_nom


async def _nom_par_etages(nom: Annotated[str, Depends(_nom)]) -> str:
    return nom.upper()


async def _refuser(requete: Request) -> None:
    if "authorization" not in requete.headers:
        raise HTTPException(403, "refusé")


async def segment(quoi: str) -> Lue:
    return Lue(quoi=quoi)


async def requete_et_segment(requete: Request, quoi: str) -> Lue:
    return Lue(quoi=quoi, de=requete.query_params.get("n"))


async def dependance(quoi: str, de: Annotated[str, Depends(_nom)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def gardee(quoi: str, de: Annotated[str, Depends(_Portier())]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def reponse(quoi: str) -> Response:
    return PlainTextResponse(quoi, 202)


def dans_un_fil(quoi: str) -> Lue:
    return Lue(quoi=quoi)


async def nombre(quoi: int) -> Lue:
    return Lue(quoi=str(quoi + 1))


async def parametre(quoi: str, n: int = 0) -> Lue:
    return Lue(quoi=quoi, de=str(n))


async def dependance_dans_un_fil(quoi: str, de: Annotated[str, Depends(_nom_dans_un_fil)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dependance_a_parametre(quoi: str, de: Annotated[str, Depends(_nom_de)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dependance_a_etages(quoi: str, de: Annotated[str, Depends(_nom_par_etages)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dictionnaire(quoi: str) -> dict[str, str]:
    return {"quoi": quoi}


async def liste(quoi: str) -> list[Lue]:
    return [Lue(quoi=quoi)]


DIRECTES: list[Callable[..., Any]] = [segment, requete_et_segment, dependance, gardee, reponse]
PAR_FASTAPI: list[Callable[..., Any]] = [
    dans_un_fil,
    nombre,
    parametre,
    dependance_dans_un_fil,
    dependance_a_parametre,
    dependance_a_etages,
    dictionnaire,
    liste,
]


def _routes(classe: type[APIRoute], prefixe: str = "/essai", **declaree: Any) -> APIRouter:
    routes = APIRouter(prefix=prefixe, route_class=classe)
    for endpoint in DIRECTES + PAR_FASTAPI:
        routes.add_api_route(f"/{endpoint.__name__}/{{quoi}}", endpoint, **declaree)
    return routes


def _application(*routes: APIRouter) -> FastAPI:
    application = FastAPI()
    for incluses in routes:
        application.include_router(incluses)
    return application


@pytest.mark.parametrize(
    "declaree", [{}, {"status_code": 201}, {"dependencies": [Depends(_refuser)]}], ids=["simple", "statut", "gardee"]
)
def test_elle_repond_et_se_decrit_comme_celle_de_fastapi(declaree: dict[str, Any]) -> None:
    directe, autre = (_application(_routes(classe, **declaree)) for classe in (RouteDirecte, APIRoute))
    assert directe.openapi() == autre.openapi()
    routes = _routes(RouteDirecte, "/directe", **declaree), _routes(APIRoute, "/autre", **declaree)
    with servi(_application(*routes)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for endpoint in DIRECTES + PAR_FASTAPI:
            directes, autres = (_reponses(client, f"/{p}/{endpoint.__name__}") for p in ("directe", "autre"))
            assert directes == autres, endpoint


def _reponses(client: httpx.Client, chemin: str) -> list[tuple[int, str | None, bytes]]:
    rendues = [
        client.get(chemin + suite, headers=en_tetes)
        for suite in ("/7", "/7?n=3", "/7?n=x", "/%C3%A9%20a?x_nom=b", "/a/b")
        for en_tetes in ({}, {"authorization": "Bearer a"})
    ]
    rendues.append(client.post(chemin + "/7"))
    return [(rendue.status_code, rendue.headers.get("content-type"), rendue.content) for rendue in rendues]


@pytest.fixture
def resolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Les chemins dont FastAPI a résolu les arguments."""
    resolues: list[str] = []
    resoudre = fastapi.dependencies.utils.solve_dependencies

    async def noter(*, request: Request, **reste: Any) -> Any:
        resolues.append(request.url.path)
        return await resoudre(request=request, **reste)

    monkeypatch.setattr("fastapi.routing.solve_dependencies", noter)
    return resolues


def test_ce_qui_s_y_prete_n_est_pas_resolu_par_fastapi(resolutions: list[str]) -> None:
    with servi(_application(_routes(RouteDirecte))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for endpoint in DIRECTES + PAR_FASTAPI:
            client.get(f"/essai/{endpoint.__name__}/7")
    assert resolutions == [f"/essai/{endpoint.__name__}/7" for endpoint in PAR_FASTAPI]


def test_lire_un_restant_du_ne_fait_rien_resoudre(resolutions: list[str], service: Service) -> None:
    reference = service.avis("3811701200010075F")
    assert service.chercher(reference).status_code == 200
    assert resolutions == []
