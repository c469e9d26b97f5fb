"""Ce qu'OpenAPI dit des erreurs : le même problème partout, sous son propre type de contenu."""

import copy
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from api.socle.problemes import TITRES, TYPE_DE_CONTENU

_REFERENCE: Final = {"$ref": "#/components/schemas/Probleme"}


class FauteDeChamp(BaseModel):
    """Un champ en faute."""

    champ: str
    probleme: str


class ProblemeDecrit(BaseModel):
    """Une erreur (RFC 9457) ; les membres facultatifs dépendent du code."""

    model_config = ConfigDict(title="Probleme", extra="allow")

    type: str = Field(description="Stable : urn:creances:probleme:<code>.")
    title: str
    status: int
    detail: str = Field(description="La phrase qu'une personne peut lire.")
    code: str = Field(description="Stable, pour les programmes.")
    champs: list[FauteDeChamp] | None = Field(None, description="Les champs en faute (422).")
    jusqu_a: str | None = Field(None, description="Fin du paiement en cours (409 paiement_en_cours).")
    transactions: list[str] | None = Field(None, description="Les paiements en cours (409 paiement_en_cours).")


def problemes(*statuts: int) -> dict[int | str, dict[str, Any]]:
    """Les réponses d'erreur d'une route, pour OpenAPI ; toute route peut aussi répondre 500 et 503."""
    return {
        statut: {"description": TITRES[statut], "content": {TYPE_DE_CONTENU: {"schema": _REFERENCE}}}
        for statut in (*statuts, 500, 503)
    }


def schema_de(modele: type[BaseModel]) -> dict[str, Any]:
    """Le corps de requête d'un modèle, pour OpenAPI : nous lisons le corps nous-mêmes."""
    schema = modele.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def poser_schema(application: FastAPI) -> None:
    """Complète le schéma OpenAPI du problème, et en ôte le 422 que FastAPI suppose."""

    def schema() -> dict[str, Any]:
        if application.openapi_schema is None:
            application.openapi_schema = _completer(
                get_openapi(
                    title=application.title,
                    version=application.version,
                    description=application.description,
                    routes=application.routes,
                    tags=application.openapi_tags,
                )
            )
        return application.openapi_schema

    application.openapi = schema  # type: ignore[method-assign]


def _completer(schema: dict[str, Any]) -> dict[str, Any]:
    schema = copy.deepcopy(schema)  # Les corps décrits y sont partagés d'une application à l'autre.
    decrit = ProblemeDecrit.model_json_schema(ref_template="#/components/schemas/{model}")
    composants = schema.setdefault("components", {}).setdefault("schemas", {})
    composants |= decrit.pop("$defs") | {"Probleme": decrit}
    for operations in schema["paths"].values():
        for operation in operations.values():
            for contenu in operation.get("requestBody", {}).get("content", {}).values():
                composants |= contenu["schema"].pop("$defs", {})  # Nommés par `$ref` depuis les composants.
            supposee = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in supposee:
                del operation["responses"]["422"]
    for inutile in ("HTTPValidationError", "ValidationError"):
        composants.pop(inutile, None)
    return schema
