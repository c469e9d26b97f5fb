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

from api.socle.dependances import Dependances
from api.socle.identite import RoleUtilisateur
from domain.references import Pseudonyme

COOKIE: Final = "creances_session"
_OCTETS: Final = 16
_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(Pseudonyme)


class Session(NamedTuple):
    """Un navigateur, et qui le tient s'il s'est fait connaître."""

    numero: str
    assure: str | None
    """Le pseudonyme, pour le rôle assuré seulement."""
    role: RoleUtilisateur | None = None
    ouverte_le: int = 0
    """Secondes depuis 1970 ; 0 : pas encore posée."""


def session_de(requete: Request, dependances: Dependances) -> Session:
    """La session de cette requête, ou une nouvelle si elle manque, est altérée ou a passé une de ses limites."""
    return _lire(requete.cookies.get(COOKIE, ""), dependances) or nouvelle_session()


def nommee(assure: str) -> Session:
    """Une session neuve pour cet assuré ; pour personne si ce n'est pas un pseudonyme."""
    try:
        return nouvelle_session(_PSEUDONYME.validate_python(assure))
    except ValidationError:
        return nouvelle_session()


def nouvelle_session(assure: str | None = None, role: RoleUtilisateur | None = None) -> Session:
    """Une session neuve : changer d'identité change toujours de numéro, donc de jeton de formulaire."""
    return Session(secrets.token_urlsafe(_OCTETS), assure, RoleUtilisateur.ASSURE if assure else role)


def poser(reponse: Response, session: Session, dependances: Dependances) -> None:
    """Pose le cookie de la session, vue à l'instant ; il disparaît aussi avec le navigateur."""
    maintenant = int(dependances.horloge().timestamp())
    contenu = json.dumps([session.numero, session.assure, session.role, session.ouverte_le or maintenant])
    scelle = coffre("session", dependances.secret_de_session).encrypt_at_time(contenu.encode(), maintenant)
    poser_cookie(reponse, COOKIE, scelle.decode(), dependances)


def retirer(reponse: Response, dependances: Dependances) -> None:
    """Ôte le cookie : la session est finie."""
    poser_cookie(reponse, COOKIE, "", dependances)


def poser_cookie(reponse: Response, nom: str, valeur: str, dependances: Dependances) -> None:
    """Pose un cookie de nos pages ; vide, l'ôte."""
    reponse.headers.append("Set-Cookie", _en_tete(nom, valeur, dependances))


def jeton_de_formulaire(session: Session, dependances: Dependances) -> str:
    """Ce qu'un formulaire doit rapporter pour prouver qu'il vient de nos pages."""
    cle = cle_pour("formulaire", dependances.secret_de_session)
    return hmac.new(cle, session.numero.encode(), hashlib.sha256).hexdigest()


def jeton_valable(session: Session, jeton: str, dependances: Dependances) -> bool:
    """Dit si le formulaire vient d'une page de cette session."""
    return hmac.compare_digest(jeton_de_formulaire(session, dependances).encode(), jeton.encode())


@lru_cache(maxsize=8)
def coffre(usage: str, secret: str) -> Fernet:
    """Ce qui chiffre et authentifie un cookie de cet usage."""
    return Fernet(urlsafe_b64encode(cle_pour(usage, secret)))


def cle_pour(usage: str, secret: str) -> bytes:
    """Une clé propre à cet usage : le jeton d'un formulaire ne peut pas servir de cookie."""
    return hmac.new(secret.encode(), f"creances:{usage}".encode(), hashlib.sha256).digest()


def _lire(texte: str, dependances: Dependances) -> Session | None:
    maintenant = int(dependances.horloge().timestamp())
    boite = coffre("session", dependances.secret_de_session)
    try:
        clair = boite.decrypt_at_time(texte, int(dependances.repos_de_session.total_seconds()), maintenant)
        numero, assure, role, ouverte_le = json.loads(clair)
        session = Session(numero, assure, RoleUtilisateur(role) if role else None, ouverte_le)
    except (InvalidToken, ValueError, TypeError):
        return None
    return session if maintenant - session.ouverte_le <= dependances.duree_de_session.total_seconds() else None


def _en_tete(nom: str, valeur: str, dependances: Dependances) -> str:
    """Un `Set-Cookie`, sans durée : le cookie ne survit pas au navigateur."""
    sur = "; Secure" if dependances.guichet.adresses.retour.startswith("https://") else ""
    fin = "" if valeur else "; Max-Age=0"
    return f"{nom}={valeur}; HttpOnly; Path=/; SameSite=lax{sur}{fin}"
