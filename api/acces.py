"""Qui peut appeler quoi : un jeton porteur, un rôle."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from api.dependances import DeLApplication
from api.identite import Identité, JetonInvalide, Rôle
from api.problemes import Problème

PORTEUR: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Jeton JWT du rôle demandé.")
_DÉFI: Final = 'Bearer realm="creances"'


def exiger(rôle: Rôle) -> Callable[..., Awaitable[Identité]]:
    """La dépendance qui rend l'appelant s'il a ce rôle ; lève Problème 401 ou 403 sinon."""

    async def appelant(
        requête: Request, moyens: DeLApplication, _: Annotated[Any, Depends(PORTEUR)] = None
    ) -> Identité:
        schéma, _espace, jeton = requête.headers.get("authorization", "").partition(" ")
        if schéma.lower() != "bearer" or not jeton:
            détail = "Cet appel demande un jeton (en-tête Authorization: Bearer)."
            raise Problème(401, "authentification_requise", détail, en_têtes={"WWW-Authenticate": _DÉFI})
        try:
            identité = await moyens.dépendances.jetons.vérifier(jeton.strip())
        except JetonInvalide:
            en_têtes = {"WWW-Authenticate": f'{_DÉFI}, error="invalid_token"'}
            raise Problème(401, "jeton_invalide", "Ce jeton n'est pas ou plus valable.", en_têtes=en_têtes) from None
        if identité.rôle is not rôle:
            raise Problème(403, "acces_refuse", f"Cet appel est réservé au rôle « {rôle.value} ».")
        return identité

    return appelant


async def _assuré(identité: Annotated[Identité, Depends(exiger(Rôle.ASSURÉ))]) -> str:
    if identité.assuré is None:
        raise Problème(403, "acces_refuse", "Ce jeton ne nomme pas d'assuré.")
    return identité.assuré


Assuré = Annotated[str, Depends(_assuré)]
"""Le pseudonyme de l'assuré qui appelle."""

Exploitant = Annotated[Identité, Depends(exiger(Rôle.EXPLOITATION))]
