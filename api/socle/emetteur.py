"""L'émetteur OIDC : ce qu'il annonce de lui-même, et ses clés publiques."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import jwt
from jwt import PyJWKClient

ALGORITHMES_OIDC: Final = ("RS256", "PS256", "ES256")
"""Jamais lus dans le jeton : un jeton ne choisit pas comment il est vérifié."""

DELAI_D_EMETTEUR_S: Final = 5.0
"""Attente de chaque réponse de l'émetteur (secondes)."""

ANNONCE: Final = "/.well-known/openid-configuration"


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


class Emetteur:
    """Un émetteur OIDC ; rien n'est lu avant le premier besoin, et son annonce ne l'est qu'une fois."""

    def __init__(self, url: str, url_jwks: str | None = None) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce."""
        self.url = url.rstrip("/")
        self._annonce: Annonce | None = None
        self._cles = PyJWKClient(url_jwks, timeout=DELAI_D_EMETTEUR_S) if url_jwks else None
        self._sans_annonce = url if url_jwks else None

    @property
    def nom(self) -> str:
        """La revendication `iss` attendue ; lève ÉmetteurInjoignable."""
        return self._sans_annonce or self.annonce().emetteur

    def annonce(self) -> Annonce:
        """Ce que l'émetteur annonce ; lève ÉmetteurInjoignable."""
        if self._annonce is None:
            try:
                reponse = httpx.get(self.url + ANNONCE, timeout=DELAI_D_EMETTEUR_S, follow_redirects=False)
                self._annonce = self._lire(reponse.raise_for_status().json())
            except httpx.HTTPError as panne:
                raise EmetteurInjoignable from panne
            except (ValueError, KeyError, TypeError, AttributeError) as erreur:
                raise EmetteurInjoignable(f"annonce illisible : {erreur}") from erreur
        return self._annonce

    def cle_de(self, jeton: str) -> Any:
        """La clé publique qui vérifie ce jeton ; lève JetonInvalide ou ÉmetteurInjoignable."""
        try:
            if jwt.get_unverified_header(jeton).get("alg") not in ALGORITHMES_OIDC:
                raise JetonInvalide
            self._cles = self._cles or PyJWKClient(self.annonce().jwks, timeout=DELAI_D_EMETTEUR_S)
            return self._cles.get_signing_key_from_jwt(jeton).key
        except jwt.PyJWKClientConnectionError as panne:
            raise EmetteurInjoignable from panne
        except (jwt.PyJWTError, ValueError) as erreur:
            raise JetonInvalide from erreur

    def _lire(self, dit: dict[str, Any]) -> Annonce:
        """Lève ValueError si l'annonce est celle d'un autre, ou mène hors de HTTPS quand l'émetteur y est."""
        if str(dit["issuer"]).rstrip("/") != self.url:
            raise ValueError("c'est celle d'un autre émetteur")
        schemas = {"https"} if self.url.startswith("https:") else {"http", "https"}
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
