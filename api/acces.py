"""Qui peut appeler quoi : un jeton porteur, un rôle."""

from typing import Annotated, Final

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer as Porteur
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from api.dependances import moyens
from api.identite import Identité, JetonInvalide, Rôle
from api.problemes import Problème

_DÉFI: Final = 'Bearer realm="creances"'


class _Exigence(SecurityBase):
    """La dépendance qui rend l'appelant s'il a ce rôle ; lève Problème 401 ou 403 sinon.

    Une seule dépendance, que FastAPI sait aussi décrire : chaque étage de plus se résout à chaque appel.
    """

    scheme_name = "HTTPBearer"

    def __init__(self, rôle: Rôle) -> None:
        self.model = Porteur(bearerFormat="JWT", description="Jeton JWT du rôle demandé.")
        self._rôle = rôle

    async def identifier(self, requête: Request) -> Identité:
        schéma, _espace, jeton = requête.headers.get("authorization", "").partition(" ")
        if schéma.lower() != "bearer" or not jeton:
            détail = "Cet appel demande un jeton (en-tête Authorization: Bearer)."
            raise Problème(401, "authentification_requise", détail, en_têtes={"WWW-Authenticate": _DÉFI})
        try:
            identité = await (await moyens(requête)).dépendances.jetons.vérifier(jeton.strip())
        except JetonInvalide:
            en_têtes = {"WWW-Authenticate": f'{_DÉFI}, error="invalid_token"'}
            raise Problème(401, "jeton_invalide", "Ce jeton n'est pas ou plus valable.", en_têtes=en_têtes) from None
        if identité.rôle is not self._rôle:
            raise Problème(403, "acces_refuse", f"Cet appel est réservé au rôle « {self._rôle.value} ».")
        return identité


class _ExigeAssuré(_Exigence):
    """Rend le pseudonyme de l'assuré que le jeton nomme."""

    async def __call__(self, requête: Request) -> str:
        identité = await self.identifier(requête)
        if identité.assuré is None:
            raise Problème(403, "acces_refuse", "Ce jeton ne nomme pas d'assuré.")
        return identité.assuré


class _ExigeRôle(_Exigence):
    """Rend l'identité de l'appelant."""

    async def __call__(self, requête: Request) -> Identité:
        return await self.identifier(requête)


Assuré = Annotated[str, Depends(_ExigeAssuré(Rôle.ASSURÉ))]
"""Le pseudonyme de l'assuré qui appelle."""

Exploitant = Annotated[Identité, Depends(_ExigeRôle(Rôle.EXPLOITATION))]
