"""L'émetteur OIDC : ce qu'il annonce de lui-même, et ses clés publiques."""

from typing import Any, Final

import anyio
import jwt

from api.socle.annonce import DELAI_D_EMETTEUR_S, Annonce, EmetteurInjoignable, JetonInvalide, lire_annonce
from api.socle.cles import Cles

ALGORITHMES_OIDC: Final = ("RS256", "PS256", "ES256")
"""Jamais lus dans le jeton : un jeton ne choisit pas comment il est vérifié."""

FILS_D_EMETTEUR: Final = 8
"""Fils qui attendent l'émetteur, au plus : les autres restent aux pages et à la santé du service."""


class Emetteur:
    """Un émetteur OIDC ; rien n'est lu avant le premier besoin, et son annonce ne l'est qu'une fois."""

    def __init__(self, url: str, url_jwks: str | None = None) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce."""
        self.url = url.rstrip("/")
        self.fils = anyio.CapacityLimiter(FILS_D_EMETTEUR)
        self._annonce: Annonce | None = None
        self._cles = Cles((lambda: url_jwks) if url_jwks else (lambda: self.annonce().jwks))
        self._sans_annonce = url if url_jwks else None

    @property
    def nom(self) -> str:
        """La revendication `iss` attendue ; lève EmetteurInjoignable."""
        return self._sans_annonce or self.annonce().emetteur

    def annonce(self) -> Annonce:
        """Ce que l'émetteur annonce ; lève EmetteurInjoignable."""
        if self._annonce is None:
            self._annonce = lire_annonce(self.url)
        return self._annonce

    async def trouver_cle(self, jeton: str) -> Any:
        """La clé publique qui vérifie ce jeton ; lève JetonInvalide ou EmetteurInjoignable."""
        return await self._cles.trouver(_kid(jeton))

    def cle_de(self, jeton: str) -> Any:
        """La même, en attendant dans ce fil."""
        return self._cles.trouver_ici(_kid(jeton))


def _kid(jeton: str) -> str:
    """La clé que le jeton nomme, s'il peut être vérifié ; lève JetonInvalide."""
    try:
        entete = jwt.get_unverified_header(jeton)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as erreur:
        raise JetonInvalide from erreur
    kid = entete.get("kid")
    if entete.get("alg") not in ALGORITHMES_OIDC or not isinstance(kid, str):
        raise JetonInvalide
    return kid


__all__ = ["DELAI_D_EMETTEUR_S", "Annonce", "Emetteur", "EmetteurInjoignable", "JetonInvalide"]
