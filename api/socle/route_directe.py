"""Une route que FastAPI décrit, et qui appelle elle-même ses dépendances.

FastAPI résout à chaque appel un arbre de dépendances et de paramètres : pour une lecture courte, un tiers du temps de
Python. Les nôtres sont presque toutes d'un seul étage, et ne demandent que la requête. Gardée parce que mesurée : une
créance lue par sa clé passe de 0,70 à 0,82 fois une page nue (ADR 0014).
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Coroutine
from functools import cached_property
from typing import Any

from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

Servir = Callable[[Request], Coroutine[Any, Any, Response]]
Fournir = Callable[[Request], Awaitable[Any]]


class RouteDirecte(APIRoute):
    """Sert directement ce qui s'y prête, et laisse le reste à FastAPI ; la description OpenAPI est la même.

    S'y prête une fonction asynchrone qui rend un modèle ou une réponse, et dont chaque argument est la requête, un
    segment du chemin pris comme texte, ou une dépendance asynchrone qui ne demande elle-même que la requête. Un modèle
    est écrit tel quel : il s'est validé en se construisant. Les dépendances posées par `include_router` ne le sont pas.
    Rien n'étant à refermer derrière une dépendance, les piles que FastAPI ouvre à chaque appel ne le sont pas non plus.
    """

    _directe: Servir | None = None

    def get_route_handler(self) -> Servir:
        """Ce qui sert une requête."""
        fournisseurs = self._fournisseurs()
        if fournisseurs is None or self.dependencies:
            return super().get_route_handler()
        endpoint, statut = self.endpoint, self.status_code or 200

        async def servir(requete: Request) -> Response:
            rendu = await endpoint(**{nom: await fournir(requete) for nom, fournir in fournisseurs.items()})
            if isinstance(rendu, Response):
                return rendu
            return Response(rendu.model_dump_json(), statut, media_type="application/json")

        self._directe = servir
        return servir

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Dit si cette adresse est la sienne ; la plupart ne le sont pas, et se voient à leur début."""
        if not (scope.get("root_path") or scope["path"].startswith(self._debut)):
            return Match.NONE, {}
        return super().matches(scope)

    @cached_property
    def _debut(self) -> str:
        return self.path.partition("{")[0]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Répond ; ce qui est levé l'est aux gestionnaires de l'application."""
        if self._directe is None or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        reponse = await self._directe(Request(scope, receive, send))
        await reponse(scope, receive, send)

    def _fournisseurs(self) -> dict[str, Fournir] | None:
        """Ce qui donne chaque argument, par son nom, dans leur ordre ; None si un seul ne se donne pas directement."""
        indications = typing.get_type_hints(self.endpoint, include_extras=True)
        rendu = indications.pop("return", None)
        if not (inspect.iscoroutinefunction(self.endpoint) and _est(rendu, BaseModel, Response)):
            return None
        fournisseurs = {nom: self._fournisseur(nom, indications.get(nom)) for nom in _arguments(self.endpoint)}
        directs = {nom: fournir for nom, fournir in fournisseurs.items() if fournir is not None}
        return directs if len(directs) == len(fournisseurs) else None

    def _fournisseur(self, nom: str, indication: Any) -> Fournir | None:
        if _est(indication, Request):
            return _la_requete
        if nom in self.param_convertors:
            return _segment(nom) if indication is str else None
        match getattr(indication, "__metadata__", ()):
            case (Depends(dependency=fournir),) if fournir is not None and _ne_demande_que_la_requete(fournir):
                donne: Fournir = fournir
                return donne
        return None


def _est(indication: Any, *classes: type) -> bool:
    return isinstance(indication, type) and issubclass(indication, classes)


def _arguments(appelee: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(appelee).parameters)


def _ne_demande_que_la_requete(fournir: Callable[..., Any]) -> bool:
    fonction = fournir if inspect.isroutine(fournir) else type(fournir).__call__
    indications = typing.get_type_hints(fonction)
    arguments = _arguments(fournir)
    return inspect.iscoroutinefunction(fonction) and [indications.get(nom) for nom in arguments] == [Request]


async def _la_requete(requete: Request) -> Request:
    return requete


def _segment(nom: str) -> Fournir:
    async def segment(requete: Request) -> str:
        valeur: str = requete.path_params[nom]
        return valeur

    return segment
