"""D'où l'assuré vient : le site, l'application, ou une borne, où une session laissée là ne doit rien laisser.

Le canal tient dans un cookie signé, à part de la session : il dit où l'on est, pas qui l'on est. Une session ouverte a
le sien dans la base, qui l'emporte.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import jwt
from starlette.requests import Request
from starlette.responses import Response

from api.socle.cookies import lire_cookie, poser_cookie
from api.socle.dependances import Dependances
from domain.avis import Canal

COOKIE: Final = "creances_canal"

CARACTERES_MAX: Final = 512
"""Les nôtres en ont moins de deux cents : un plus long n'est pas de nous, et n'est pas gardé en mémoire."""


class Passage(NamedTuple):
    """Un canal, et la dernière fois qu'on l'a vu actif."""

    canal: Canal
    vu_le: datetime
    dit: Canal | None = None
    """Ce que dit le cookie, sous le secret courant ; None : il est à poser."""

    def inactif(self, dependances: Dependances) -> bool:
        """Dit si la borne a été laissée : rien depuis le délai d'inactivité."""
        return self.canal is Canal.BMS and dependances.horloge() - self.vu_le >= dependances.inactivite_borne


def passage_de(requete: Request, dependances: Dependances) -> Passage:
    """Le passage que dit le cookie ; le site si le cookie manque ou ne vient pas de nous."""
    texte = lire_cookie(requete, COOKIE, dependances)
    for secret in dependances.secrets_de_session if 0 < len(texte) <= CARACTERES_MAX else ():
        if (lu := _sous(texte, secret)) is not None:
            return lu if secret == dependances.secret_de_session else lu._replace(dit=None)
    return Passage(Canal.WEB, dependances.horloge())


# Ce qui est signé ne change pas : chaque page d'une visite rapporte le même cookie. L'heure se juge à part.
@lru_cache(maxsize=4096)
def _sous(texte: str, secret: str) -> Passage | None:
    """Le passage que ce cookie dit sous ce secret, ou None."""
    try:
        contenu = jwt.decode(
            texte,
            secret,
            algorithms=["HS256"],
            audience=COOKIE,
            options={"require": ["iat"], "verify_iat": False},  # Jugé contre notre horloge, par `inactif`.
        )
        canal = Canal(contenu["canal"])
        return Passage(canal, datetime.fromtimestamp(contenu["iat"], UTC), canal)
    except (jwt.PyJWTError, ValueError, KeyError, OverflowError):
        return None


def lire_canal(texte: str) -> Canal | None:
    """Le canal de ce nom, ou None."""
    try:
        return Canal(texte)
    except ValueError:
        return None


def suivre_canal(reponse: Response, passage: Passage, dependances: Dependances) -> None:
    """Pose le cookie du passage s'il change ; à une borne toujours, car il y dit le dernier signe de vie."""
    if passage.canal is Canal.BMS or passage.canal is not passage.dit:
        poser_canal(reponse, passage.canal, dependances)


def poser_canal(reponse: Response, canal: Canal, dependances: Dependances) -> None:
    """Pose le cookie du canal, vu actif à l'instant ; il meurt avec le navigateur."""
    contenu = {"aud": COOKIE, "canal": canal.value, "iat": dependances.horloge().timestamp()}
    poser_cookie(reponse, COOKIE, jwt.encode(contenu, dependances.secret_de_session, algorithm="HS256"), dependances)
