"""La session des pages : un cookie chiffré que le navigateur ne lit pas, et le jeton qui protège les formulaires.

Une session sans personne ne tient que dans le cookie. Celle d'une personne est aussi dans la base, qui seule dit
si elle dure : un cookie copié ne survit ni à la déconnexion, ni au temps, ni à l'administrateur. Elle est bornée deux
fois, depuis la connexion et depuis le dernier signe de vie.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from psycopg import AsyncConnection
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.socle import sessions_tenues
from api.socle.cookies import lire_cookie, poser_cookie
from api.socle.debits import GenreDeDebit
from api.socle.dependances import Dependances, Moyens
from api.socle.identite import Identite, RoleUtilisateur
from api.socle.sessions_tenues import Tenue
from domain.avis import Canal
from domain.references import PseudonymeRecu

COOKIE: Final = "creances_session"
REPOSE_APRES_S: Final = 60
"""Âge d'un cookie à partir duquel une page en pose un neuf. En deçà il dit encore vrai : la base tient le temps."""
AVANCE_S: Final = 60
"""Avance admise de l'horloge d'une autre instance."""
CARACTERES_MAX: Final = 2_048
"""Les nôtres en ont moins : un plus long n'est pas de nous."""
_OCTETS: Final = 16
_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(PseudonymeRecu)


class Session(NamedTuple):
    """Un navigateur, et qui le tient s'il s'est fait connaître."""

    numero: str
    assure: str | None
    """Le pseudonyme, pour le rôle assuré seulement."""
    role: RoleUtilisateur | None = None
    ouverte_le: int = 0
    """Secondes depuis 1970 ; 0 : pas encore posée."""
    canal: Canal | None = None
    """D'où la personne est venue, tel que la base le tient ; None : personne."""
    personne: str = ""
    """Le nom de l'agent, pour un autre rôle qu'assuré."""
    nom: str | None = None
    """Son nom, dit par l'émetteur : dans le cookie chiffré, et nulle part ailleurs."""
    derniere_connexion: int | None = None
    """Sa connexion précédente (secondes depuis 1970), de même."""
    posee_le: int = 0
    """Quand son cookie a été posé sous le secret courant (secondes depuis 1970) ; 0 : il est à poser."""

    @property
    def acteur(self) -> str:
        """Sous quel nom le journal de la sûreté dit ce que fait cette personne ; vide si elle n'est pas connue."""
        return self.assure or self.personne or (self.role.value if self.role else "")


class LireTenue(Protocol):
    """Comment la session tenue par la base est lue : seule, ou avec ce que la page va demander."""

    async def __call__(self, conn: AsyncConnection[Any], session: Session, /) -> Tenue | None:
        """La session tenue, si elle n'a pas été finie."""


async def lire_tenue(conn: AsyncConnection[Any], session: Session) -> Tenue | None:
    """La session tenue, seule."""
    return await sessions_tenues.lire(conn, session.numero)


async def session_de(
    requete: Request, moyens: Moyens, *, vivante: bool = False, lire: LireTenue = lire_tenue, bornee: bool = True
) -> Session:
    """La session de cette requête, ou une nouvelle si elle manque, est altérée, finie, ou a passé une de ses limites.

    `vivante` : la requête est un signe de vie de la personne. `bornee` : lève Probleme 429 si ce cookie, bon ou d'une
    session finie, a été lu trop souvent ; compté à part de la personne, que la copie d'un cookie ne peut pas gêner.
    """
    dependances = moyens.dependances
    session = lue(requete, dependances)
    if session is None or session.role is None:
        return session or nouvelle_session()
    if bornee:
        moyens.debits.exiger(GenreDeDebit.SESSION, session.numero)
    maintenant = dependances.horloge()
    async with moyens.pool.connection() as conn:
        tenue = await lire(conn, session)
        if tenue is None:
            return nouvelle_session()
        if _passee(tenue, maintenant, dependances):
            await sessions_tenues.finir(conn, session.numero, "inactivite", maintenant)
            return nouvelle_session()
        if vivante and maintenant - tenue.vue_le >= sessions_tenues.SIGNE_DE_VIE:
            await sessions_tenues.voir(conn, session.numero, maintenant)
    return session._replace(canal=tenue.canal)


