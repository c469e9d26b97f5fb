"""Se connecter et se déconnecter : le code d'autorisation OIDC avec PKCE, et qui a le droit de voir une page.

Entre l'aller et le retour, l'état, le nonce et le vérifieur de PKCE tiennent dans un cookie chiffré de dix minutes, ôté
au premier retour : un retour rejoué, ou fabriqué ailleurs, n'a plus rien à quoi se comparer.
"""

import hmac
import json
import secrets
from datetime import timedelta
from functools import partial
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote

import anyio.to_thread
import structlog
from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.assure import session as sessions
from api.assure.canal import passage_de, poser_canal
from api.assure.rendu import message, page
from api.assure.saisie import FormulairePérimé
from api.client_oidc import ClientOIDC, ConnexionRefusée
from api.corps import lire_formulaire
from api.dependances import DeLApplication, Dépendances, Moyens
from api.emetteur import JetonInvalide, ÉmetteurInjoignable
from api.identite import Rôle
from api.problemes import REPRISE_S, Problème

COOKIE_D_ALLER: Final = "creances_connexion"
DURÉE_D_ALLER: Final = timedelta(minutes=10)
"""Temps laissé à la personne chez l'émetteur."""

SUITE_MAX: Final = 512
"""Longueur d'une adresse de suite, en signes."""

_OCTETS: Final = 32
_OCTETS_DE_VÉRIFIEUR: Final = 48
"""64 signes : entre les 43 et les 128 de la RFC 7636."""

routes = APIRouter(include_in_schema=False)


class Aller(NamedTuple):
    """Ce que le retour de l'émetteur doit retrouver."""

    état: str
    nonce: str
    vérifieur: str
    suite: str


