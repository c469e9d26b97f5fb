"""Qui peut appeler quoi : un jeton porteur, un rôle."""

from typing import Annotated, Final

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer as Porteur
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from api.socle.debits import GenreDeDebit, adresse_de, genre_de
from api.socle.dependances import moyens
from api.socle.identite import Identite, JetonInvalide, RoleUtilisateur
from api.socle.problemes import Probleme
from domain.references import Pseudonyme

_DEFI: Final = 'Bearer realm="creances"'


class _Exigence(SecurityBase):
    """La dépendance qui rend l'appelant s'il a ce rôle ; lève Probleme 401 ou 403 sinon.

    Une seule dépendance, que FastAPI sait aussi décrire : chaque étage de plus se résout à chaque appel.
    """

    scheme_name = "HTTPBearer"

    def __init__(self, role: RoleUtilisateur) -> None:
        self.model = Porteur(bearerFormat="JWT", description="Jeton JWT du rôle demandé.")
        self._role = role

    async def identifier(self, requete: Request) -> Identite:
        schema, _espace, jeton = requete.headers.get("authorization", "").partition(" ")
        if schema.lower() != "bearer" or not jeton:
            detail = "Cet appel demande un jeton (en-tête Authorization: Bearer)."
            raise Probleme(401, "authentification_requise", detail, en_tetes={"WWW-Authenticate": _DEFI})
        de_l_application = await moyens(requete)
        try:
            identite = await de_l_application.dependances.jetons.verifier(jeton.strip())
        except JetonInvalide:
            de_l_application.debits.exiger(GenreDeDebit.REFUS, adresse_de(requete))
            await de_l_application.consigne.refuser("jeton d'accès refusé", requete=requete)
            en_tetes = {"WWW-Authenticate": f'{_DEFI}, error="invalid_token"'}
            raise Probleme(401, "jeton_invalide", "Ce jeton n'est pas ou plus valable.", en_tetes=en_tetes) from None
        # Sans nom à elle, une machine compte à son adresse ; sous un autre rôle, un appel compte aussi.
        nom = identite.assure or identite.personne or adresse_de(requete)
        de_l_application.debits.exiger(genre_de(requete), nom)
        if identite.role is not self._role:
            detail = f"appel réservé au rôle {self._role.value}, fait sous le rôle {identite.role.value}"
            await de_l_application.consigne.refuser(detail, requete=requete, acteur=identite.acteur)
            raise Probleme(403, "acces_refuse", f"Cet appel est réservé au rôle « {self._role.value} ».")
        return identite


class ExigeAssure(_Exigence):
    """Rend le pseudonyme de l'assuré que le jeton nomme."""

    async def __call__(self, requete: Request) -> Pseudonyme:
        identite = await self.identifier(requete)
        if identite.assure is None:
            raise Probleme(403, "acces_refuse", "Ce jeton ne nomme pas d'assuré.")
        return Pseudonyme(identite.assure)


class ExigeRole(_Exigence):
    """Rend l'identité de l'appelant."""

    async def __call__(self, requete: Request) -> Identite:
        return await self.identifier(requete)


class ExigePersonne(_Exigence):
    """Rend l'identité d'un appelant que son jeton nomme : ce qu'il lit ou fait est écrit sous ce nom."""

    async def __call__(self, requete: Request) -> Identite:
        identite = await self.identifier(requete)
        if not identite.personne:
            raise Probleme(403, "acces_refuse", "Ce jeton ne nomme pas de personne.")
        return identite


class ExigePartenaire(ExigePersonne):
    """Rend l'identité d'un partenaire que son jeton nomme, avec au moins une caisse."""

    async def __call__(self, requete: Request) -> Identite:
        identite = await super().__call__(requete)
        if not identite.caisses:
            raise Probleme(403, "acces_refuse", "Ce jeton ne nomme pas de caisse.")
        return identite


Assure = Annotated[Pseudonyme, Depends(ExigeAssure(RoleUtilisateur.ASSURE))]
"""Le pseudonyme de l'assuré qui appelle."""

Exploitant = Annotated[Identite, Depends(ExigeRole(RoleUtilisateur.EXPLOITATION))]

Support = Annotated[Identite, Depends(ExigePersonne(RoleUtilisateur.SUPPORT))]
"""Une personne du support."""

Partenaire = Annotated[Identite, Depends(ExigePartenaire(RoleUtilisateur.PARTENAIRE))]
"""Le système d'un partenaire, et ses caisses."""

Auditeur = Annotated[Identite, Depends(ExigePersonne(RoleUtilisateur.AUDIT))]
"""Un auditeur, qui lit et ne change rien."""
