"""Qui appelle : les rôles, et la lecture des jetons, de développement ou d'un émetteur OIDC."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple, Protocol, assert_never

import jwt
from pydantic import Field, TypeAdapter, ValidationError

from api.socle.emetteur import ALGORITHMES_OIDC, Emetteur, EmetteurInjoignable, JetonInvalide
from api.socle.lecture_de_jeton import (
    INSTANT_MAX,
    TOLERANCE_D_HORLOGE,
    NatureDeJeton,
    decoder,
    est_d_acces,
    exiger_le_type,
)
from domain.geste import COMPTE_SYSTEME
from domain.nir import contient_un_nir
from domain.references import CodeCaisse, PseudonymeRecu

EMETTEUR_DE_DEVELOPPEMENT: Final = "creances-developpement"
DUREE_DE_DEVELOPPEMENT: Final = timedelta(hours=12)
NOM_SIGNES_MAX: Final = 80
FIN_DE_SESSION: Final = "http://schemas.openid.net/event/backchannel-logout"

_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(PseudonymeRecu)

REVENDICATION_CAISSES: Final = "caisses"
"""La revendication d'un partenaire qui nomme ses caisses : une liste de codes à trois chiffres."""

CAISSES_MAX: Final = 200
_CAISSES: Final = TypeAdapter(Annotated[frozenset[CodeCaisse], Field(max_length=CAISSES_MAX)])


class RoleUtilisateur(StrEnum):
    """Ce qu'un appelant a le droit de faire."""

    ASSURE = "assure"
    SUPPORT = "support"
    EXPLOITATION = "exploitation"
    PARTENAIRE = "partenaire"
    AUDIT = "audit"
    """Lit qui a consulté quoi, demande un audit ; ne change rien."""

    @property
    def accueil(self) -> str:
        """La page par où commence une personne de ce rôle ; celle de tous, s'il n'a pas de pages à lui."""
        match self:
            case RoleUtilisateur.SUPPORT:
                return "/support"
            case RoleUtilisateur.AUDIT:
                return "/support/acces"
            case RoleUtilisateur.EXPLOITATION:
                return "/exploitation"
            case RoleUtilisateur.ASSURE | RoleUtilisateur.PARTENAIRE:
                return "/"
            case _:
                assert_never(self)


PERSONNE_MAX: Final = 128
"""Longueur du nom d'une personne du support, en signes."""


@dataclass(frozen=True, slots=True)
class Identite:
    """Un appelant reconnu ; `assure`, son pseudonyme, n'est là que pour ce rôle."""

    role: RoleUtilisateur
    assure: str | None = None
    personne: str = ""
    """Le nom que l'émetteur lui donne (`sub`) : qui a lu, proposé, approuvé. Vide pour un assuré."""
    caisses: frozenset[str] = frozenset()
    """Celles d'un partenaire ; vide pour un autre rôle."""
    nom: str | None = None
    """Le nom à montrer à la personne elle-même ; il ne va que dans le cookie chiffré de sa session."""
    derniere_connexion: int | None = None
    """Sa connexion précédente, telle que l'émetteur la dit (secondes depuis 1970)."""
    sujet: str | None = field(default=None, compare=False)
    """La personne chez l'émetteur (`sub`), et sa session (`sid`) : de quoi finir ici ce qui finit là-bas."""
    sid: str | None = field(default=None, compare=False)

    @property
    def acteur(self) -> str:
        """Sous quel nom le journal de la sûreté dit ce qu'il fait."""
        return self.assure or self.personne or self.role.value


class FinDemandee(NamedTuple):
    """Ce que l'émetteur demande de finir : une session, ou toutes celles d'un sujet."""

    sujet: str | None
    sid: str | None
    ouvertes_avant: datetime
    """Celles qui étaient ouvertes quand le jeton a été émis : rejoué, il ne finit pas celle que l'on a rouverte."""


class Verificateur(Protocol):
    """Reconnaît l'appelant à son jeton."""

    async def verifier(self, jeton: str) -> Identite:
        """Lève JetonInvalide ou EmetteurInjoignable."""


