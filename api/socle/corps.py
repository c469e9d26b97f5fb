"""Lire un corps de requête : du JSON ou un formulaire, bornés, sans rien supposer de qui les envoie."""

import json
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.socle.fautes import fautes_de
from api.socle.problemes import Probleme

JSON: Final = "application/json"
FORMULAIRE: Final = "application/x-www-form-urlencoded"
CHAMPS_MAX: Final = 200
"""Champs d'un formulaire, au plus : une page coche 50 références."""

_M = TypeVar("_M", bound=BaseModel)


async def lire_json(requete: Request, modele: type[_M], contexte: Any = None) -> _M:
    """Le corps JSON, lu par un modèle ; lève Probleme : 415, 413, 400 (ce n'est pas du JSON) ou 422."""
    exiger_type(requete, JSON)
    corps = await requete.body()
    try:
        corps.decode("utf-8")
        lu = modele.model_validate_json(corps, context=contexte)
        json.loads(corps, object_pairs_hook=_sans_repetition)
    except UnicodeDecodeError as erreur:
        detail = f"Le corps n'est pas de l'UTF-8 (octet {erreur.start})."
        raise Probleme(400, "json_invalide", detail) from None
    except _CleRepetee:
        raise Probleme(400, "json_invalide", "Une clé du corps est répétée.") from None
    except ValidationError as erreur:
        fautes = erreur.errors(include_url=False, include_input=False, include_context=False)
        if fautes[0]["type"] == "json_invalid":
            raise Probleme(400, "json_invalide", _json_invalide(fautes[0]["msg"])) from None
        raise fautes_de(fautes) from None
    return lu


async def lire_formulaire(requete: Request) -> list[tuple[str, str]]:
    """Les champs d'un formulaire, dans l'ordre ; lève Probleme (415, 413) ou ValueError s'il est mal encodé."""
    exiger_type(requete, FORMULAIRE)
    return decoder_formulaire(await requete.body())


def decoder_formulaire(corps: bytes) -> list[tuple[str, str]]:
    """Les paires d'un formulaire ; lève ValueError s'il est mal encodé ou a trop de champs.

    Par la bibliothèque standard : le lecteur de Starlette remplace sans le dire un octet mal encodé.
    """
    return parse_qsl(
        corps.decode("utf-8"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=CHAMPS_MAX
    )


def type_de(requete: Request) -> str:
    """Le type de contenu annoncé, sans ses paramètres."""
    return requete.headers.get("content-type", "").partition(";")[0].strip().lower()


def exiger_type(requete: Request, attendu: str) -> None:
    """Lève Probleme 415 si le corps n'est pas annoncé de ce type."""
    if type_de(requete) != attendu:
        detail = f"Le corps doit être annoncé comme {attendu} (en-tête Content-Type)."
        raise Probleme(415, "type_de_contenu_non_pris_en_charge", detail)


def _sans_repetition(paires: list[tuple[str, Any]]) -> dict[str, Any]:
    """Une clé répétée dirait deux choses : aucune n'est choisie."""
    lues = dict(paires)
    if len(lues) != len(paires):
        raise _CleRepetee
    return lues


class _CleRepetee(Exception):
    pass


def _json_invalide(cause: str) -> str:
    if "recursion limit" in cause:
        return "Le corps est trop profondément imbriqué."
    return "Le corps n'est pas du JSON valide."
