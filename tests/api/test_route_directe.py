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

from api.route_directe import RouteDirecte
from tests.api.conftest import Service
from tests.serveurs import servi


class Lue(BaseModel):
    """Ce qu'une route d'essai rend."""

    quoi: str
    de: str | None = None


class _Portier(HTTPBearer):
    async def __call__(self, requête: Request) -> str:  # type: ignore[override]
        nom = requête.headers.get("authorization", "")
        if not nom:
            raise HTTPException(401, "sans nom")
        return nom


async def _nom(requête: Request) -> str:
    return requête.headers.get("authorization", "personne")


def _nom_dans_un_fil(requête: Request) -> str:
    return requête.headers.get("authorization", "personne")


async def _nom_de(x_nom: str = "") -> str:
    return x_nom


async def _nom_par_étages(nom: Annotated[str, Depends(_nom)]) -> str:
    return nom.upper()


async def _refuser(requête: Request) -> None:
    if "authorization" not in requête.headers:
        raise HTTPException(403, "refusé")


async def segment(quoi: str) -> Lue:
    return Lue(quoi=quoi)


async def requête_et_segment(requête: Request, quoi: str) -> Lue:
    return Lue(quoi=quoi, de=requête.query_params.get("n"))


async def dépendance(quoi: str, de: Annotated[str, Depends(_nom)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def gardée(quoi: str, de: Annotated[str, Depends(_Portier())]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def réponse(quoi: str) -> Response:
    return PlainTextResponse(quoi, 202)


def dans_un_fil(quoi: str) -> Lue:
    return Lue(quoi=quoi)


async def nombre(quoi: int) -> Lue:
    return Lue(quoi=str(quoi + 1))


async def paramètre(quoi: str, n: int = 0) -> Lue:
    return Lue(quoi=quoi, de=str(n))


async def dépendance_dans_un_fil(quoi: str, de: Annotated[str, Depends(_nom_dans_un_fil)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dépendance_à_paramètre(quoi: str, de: Annotated[str, Depends(_nom_de)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dépendance_à_étages(quoi: str, de: Annotated[str, Depends(_nom_par_étages)]) -> Lue:
    return Lue(quoi=quoi, de=de)


async def dictionnaire(quoi: str) -> dict[str, str]:
    return {"quoi": quoi}


async def liste(quoi: str) -> list[Lue]:
    return [Lue(quoi=quoi)]


DIRECTES: list[Callable[..., Any]] = [segment, requête_et_segment, dépendance, gardée, réponse]
PAR_FASTAPI: list[Callable[..., Any]] = [
    dans_un_fil,
    nombre,
    paramètre,
    dépendance_dans_un_fil,
    dépendance_à_paramètre,
    dépendance_à_étages,
    dictionnaire,
    liste,
]


def _routes(classe: type[APIRoute], préfixe: str = "/essai", **déclarée: Any) -> APIRouter:
    routes = APIRouter(prefix=préfixe, route_class=classe)
    for endpoint in DIRECTES + PAR_FASTAPI:
        routes.add_api_route(f"/{endpoint.__name__}/{{quoi}}", endpoint, **déclarée)
    return routes


def _application(*routes: APIRouter) -> FastAPI:
    application = FastAPI()
    for incluses in routes:
        application.include_router(incluses)
    return application


@pytest.mark.parametrize(
    "déclarée", [{}, {"status_code": 201}, {"dependencies": [Depends(_refuser)]}], ids=["simple", "statut", "gardée"]
)
def test_elle_répond_et_se_décrit_comme_celle_de_fastapi(déclarée: dict[str, Any]) -> None:
    directe, autre = (_application(_routes(classe, **déclarée)) for classe in (RouteDirecte, APIRoute))
    assert directe.openapi() == autre.openapi()
    routes = _routes(RouteDirecte, "/directe", **déclarée), _routes(APIRoute, "/autre", **déclarée)
    with servi(_application(*routes)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for endpoint in DIRECTES + PAR_FASTAPI:
            directes, autres = (_réponses(client, f"/{p}/{endpoint.__name__}") for p in ("directe", "autre"))
            assert directes == autres, endpoint


def _réponses(client: httpx.Client, chemin: str) -> list[tuple[int, str | None, bytes]]:
    rendues = [
        client.get(chemin + suite, headers=en_têtes)
        for suite in ("/7", "/7?n=3", "/7?n=x", "/%C3%A9%20a?x_nom=b", "/a/b")
        for en_têtes in ({}, {"authorization": "Bearer a"})
    ]
    rendues.append(client.post(chemin + "/7"))
    return [(rendue.status_code, rendue.headers.get("content-type"), rendue.content) for rendue in rendues]


@pytest.fixture
def résolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Les chemins dont FastAPI a résolu les arguments."""
    résolues: list[str] = []
    résoudre = fastapi.dependencies.utils.solve_dependencies

    async def noter(*, request: Request, **reste: Any) -> Any:
        résolues.append(request.url.path)
        return await résoudre(request=request, **reste)

    monkeypatch.setattr("fastapi.routing.solve_dependencies", noter)
    return résolues


def test_ce_qui_s_y_prête_n_est_pas_résolu_par_fastapi(résolutions: list[str]) -> None:
    with servi(_application(_routes(RouteDirecte))) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for endpoint in DIRECTES + PAR_FASTAPI:
            client.get(f"/essai/{endpoint.__name__}/7")
    assert résolutions == [f"/essai/{endpoint.__name__}/7" for endpoint in PAR_FASTAPI]


def test_lire_un_restant_dû_ne_fait_rien_résoudre(résolutions: list[str], service: Service) -> None:
    référence = service.avis("3811701200010075F")
    assert service.chercher(référence).status_code == 200
    assert résolutions == []
