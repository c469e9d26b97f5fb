"""Qui appelle : les rôles, et la lecture des jetons, de développement ou d'un émetteur OIDC."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

import anyio.to_thread
import jwt
from pydantic import TypeAdapter, ValidationError

from api.emetteur import ALGORITHMES_OIDC, JetonInvalide, Émetteur, ÉmetteurInjoignable
from domain.references import Pseudonyme

ÉMETTEUR_DE_DÉVELOPPEMENT: Final = "creances-developpement"
DURÉE_DE_DÉVELOPPEMENT: Final = timedelta(hours=12)
TOLÉRANCE_D_HORLOGE: Final = timedelta(seconds=30)
"""Écart admis entre notre horloge et celle de l'émetteur."""

_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(Pseudonyme)


class Rôle(StrEnum):
    """Ce qu'un appelant a le droit de faire."""

    ASSURÉ = "assure"
    SUPPORT = "support"
    EXPLOITATION = "exploitation"
    PARTENAIRE = "partenaire"


@dataclass(frozen=True, slots=True)
class Identité:
    """Un appelant reconnu ; `assuré`, son pseudonyme, n'est là que pour ce rôle."""

    rôle: Rôle
    assuré: str | None = None


class Vérificateur(Protocol):
    """Reconnaît l'appelant à son jeton."""

    async def vérifier(self, jeton: str) -> Identité:
        """Lève JetonInvalide ou ÉmetteurInjoignable."""


@dataclass(frozen=True)
class VérificateurDeDéveloppement:
    """Des jetons HS256 signés d'un secret local ; jamais en même temps qu'un émetteur OIDC."""

    secret: str
    audience: str

    async def vérifier(self, jeton: str) -> Identité:
        """L'appelant de ce jeton ; lève JetonInvalide."""
        contenu = _décoder(jeton, self.secret, ["HS256"], self.audience, ÉMETTEUR_DE_DÉVELOPPEMENT)
        return _identité(contenu, "role", "assure")


class VérificateurOIDC:
    """Des jetons d'un émetteur OIDC, vérifiés par ses clés publiques (JWKS)."""

    def __init__(
        self,
        émetteur: Émetteur | str,
        audience: str,
        url_jwks: str | None = None,
        *,
        revendication_rôle: str = "role",
        revendication_assuré: str = "assure",
    ) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce (OpenID Discovery), lue au premier jeton."""
        self.émetteur = émetteur if isinstance(émetteur, Émetteur) else Émetteur(émetteur, url_jwks)
        self.audience = audience
        self.revendications = (revendication_rôle, revendication_assuré)

    async def vérifier(self, jeton: str) -> Identité:
        """L'appelant de ce jeton d'accès ; lève JetonInvalide ou ÉmetteurInjoignable."""
        return await anyio.to_thread.run_sync(self.lire, jeton)

    def lire(self, jeton: str, *, nonce: str | None = None) -> Identité:
        """La même vérification, bloquante. Avec un `nonce`, le jeton est un jeton d'identité, qui doit le porter.

        Un jeton d'identité n'est de plus que pour son audience : pour plusieurs, il dit laquelle l'a demandé (`azp`).
        """
        clé = self.émetteur.clé_de(jeton)
        contenu = _décoder(jeton, clé, list(ALGORITHMES_OIDC), self.audience, self.émetteur.nom)
        if nonce is not None:
            audience, demandeur = contenu["aud"], contenu.get("azp")
            plusieurs = isinstance(audience, list) and len(audience) > 1
            if demandeur not in ({self.audience} if plusieurs else {None, self.audience}):
                raise JetonInvalide
            if not hmac.compare_digest(str(contenu.get("nonce")).encode(), nonce.encode()):
                raise JetonInvalide
        return _identité(contenu, *self.revendications)


def émettre_jeton(secret: str, rôle: Rôle, assuré: str | None, *, audience: str, maintenant: datetime) -> str:
    """Un jeton de développement, pour `VérificateurDeDéveloppement`."""
    contenu: dict[str, Any] = {
        "iss": ÉMETTEUR_DE_DÉVELOPPEMENT,
        "aud": audience,
        "sub": assuré or rôle.value,
        "iat": maintenant,
        "exp": maintenant + DURÉE_DE_DÉVELOPPEMENT,
        "role": rôle.value,
    }
    if assuré is not None:
        contenu["assure"] = assuré
    return jwt.encode(contenu, secret, algorithm="HS256")


def _décoder(jeton: str, clé: Any, algorithmes: list[str], audience: str, émetteur: str) -> dict[str, Any]:
    """Le contenu d'un jeton vérifié ; lève JetonInvalide."""
    try:
        contenu: dict[str, Any] = jwt.decode(
            jeton,
            clé,
            algorithms=algorithmes,
            audience=audience,
            issuer=émetteur,
            leeway=TOLÉRANCE_D_HORLOGE,
            options={"require": ["exp", "aud", "iss"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as erreur:
        raise JetonInvalide from erreur
    return contenu


def _identité(contenu: dict[str, Any], nom_rôle: str, nom_assuré: str) -> Identité:
    """Qui ce contenu nomme ; lève JetonInvalide si le rôle est inconnu ou l'assuré sans pseudonyme."""
    try:
        rôle = Rôle(str(contenu.get(nom_rôle)))
        if rôle is not Rôle.ASSURÉ:
            return Identité(rôle)
        return Identité(rôle, _PSEUDONYME.validate_python(contenu.get(nom_assuré)))
    except (ValidationError, ValueError) as erreur:
        raise JetonInvalide from erreur


__all__ = [
    "Identité",
    "JetonInvalide",
    "Rôle",
    "Vérificateur",
    "VérificateurDeDéveloppement",
    "VérificateurOIDC",
    "ÉmetteurInjoignable",
    "émettre_jeton",
]