def _passee(tenue: sessions_tenues.Tenue, maintenant: datetime, dependances: Dependances) -> bool:
    depuis = maintenant - tenue.vue_le
    if tenue.canal is Canal.BMS:
        return depuis >= dependances.inactivite_borne
    return depuis > dependances.repos_de_session


async def ouvrir(
    reponse: Response,
    session: Session,
    canal: Canal,
    moyens: Moyens,
    *,
    chez_l_emetteur: tuple[str | None, str | None] = (None, None),
) -> None:
    """Pose une session neuve ; si elle nomme quelqu'un, la base la tient.

    `chez_l_emetteur` : le sujet et la session que l'émetteur a nommés, par lesquels il peut la finir.
    """
    sujet, sid = (empreinte_chez_l_emetteur(nom, moyens.dependances.secret_de_session) for nom in chez_l_emetteur)
    if session.role is not None:
        async with moyens.pool.connection() as conn:
            await sessions_tenues.ouvrir(
                conn,
                session.numero,
                role=session.role,
                assure=session.assure,
                canal=canal,
                maintenant=moyens.dependances.horloge(),
                chez_l_emetteur=(sujet, sid),
            )
    poser(reponse, session, moyens.dependances)


def empreinte_chez_l_emetteur(nom: str | None, secret: str) -> bytes | None:
    """Sous quoi la base connaît un sujet ou une session de l'émetteur : à clé, car un sujet peut nommer quelqu'un."""
    return hmac.digest(cle_pour("emetteur", secret), nom.encode(), "sha256") if nom else None


async def finir(requete: Request, fin: sessions_tenues.FinDeSession, moyens: Moyens) -> None:
    """Finit la session de cette requête, s'il y en a une."""
    session = lue(requete, moyens.dependances)
    if session is not None and session.role is not None:
        async with moyens.pool.connection() as conn:
            await sessions_tenues.finir(conn, session.numero, fin, moyens.dependances.horloge())


def lue(requete: Request, dependances: Dependances) -> Session | None:
    """Ce que dit le cookie, sans demander à la base s'il vaut encore."""
    return _lire(lire_cookie(requete, COOKIE, dependances), dependances)


def nommee(assure: str) -> Session:
    """Une session neuve pour cet assuré ; pour personne si ce n'est pas un pseudonyme."""
    try:
        return nouvelle_session(_PSEUDONYME.validate_python(assure))
    except ValidationError:
        return nouvelle_session()


def nouvelle_session(assure: str | None = None, role: RoleUtilisateur | None = None, personne: str = "") -> Session:
    """Une session neuve : changer d'identité change toujours de numéro, donc de jeton de formulaire."""
    numero = secrets.token_urlsafe(_OCTETS)
    return Session(numero, assure, RoleUtilisateur.ASSURE if assure else role, personne=personne)


def session_pour(identite: Identite) -> Session:
    """Une session neuve pour la personne que l'émetteur a reconnue."""
    session = nouvelle_session(identite.assure, identite.role, identite.personne)
    return session._replace(nom=identite.nom, derniere_connexion=identite.derniere_connexion)


def poser(reponse: Response, session: Session, dependances: Dependances) -> None:
    """Pose le cookie de la session, s'il ne vient pas de l'être ; il disparaît aussi avec le navigateur."""
    maintenant = int(dependances.horloge().timestamp())
    if 0 <= maintenant - session.posee_le < REPOSE_APRES_S:
        return
    qui = [session.personne, session.nom, session.derniere_connexion]
    contenu = json.dumps([session.numero, session.assure, session.role, session.ouverte_le or maintenant, *qui])
    scelle = coffre("session", *dependances.secrets_de_session).encrypt_at_time(contenu.encode(), maintenant)
    poser_cookie(reponse, COOKIE, scelle.decode(), dependances)


