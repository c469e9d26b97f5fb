"""La session des pages : un cookie chiffré que le navigateur ne lit pas, et le jeton qui protège les formulaires.

Rien n'est gardé au serveur : toutes les instances qui ont le même secret lisent la même session. Elle est bornée deux
fois, depuis la connexion et depuis la dernière page vue ; chaque page pose le cookie de nouveau.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.dependances import Dépendances
from api.identite import Rôle
from domain.references import Pseudonyme

COOKIE: Final = "creances_session"
_OCTETS: Final = 16
_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(Pseudonyme)


class Session(NamedTuple):
    """Un navigateur, et qui le tient s'il s'est fait connaître."""

    numéro: str
    assuré: str | None
    """Le pseudonyme, pour le rôle assuré seulement."""
    rôle: Rôle | None = None
    ouverte_le: int = 0
    """Secondes depuis 1970 ; 0 : pas encore posée."""


def session_de(requête: Request, dépendances: Dépendances) -> Session:
    """La session de cette requête, ou une nouvelle si elle manque, est altérée ou a passé une de ses limites."""
    return _lire(requête.cookies.get(COOKIE, ""), dépendances) or nouvelle_session()


def nommée(assuré: str) -> Session:
    """Une session neuve pour cet assuré ; pour personne si ce n'est pas un pseudonyme."""
    try:
        return nouvelle_session(_PSEUDONYME.validate_python(assuré))
    except ValidationError:
        return nouvelle_session()


def nouvelle_session(assuré: str | None = None, rôle: Rôle | None = None) -> Session:
    """Une session neuve : changer d'identité change toujours de numéro, donc de jeton de formulaire."""
    return Session(secrets.token_urlsafe(_OCTETS), assuré, Rôle.ASSURÉ if assuré else rôle)


def poser(réponse: Response, session: Session, dépendances: Dépendances) -> None:
    """Pose le cookie de la session, vue à l'instant ; il disparaît aussi avec le navigateur."""
    maintenant = int(dépendances.horloge().timestamp())
    contenu = json.dumps([session.numéro, session.assuré, session.rôle, session.ouverte_le or maintenant])
    scellé = coffre("session", dépendances.secret_de_session).encrypt_at_time(contenu.encode(), maintenant)
    poser_cookie(réponse, COOKIE, scellé.decode(), dépendances)


def retirer(réponse: Response, dépendances: Dépendances) -> None:
    """Ôte le cookie : la session est finie."""
    poser_cookie(réponse, COOKIE, "", dépendances)


def poser_cookie(réponse: Response, nom: str, valeur: str, dépendances: Dépendances) -> None:
    """Pose un cookie de nos pages ; vide, l'ôte."""
    réponse.headers.append("Set-Cookie", _en_tête(nom, valeur, dépendances))


def jeton_de_formulaire(session: Session, dépendances: Dépendances) -> str:
    """Ce qu'un formulaire doit rapporter pour prouver qu'il vient de nos pages."""
    clé = clé_pour("formulaire", dépendances.secret_de_session)
    return hmac.new(clé, session.numéro.encode(), hashlib.sha256).hexdigest()


def jeton_valable(session: Session, jeton: str, dépendances: Dépendances) -> bool:
    """Dit si le formulaire vient d'une page de cette session."""
    return hmac.compare_digest(jeton_de_formulaire(session, dépendances).encode(), jeton.encode())


@lru_cache(maxsize=8)
def coffre(usage: str, secret: str) -> Fernet:
    """Ce qui chiffre et authentifie un cookie de cet usage."""
    return Fernet(urlsafe_b64encode(clé_pour(usage, secret)))


def clé_pour(usage: str, secret: str) -> bytes:
    """Une clé propre à cet usage : le jeton d'un formulaire ne peut pas servir de cookie."""
    return hmac.new(secret.encode(), f"creances:{usage}".encode(), hashlib.sha256).digest()


def _lire(texte: str, dépendances: Dépendances) -> Session | None:
    maintenant = int(dépendances.horloge().timestamp())
    boîte = coffre("session", dépendances.secret_de_session)
    try:
        clair = boîte.decrypt_at_time(texte, int(dépendances.repos_de_session.total_seconds()), maintenant)
        numéro, assuré, rôle, ouverte_le = json.loads(clair)
        session = Session(numéro, assuré, Rôle(rôle) if rôle else None, ouverte_le)
    except (InvalidToken, ValueError, TypeError):
        return None
    return session if maintenant - session.ouverte_le <= dépendances.durée_de_session.total_seconds() else None


def _en_tête(nom: str, valeur: str, dépendances: Dépendances) -> str:
    """Un `Set-Cookie`, sans durée : le cookie ne survit pas au navigateur."""
    sûr = "; Secure" if dépendances.guichet.adresses.retour.startswith("https://") else ""
    fin = "" if valeur else "; Max-Age=0"
    return f"{nom}={valeur}; HttpOnly; Path=/; SameSite=lax{sûr}{fin}"
