"""Qui appelle : les rôles, et la lecture des jetons, de développement ou d'un émetteur OIDC."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

import jwt
from pydantic import TypeAdapter, ValidationError

from api.socle.emetteur import ALGORITHMES_OIDC, Emetteur, EmetteurInjoignable, JetonInvalide
from domain.references import Pseudonyme

EMETTEUR_DE_DEVELOPPEMENT: Final = "creances-developpement"
DUREE_DE_DEVELOPPEMENT: Final = timedelta(hours=12)
TOLERANCE_D_HORLOGE: Final = timedelta(seconds=30)
"""Écart admis entre notre horloge et celle de l'émetteur."""

_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(Pseudonyme)


class RoleUtilisateur(StrEnum):
    """Ce qu'un appelant a le droit de faire."""

    ASSURE = "assure"
    SUPPORT = "support"
    EXPLOITATION = "exploitation"
    PARTENAIRE = "partenaire"
    AUDIT = "audit"
    """Lit qui a consulté quoi ; ne change rien."""


PERSONNE_MAX: Final = 128
"""Longueur du nom d'une personne du support, en signes."""


@dataclass(frozen=True, slots=True)
class Identite:
    """Un appelant reconnu ; `assure`, son pseudonyme, n'est là que pour ce rôle."""

    role: RoleUtilisateur
    assure: str | None = None
    personne: str = ""
    """Le nom que l'émetteur lui donne (`sub`) : qui a lu, proposé, approuvé. Vide pour un assuré."""


class Verificateur(Protocol):
    """Reconnaît l'appelant à son jeton."""

    async def verifier(self, jeton: str) -> Identite:
        """Lève JetonInvalide ou ÉmetteurInjoignable."""


@dataclass(frozen=True)
class VerificateurDeDeveloppement:
    """Des jetons HS256 signés d'un secret local ; jamais en même temps qu'un émetteur OIDC."""

    secret: str
    audience: str

    async def verifier(self, jeton: str) -> Identite:
        """L'appelant de ce jeton ; lève JetonInvalide."""
        contenu = _decoder(jeton, self.secret, ["HS256"], self.audience, EMETTEUR_DE_DEVELOPPEMENT)
        return _identite(contenu, "role", "assure")


class VerificateurOIDC:
    """Des jetons d'un émetteur OIDC, vérifiés par ses clés publiques (JWKS)."""

    def __init__(
        self,
        emetteur: Emetteur | str,
        audience: str,
        url_jwks: str | None = None,
        *,
        revendication_role: str = "role",
        revendication_assure: str = "assure",
    ) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce (OpenID Discovery), lue au premier jeton."""
        self.emetteur = emetteur if isinstance(emetteur, Emetteur) else Emetteur(emetteur, url_jwks)
        self.audience = audience
        self.revendications = (revendication_role, revendication_assure)

    async def verifier(self, jeton: str) -> Identite:
        """L'appelant de ce jeton d'accès ; lève JetonInvalide ou ÉmetteurInjoignable."""
        return self._lire(jeton, await self.emetteur.trouver_cle(jeton), None)

    def lire(self, jeton: str, *, nonce: str | None = None) -> Identite:
        """La même vérification, bloquante. Avec un `nonce`, le jeton est un jeton d'identité, qui doit le porter.

        Un jeton d'identité n'est de plus que pour son audience : pour plusieurs, il dit laquelle l'a demandé (`azp`).
        """
        return self._lire(jeton, self.emetteur.cle_de(jeton), nonce)

    def _lire(self, jeton: str, cle: Any, nonce: str | None) -> Identite:
        # La clé est connue : l'annonce l'est donc aussi, et `nom` n'attend rien.
        contenu = _decoder(jeton, cle, list(ALGORITHMES_OIDC), self.audience, self.emetteur.nom)
        if nonce is not None:
            audience, demandeur = contenu["aud"], contenu.get("azp")
            plusieurs = isinstance(audience, list) and len(audience) > 1
            if demandeur not in ({self.audience} if plusieurs else {None, self.audience}):
                raise JetonInvalide
            if not hmac.compare_digest(str(contenu.get("nonce")).encode(), nonce.encode()):
                raise JetonInvalide
        return _identite(contenu, *self.revendications)


def emettre_jeton(
    secret: str,
    role: RoleUtilisateur,
    assure: str | None,
    *,
    audience: str,
    maintenant: datetime,
    personne: str | None = None,
) -> str:
    """Un jeton de développement, pour `VerificateurDeDeveloppement` ; `personne` : l'agent, si ce n'est un assuré."""
    contenu: dict[str, Any] = {
        "iss": EMETTEUR_DE_DEVELOPPEMENT,
        "aud": audience,
        "sub": assure or personne or role.value,
        "iat": maintenant,
        "exp": maintenant + DUREE_DE_DEVELOPPEMENT,
        "role": role.value,
    }
    if assure is not None:
        contenu["assure"] = assure
    return jwt.encode(contenu, secret, algorithm="HS256")


def _decoder(jeton: str, cle: Any, algorithmes: list[str], audience: str, emetteur: str) -> dict[str, Any]:
    """Le contenu d'un jeton vérifié ; lève JetonInvalide."""
    try:
        contenu: dict[str, Any] = jwt.decode(
            jeton,
            cle,
            algorithms=algorithmes,
            audience=audience,
            issuer=emetteur,
            leeway=TOLERANCE_D_HORLOGE,
            options={"require": ["exp", "aud", "iss"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as erreur:
        raise JetonInvalide from erreur
    return contenu


def _identite(contenu: dict[str, Any], nom_role: str, nom_assure: str) -> Identite:
    """Qui ce contenu nomme ; lève JetonInvalide si le rôle est inconnu ou l'assuré sans pseudonyme."""
    try:
        role = RoleUtilisateur(str(contenu.get(nom_role)))
        if role is not RoleUtilisateur.ASSURE:
            return Identite(role, personne=_personne(contenu.get("sub")))
        return Identite(role, _PSEUDONYME.validate_python(contenu.get(nom_assure)))
    except (ValidationError, ValueError) as erreur:
        raise JetonInvalide from erreur


def _personne(sub: object) -> str:
    """Le nom d'un agent ; lève ValueError s'il ne peut pas être écrit tel quel à côté de ce qu'il fait."""
    nom = sub.strip() if isinstance(sub, str) else ""
    if len(nom) > PERSONNE_MAX or not nom.isprintable():
        raise ValueError(sub)
    return nom


__all__ = [
    "EmetteurInjoignable",
    "Identite",
    "JetonInvalide",
    "RoleUtilisateur",
    "Verificateur",
    "VerificateurDeDeveloppement",
    "VerificateurOIDC",
    "emettre_jeton",
]