@dataclass(frozen=True)
class VerificateurDeDeveloppement:
    """Des jetons HS256 signés d'un secret local ; jamais en même temps qu'un émetteur OIDC."""

    secret: str
    audience: str

    async def verifier(self, jeton: str) -> Identite:
        """L'appelant de ce jeton ; lève JetonInvalide."""
        contenu = decoder(jeton, self.secret, ["HS256"], self.audience, EMETTEUR_DE_DEVELOPPEMENT)
        exiger_le_type(jeton, contenu, NatureDeJeton.ACCES)
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
        client: str | None = None,
    ) -> None:
        """`url_jwks` absente : celle que l'émetteur annonce (OpenID Discovery), lue au premier jeton.

        `client` : le nôtre. S'il est aussi l'audience, un jeton doit dire qu'il est d'accès.
        """
        self.emetteur = emetteur if isinstance(emetteur, Emetteur) else Emetteur(emetteur, url_jwks)
        self.audience = audience
        self._audience_partagee = client == audience
        self.revendications = (revendication_role, revendication_assure)

    async def verifier(self, jeton: str) -> Identite:
        """L'appelant de ce jeton d'accès ; lève JetonInvalide ou EmetteurInjoignable."""
        cle = await self.emetteur.trouver_cle(jeton)
        identite = self._lire(jeton, cle, None)
        if not est_d_acces(jeton, exige=self._audience_partagee):
            raise JetonInvalide
        return identite

    def lire_fin(self, jeton: str) -> FinDemandee:
        """Ce qu'un `logout_token` demande (OpenID Connect Back-Channel Logout) ; bloquante, lève JetonInvalide."""
        contenu = decoder(jeton, self.emetteur.cle_de(jeton), list(ALGORITHMES_OIDC), self.audience, self.emetteur.nom)
        exiger_le_type(jeton, contenu, NatureDeJeton.FIN)
        evenements, sujet, sid = contenu.get("events"), contenu.get("sub"), contenu.get("sid")
        if not isinstance(evenements, dict) or not isinstance(evenements.get(FIN_DE_SESSION), dict):
            raise JetonInvalide
        if "nonce" in contenu or "jti" not in contenu or "iat" not in contenu:
            raise JetonInvalide
        if not (sujet or sid) or not all(nom is None or isinstance(nom, str) for nom in (sujet, sid)):
            raise JetonInvalide
        emis_le = datetime.fromtimestamp(contenu["iat"], UTC)
        return FinDemandee(sujet, sid, emis_le + TOLERANCE_D_HORLOGE)

    def lire(self, jeton: str, *, nonce: str | None = None) -> Identite:
        """La même vérification, bloquante. Avec un `nonce`, le jeton est un jeton d'identité, qui doit le porter.

        Un jeton d'identité n'est de plus que pour son audience : pour plusieurs, il dit laquelle l'a demandé (`azp`).
        """
        return self._lire(jeton, self.emetteur.cle_de(jeton), nonce)

    def _lire(self, jeton: str, cle: Any, nonce: str | None) -> Identite:
        # La clé est connue : l'annonce l'est donc aussi, et `nom` n'attend rien.
        contenu = decoder(jeton, cle, list(ALGORITHMES_OIDC), self.audience, self.emetteur.nom)
        if nonce is not None:
            exiger_le_type(jeton, contenu, NatureDeJeton.IDENTITE)
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
    caisses: Collection[str] = (),
) -> str:
    """Un jeton de développement, pour `VerificateurDeDeveloppement` ; `personne` : l'agent, si ce n'est un assuré.

    `caisses` : celles d'un partenaire.
    """
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
    if caisses:
        contenu[REVENDICATION_CAISSES] = sorted(caisses)
    return jwt.encode(contenu, secret, algorithm="HS256")


def _nom(dit: object) -> str | None:
    """Le nom (`name`), si c'en est un : une ligne, bornée. Un nom étrange n'empêche pas de se connecter."""
    nom = " ".join(dit.split()) if isinstance(dit, str) else ""
    return nom[:NOM_SIGNES_MAX] if nom.isprintable() and nom else None


def _instant(dit: object) -> int | None:
    """L'instant (`last_login`), s'il est passé : un nombre de secondes depuis 1970."""
    return dit if isinstance(dit, int) and not isinstance(dit, bool) and 0 < dit < INSTANT_MAX else None


def _identite(contenu: dict[str, Any], nom_role: str, nom_assure: str) -> Identite:
    """Qui ce contenu nomme ; lève JetonInvalide si le rôle est inconnu ou l'assuré sans pseudonyme."""
    try:
        role = RoleUtilisateur(str(contenu.get(nom_role)))
        nom, derniere = _nom(contenu.get("name")), _instant(contenu.get("last_login"))
        sujet, sid = (dit if isinstance(dit, str) else None for dit in (contenu.get("sub"), contenu.get("sid")))
        if role is not RoleUtilisateur.ASSURE:
            return Identite(
                role,
                personne=_personne(contenu.get("sub")),
                caisses=_caisses(role, contenu.get(REVENDICATION_CAISSES)),
                nom=nom,
                derniere_connexion=derniere,
                sujet=sujet,
                sid=sid,
            )
        assure = _PSEUDONYME.validate_python(contenu.get(nom_assure))
        return Identite(role, assure, nom=nom, derniere_connexion=derniere, sujet=sujet, sid=sid)
    except (ValidationError, ValueError, RecursionError) as erreur:
        raise JetonInvalide from erreur


def _caisses(role: RoleUtilisateur, dites: object) -> frozenset[str]:
    """Les caisses d'un partenaire ; lève ValidationError si ce n'en est pas une liste."""
    return _CAISSES.validate_python(dites or []) if role is RoleUtilisateur.PARTENAIRE else frozenset()


def _personne(sub: object) -> str:
    """Le nom d'un agent ; lève ValueError s'il ne peut pas être écrit tel quel à côté de ce qu'il fait."""
    nom = sub.strip() if isinstance(sub, str) else ""
    if len(nom) > PERSONNE_MAX or not nom.isprintable() or nom.casefold().startswith(COMPTE_SYSTEME):
        raise ValueError(sub)
    if contient_un_nir(nom):  # Il irait dans le journal, d'où rien ne s'efface.
        raise ValueError("un NIR ne nomme pas un agent")
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
