"""Ce que l'émetteur OIDC dit de lui-même, et comment on le lui demande : jamais sans borne de temps ni de taille."""

import json
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from kiosque.echeance import client_borne

DELAI_D_EMETTEUR_S: Final = 5.0
"""Attente d'une réponse entière de l'émetteur (secondes)."""

OCTETS_MAX: Final = 256 * 1024
"""Taille d'une réponse de l'émetteur, au plus."""

CHEMIN: Final = "/.well-known/openid-configuration"


class JetonInvalide(Exception):
    """Le jeton est absent, illisible, périmé ou n'est pas pour ce service."""


class EmetteurInjoignable(Exception):
    """L'émetteur des jetons ne répond pas, ou ne répond rien qui se comprenne."""


class Annonce(NamedTuple):
    """Ce que l'émetteur dit de lui-même (OpenID Discovery)."""

    emetteur: str
    jwks: str
    autorisation: str | None
    jeton: str | None
    fin_de_session: str | None
    """Où le navigateur va pour finir aussi la session chez l'émetteur (RP-Initiated Logout), s'il l'offre."""
    se_nomme_au_retour: bool
    """Vrai : la réponse d'autorisation porte toujours `iss` (RFC 9207)."""


def sans_repetition(paires: list[tuple[str, Any]]) -> dict[str, Any]:
    """Une clé répétée dirait deux choses : lève ValueError."""
    lues = dict(paires)
    if len(lues) != len(paires):
        raise ValueError("une clé est répétée")
    return lues


def lire_json(adresse: str) -> dict[str, Any]:
    """L'objet JSON que sert cette adresse ; lève EmetteurInjoignable."""
    corps = bytearray()
    try:
        with client_borne(DELAI_D_EMETTEUR_S) as client, client.stream("GET", adresse) as reponse:
            reponse.raise_for_status()
            for morceau in reponse.iter_bytes():
                corps += morceau
                if len(corps) > OCTETS_MAX:
                    raise EmetteurInjoignable("réponse trop longue")
        lu = json.loads(corps, object_pairs_hook=sans_repetition)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as panne:
        raise EmetteurInjoignable from panne
    if not isinstance(lu, dict):
        raise EmetteurInjoignable("ce n'est pas un objet JSON")
    return lu


def lire_annonce(url: str) -> Annonce:
    """L'annonce de l'émetteur de cette adresse ; lève EmetteurInjoignable."""
    dit = lire_json(url + CHEMIN)
    try:
        return _comprendre(url, dit)
    except (ValueError, KeyError, TypeError, AttributeError) as erreur:
        raise EmetteurInjoignable(f"annonce illisible : {erreur}") from erreur


def _comprendre(url: str, dit: dict[str, Any]) -> Annonce:
    """Lève ValueError si l'annonce est celle d'un autre, ou mène hors de HTTPS quand l'émetteur y est."""
    if str(dit["issuer"]).rstrip("/") != url:
        raise ValueError("c'est celle d'un autre émetteur")
    schemas = {"https"} if url.startswith("https:") else {"http", "https"}
    adresses = {
        nom: str(dit[nom])
        for nom in ("jwks_uri", "authorization_endpoint", "token_endpoint", "end_session_endpoint")
        if dit.get(nom)
    }
    for nom, adresse in adresses.items():
        if urlsplit(adresse).scheme not in schemas:
            raise ValueError(f"{nom} n'est pas une adresse {' ou '.join(sorted(schemas))}")
    return Annonce(
        emetteur=str(dit["issuer"]),
        jwks=adresses["jwks_uri"],
        autorisation=adresses.get("authorization_endpoint"),
        jeton=adresses.get("token_endpoint"),
        fin_de_session=adresses.get("end_session_endpoint"),
        se_nomme_au_retour=dit.get("authorization_response_iss_parameter_supported") is True,
    )