@lru_cache(maxsize=1024)
def marque_de_la_personne(personne: str, secret: str) -> str:
    """Ce qui distingue une personne d'une autre dans un même onglet, d'une session à l'autre, sans la nommer."""
    return hmac.digest(cle_pour("personne", secret), personne.encode(), "sha256").hex()[:16] if personne else ""


def jeton_de_formulaire(session: Session, dependances: Dependances) -> str:
    """Ce qu'un formulaire doit rapporter pour prouver qu'il vient de nos pages."""
    return _jeton_sous(session, dependances.secret_de_session)


@lru_cache(maxsize=4096)
def _jeton_sous_cle(numero: str, secret: str) -> str:
    return hmac.new(cle_pour("formulaire", secret), numero.encode(), hashlib.sha256).hexdigest()


def _jeton_sous(session: Session, secret: str) -> str:
    return _jeton_sous_cle(session.numero, secret)


def jeton_valable(session: Session, jeton: str, dependances: Dependances) -> bool:
    """Dit si le formulaire vient d'une page de cette session."""
    return any(
        hmac.compare_digest(_jeton_sous(session, secret).encode(), jeton.encode())
        for secret in dependances.secrets_de_session
    )


@lru_cache(maxsize=8)
def coffre(usage: str, *secrets_de_session: str) -> MultiFernet:
    """Ce qui chiffre et authentifie un cookie de cet usage : sous le premier secret ; il lit sous chacun."""
    return MultiFernet([Fernet(urlsafe_b64encode(cle_pour(usage, secret))) for secret in secrets_de_session])


def cle_pour(usage: str, secret: str) -> bytes:
    """Une clé propre à cet usage : le jeton d'un formulaire ne peut pas servir de cookie."""
    return hmac.new(secret.encode(), f"creances:{usage}".encode(), hashlib.sha256).digest()


def _lire(texte: str, dependances: Dependances) -> Session | None:
    if not 0 < len(texte) <= CARACTERES_MAX:
        return None
    try:
        session, posee_le = _ouvrir(texte, tuple(dependances.secrets_de_session))
    except (InvalidToken, ValueError, TypeError):
        return None
    maintenant = int(dependances.horloge().timestamp())
    repos_s = dependances.repos_de_session.total_seconds() + REPOSE_APRES_S
    if not -AVANCE_S <= maintenant - posee_le <= repos_s:
        return None
    return session if maintenant - session.ouverte_le <= dependances.duree_de_session.total_seconds() else None


# Ce qui est scellé ne change pas : chaque page d'une visite rapporte le même cookie. Le temps se juge à part.
@lru_cache(maxsize=4096)
def _ouvrir(texte: str, secrets_de_session: tuple[str, ...]) -> tuple[Session, int]:
    """La session que ce cookie porte, et quand il a été posé ; lève InvalidToken, ValueError ou TypeError."""
    boite = coffre("session", *secrets_de_session)
    posee_le = boite.extract_timestamp(texte)
    numero, assure, role, ouverte_le, *qui = json.loads(boite.decrypt(texte))
    session = Session(numero, assure, RoleUtilisateur(role) if role else None, ouverte_le)
    if qui:  # Un cookie posé avant que l'on garde qui est la personne n'en dit rien.
        session = session._replace(personne=qui[0], nom=qui[1], derniere_connexion=qui[2])
    try:
        coffre("session", secrets_de_session[0]).extract_timestamp(texte)
    except InvalidToken:  # Sous un secret que l'on quitte : à poser de nouveau.
        return session, posee_le
    return session._replace(posee_le=posee_le), posee_le
