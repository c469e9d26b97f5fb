"""Qui appelle : les rôles, et la lecture des jetons, de développement ou d'un émetteur OIDC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

import anyio.to_thread
import httpx
import jwt
from jwt import PyJWKClient
from pydantic import TypeAdapter, ValidationError

from domain.references import Pseudonyme

ÉMETTEUR_DE_DÉVELOPPEMENT: Final = "creances-developpement"
DURÉE_DE_DÉVELOPPEMENT: Final = timedelta(hours=12)
TOLÉRANCE_D_HORLOGE: Final = timedelta(seconds=30)
"""Écart admis entre notre horloge et celle de l'émetteur."""

ALGORITHMES_OIDC: Final = ("RS256", "PS256", "ES256")
"""Jamais lus dans le jeton : un jeton ne choisit pas comment il est vérifié."""

DÉLAI_JWKS_S: Final = 5.0
"""Attente des clés publiques de l'émetteur (secondes)."""

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


class JetonInvalide(Exception):
    """Le jeton est absent, illisible, périmé ou n'est pas pour ce service."""


class ÉmetteurInjoignable(Exception):
    """Les clés publiques de l'émetteur des jetons ne peuvent pas être lues."""


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
        return _lire(jeton, self.secret, ["HS256"], self.audience, ÉMETTEUR_DE_DÉVELOPPEMENT, "role", "assure")


class VérificateurOIDC:
    """Des jetons d'un émetteur OIDC, vérifiés par ses clés publiques (JWKS)."""

    def __init__(
        self,
        émetteur: str,
        audience: str,
        url_jwks: str | None = None,
        *,
        revendication_rôle: str = "role",
        revendication_assuré: str = "assure",
    ) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce (OpenID Discovery), lue au premier jeton."""
        self.émetteur = émetteur
        self.audience = audience
        self.revendications = (revendication_rôle, revendication_assuré)
        self._clés = PyJWKClient(url_jwks, timeout=DÉLAI_JWKS_S) if url_jwks else None

    async def vérifier(self, jeton: str) -> Identité:
        """L'appelant de ce jeton ; lève JetonInvalide ou ÉmetteurInjoignable."""
        return await anyio.to_thread.run_sync(self._vérifier, jeton)

    def _vérifier(self, jeton: str) -> Identité:
        try:
            if jwt.get_unverified_header(jeton).get("alg") not in ALGORITHMES_OIDC:
                raise JetonInvalide
            self._clés = self._clés or self._découvrir()
            clé = self._clés.get_signing_key_from_jwt(jeton).key
        except (jwt.PyJWKClientConnectionError, httpx.HTTPError) as panne:
            raise ÉmetteurInjoignable from panne
        except (jwt.PyJWTError, ValueError) as erreur:
            raise JetonInvalide from erreur
        return _lire(jeton, clé, list(ALGORITHMES_OIDC), self.audience, self.émetteur, *self.revendications)

    def _découvrir(self) -> PyJWKClient:
        url = f"{self.émetteur.rstrip('/')}/.well-known/openid-configuration"
        réponse = httpx.get(url, timeout=DÉLAI_JWKS_S, follow_redirects=False).raise_for_status()
        try:
            annonce = réponse.json()
            if annonce["issuer"] != self.émetteur:
                raise ÉmetteurInjoignable("l'annonce est celle d'un autre émetteur")
            return PyJWKClient(annonce["jwks_uri"], timeout=DÉLAI_JWKS_S)
        except (ValueError, KeyError, TypeError) as erreur:
            raise ÉmetteurInjoignable("annonce illisible") from erreur


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


def _lire(  # noqa: PLR0917 (une règle de vérification, donnée en entier par ses deux appelants)
    jeton: str, clé: Any, algorithmes: list[str], audience: str, émetteur: str, nom_rôle: str, nom_assuré: str
) -> Identité:
    try:
        contenu = jwt.decode(
            jeton,
            clé,
            algorithms=algorithmes,
            audience=audience,
            issuer=émetteur,
            leeway=TOLÉRANCE_D_HORLOGE,
            options={"require": ["exp", "aud", "iss"]},
        )
        rôle = Rôle(str(contenu.get(nom_rôle)))
        if rôle is not Rôle.ASSURÉ:
            return Identité(rôle)
        return Identité(rôle, _PSEUDONYME.validate_python(contenu.get(nom_assuré)))
    except (jwt.PyJWTError, ValidationError, ValueError, TypeError) as erreur:
        raise JetonInvalide from erreur