@routes.get("/connexion")
async def se_connecter(
    requête: Request,
    moyens: DeLApplication,
    suite: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    """Mène chez l'émetteur ; `next` : la page à montrer ensuite, chez nous seulement."""
    dépendances = moyens.dépendances
    suite = suite_locale(suite)
    if dépendances.connexion is None:
        return RedirectResponse(suite, status_code=303) if dépendances.démo else par_le_compte()
    if sessions.session_de(requête, dépendances).rôle is not None:
        return RedirectResponse(suite, status_code=303)
    aller = Aller(
        secrets.token_urlsafe(_OCTETS),
        secrets.token_urlsafe(_OCTETS),
        secrets.token_urlsafe(_OCTETS_DE_VÉRIFIEUR),
        suite,
    )
    try:
        adresse = await anyio.to_thread.run_sync(
            dépendances.connexion.adresse_de_connexion, aller.état, aller.nonce, aller.vérifieur
        )
    except ÉmetteurInjoignable as panne:
        return _injoignable(panne)
    réponse = RedirectResponse(adresse, status_code=303, headers={"Cache-Control": "no-store"})
    _poser_aller(réponse, aller, dépendances)
    return réponse


@routes.get("/connexion/retour")
async def revenir_de_l_émetteur(
    requête: Request,
    moyens: DeLApplication,
    *,
    code: str = "",
    state: str = "",
    error: str | None = None,
    iss: str | None = None,
) -> Response:
    """Ouvre la session si la réponse de l'émetteur répond bien à notre demande."""
    dépendances = moyens.dépendances
    if dépendances.connexion is None:
        return par_le_compte()
    aller = _aller_de(requête, dépendances)
    if aller is None or not hmac.compare_digest(aller.état.encode(), state.encode()):
        structlog.get_logger().warning("connexion_sans_demande", cookie=aller is not None)
        réponse: Response = _interrompue("Cette réponse ne correspond à aucune demande de connexion en cours.", 400)
    elif error is not None or not code:
        structlog.get_logger().info("connexion_abandonnee")
        réponse = _interrompue("La connexion n'a pas abouti.", 401)
    else:
        réponse = await _identifier(dépendances.connexion, aller, code, iss, dépendances)
        # À la borne, le temps passé chez l'émetteur n'est pas de l'inactivité.
        poser_canal(réponse, passage_de(requête, dépendances).canal, dépendances)
    _ôter_aller(réponse, dépendances)
    return réponse


@routes.post("/deconnexion")
async def se_déconnecter(requête: Request, moyens: DeLApplication) -> Response:
    """Finit la session ici, puis chez l'émetteur s'il l'offre."""
    await formulaire(requête, moyens)
    dépendances, fin = moyens.dépendances, None
    if dépendances.connexion is not None:
        try:
            fin = await anyio.to_thread.run_sync(dépendances.connexion.adresse_de_fin)
        except ÉmetteurInjoignable as panne:  # La session d'ici finit quand même.
            structlog.get_logger().warning("emetteur_injoignable", cause=repr(panne.__cause__ or panne))
    réponse: Response = RedirectResponse("/", status_code=303)
    if dépendances.connexion is not None:
        # Une page, et non une redirection : `form-action` interdirait à un formulaire de mener hors d'ici.
        réponse = page("connexion-fin.html", {"fin": fin, "assuré": None, "jeton": ""})
    sessions.retirer(réponse, dépendances)
    return réponse


@routes.get("/deconnecte")
async def déconnecté() -> Response:
    """Où l'émetteur ramène une fois la session finie chez lui aussi."""
    return page("connexion-fin.html", {"fin": None, "assuré": None, "jeton": ""})


class AccèsRefusé(Exception):
    """Cette page n'est pas pour qui la demande ; `réponse` est ce qu'il reçoit."""

    def __init__(self, réponse: Response) -> None:
        """Retient la réponse."""
        super().__init__()
        self.réponse = réponse


async def session_d_assuré(requête: Request, moyens: DeLApplication) -> sessions.Session:
    """La session, si c'est celle d'un assuré ; lève AccèsRefusé : vers la connexion, 401, ou 403 à un autre rôle."""
    dépendances = moyens.dépendances
    session = sessions.session_de(requête, dépendances)
    if session.rôle is Rôle.ASSURÉ and session.assuré is not None:
        return session
    if session.rôle is not None:
        jeton = sessions.jeton_de_formulaire(session, dépendances)
        raise AccèsRefusé(page("connexion-refus.html", {"assuré": None, "jeton": jeton}, statut=403))
    # Seule une page que le navigateur ouvre mène ailleurs ; un formulaire ou un script reçoit 401.
    ouverte = requête.method == "GET" and requête.headers.get("sec-fetch-dest", "document") == "document"
    if not ouverte or dépendances.connexion is None:
        raise AccèsRefusé(par_le_compte())
    suite = requête.url.path + (f"?{requête.url.query}" if requête.url.query else "")
    raise AccèsRefusé(RedirectResponse(f"/connexion?next={quote(suite, safe='')}", status_code=303))


DAssuré = Annotated[sessions.Session, Depends(session_d_assuré)]
"""La session d'un assuré ; son pseudonyme n'y manque jamais."""


async def formulaire(requête: Request, moyens: Moyens) -> tuple[sessions.Session, list[tuple[str, str]]]:
    """La session et les champs d'un formulaire venu de nos pages ; lève Problème s'il vient d'ailleurs."""
    if requête.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Problème(403, FormulairePérimé.code, FormulairePérimé().phrase)
    try:
        champs = await lire_formulaire(requête)
    except ValueError:
        raise Problème(400, "formulaire_illisible", "Le formulaire est mal encodé.") from None
    session = sessions.session_de(requête, moyens.dépendances)
    if not sessions.jeton_valable(session, dict(champs).get("jeton", ""), moyens.dépendances):
        raise Problème(403, FormulairePérimé.code, FormulairePérimé().phrase)
    return session, champs


def suite_locale(suite: str) -> str:
    """Cette adresse si elle est chez nous, sinon l'accueil : se connecter ne mène jamais ailleurs."""
    lisible = len(suite) <= SUITE_MAX and suite.isascii() and suite.isprintable() and "\\" not in suite
    return suite if lisible and suite.startswith("/") and not suite.startswith("//") else "/"


async def _identifier(
    client: ClientOIDC, aller: Aller, code: str, iss: str | None, dépendances: Dépendances
) -> Response:
    try:
        identité = await anyio.to_thread.run_sync(partial(client.identifier, code, aller.vérifieur, aller.nonce, iss))
    except ÉmetteurInjoignable as panne:
        return _injoignable(panne)
    except ConnexionRefusée as refus:
        structlog.get_logger().warning("connexion_refusee", cause=repr(refus.__cause__))
        return _interrompue("Cette demande de connexion a déjà servi, ou a expiré.", 400)
    except JetonInvalide as refus:
        structlog.get_logger().warning("identite_refusee", cause=repr(refus.__cause__))
        return _interrompue("Votre identité n'a pas pu être vérifiée.", 403)
    session = sessions.nouvelle_session(identité.assuré, identité.rôle)
    réponse = RedirectResponse(aller.suite, status_code=303, headers={"Cache-Control": "no-store"})
    sessions.poser(réponse, session, dépendances)
    return réponse


def _poser_aller(réponse: Response, aller: Aller, dépendances: Dépendances) -> None:
    boîte = sessions.coffre("connexion", dépendances.secret_de_session)
    scellé = boîte.encrypt_at_time(json.dumps(aller).encode(), int(dépendances.horloge().timestamp()))
    sessions.poser_cookie(réponse, COOKIE_D_ALLER, scellé.decode(), dépendances)


def _ôter_aller(réponse: Response, dépendances: Dépendances) -> None:
    sessions.poser_cookie(réponse, COOKIE_D_ALLER, "", dépendances)


def _aller_de(requête: Request, dépendances: Dépendances) -> Aller | None:
    texte = requête.cookies.get(COOKIE_D_ALLER, "")
    boîte = sessions.coffre("connexion", dépendances.secret_de_session)
    durée_s, maintenant = int(DURÉE_D_ALLER.total_seconds()), int(dépendances.horloge().timestamp())
    try:
        return Aller(*json.loads(boîte.decrypt_at_time(texte, durée_s, maintenant)))
    except (InvalidToken, ValueError, TypeError):
        return None


def _injoignable(panne: ÉmetteurInjoignable) -> Response:
    structlog.get_logger().warning("emetteur_injoignable", cause=repr(panne.__cause__ or panne))
    phrase = "Le service de connexion ne répond pas : merci de recommencer dans quelques instants."
    réponse = message("Connexion momentanément impossible", phrase, 503)
    réponse.headers["Retry-After"] = str(REPRISE_S)
    return réponse


def _interrompue(phrase: str, statut: int) -> Response:
    return message("Connexion interrompue", f"{phrase} Merci de recommencer depuis l'accueil.", statut)


def par_le_compte() -> Response:
    """À qui ne peut pas se connecter ici : le chemin par son compte (401)."""
    phrase = (
        "Connectez-vous à votre compte ameli pour payer une créance : rubrique « Frais de santé », puis « Créance »."
    )
    return message("Connexion requise", phrase, 401)
