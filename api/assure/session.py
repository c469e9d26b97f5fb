"""La session des pages : un cookie signé, que le navigateur ne lit pas, et le jeton qui protège les formulaires.

N'existe que dans la démonstration, où l'on choisit qui l'on est ; ailleurs, l'identité viendra du compte.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Final, NamedTuple

import jwt
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.dependances import Dépendances
from domain.references import Pseudonyme

COOKIE: Final = "creances_session"
DURÉE: Final = timedelta(hours=2)
_OCTETS: Final = 16
_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(Pseudonyme)


class Session(NamedTuple):
    """Un navigateur, et qui le tient s'il l'a dit."""

    numéro: str
    assuré: str | None


def session_de(requête: Request, dépendances: Dépendances) -> Session:
    """La session de cette requête, ou une nouvelle."""
    try:
        contenu = jwt.decode(
            requête.cookies.get(COOKIE, ""),
            dépendances.secret_de_session,
            algorithms=["HS256"],
            audience=COOKIE,
            options={"require": ["exp", "jti"]},
        )
    except jwt.PyJWTError:
        return nouvelle_session()
    return Session(contenu["jti"], contenu.get("assure"))


def nommée(assuré: str) -> Session:
    """Une session neuve pour cet assuré ; pour personne si ce n'est pas un pseudonyme."""
    try:
        return nouvelle_session(_PSEUDONYME.validate_python(assuré))
    except ValidationError:
        return nouvelle_session()


def nouvelle_session(assuré: str | None = None) -> Session:
    """Une session neuve : changer d'identité change toujours de numéro."""
    return Session(secrets.token_urlsafe(_OCTETS), assuré)


def poser(réponse: Response, session: Session, dépendances: Dépendances) -> None:
    """Pose le cookie de la session."""
    contenu = {
        "aud": COOKIE,
        "jti": session.numéro,
        "assure": session.assuré,
        "exp": dépendances.horloge() + DURÉE,
    }
    réponse.set_cookie(
        COOKIE,
        jwt.encode(contenu, dépendances.secret_de_session, algorithm="HS256"),
        max_age=int(DURÉE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=dépendances.guichet.adresses.retour.startswith("https://"),
    )


def jeton_de_formulaire(session: Session, dépendances: Dépendances) -> str:
    """Ce qu'un formulaire doit rapporter pour prouver qu'il vient de nos pages."""
    clé = dépendances.secret_de_session.encode()
    return hmac.new(clé, f"formulaire:{session.numéro}".encode(), hashlib.sha256).hexdigest()


def jeton_valable(session: Session, jeton: str, dépendances: Dépendances) -> bool:
    """Dit si le formulaire vient d'une page de cette session."""
    return hmac.compare_digest(jeton_de_formulaire(session, dépendances).encode(), jeton.encode())
