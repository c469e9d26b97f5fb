"""Se connecter et se déconnecter : le code d'autorisation OIDC avec PKCE.

Entre l'aller et le retour, l'état, le nonce et le vérifieur de PKCE tiennent dans un cookie chiffré de dix minutes, ôté
au premier retour : un retour rejoué, ou fabriqué ailleurs, n'a plus rien à quoi se comparer.
"""

import hmac
import json
import secrets
from datetime import timedelta
from functools import partial
from typing import Annotated, Final, NamedTuple

import anyio.to_thread
import structlog
from cryptography.fernet import InvalidToken
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.socle import session as sessions
from api.socle import sessions_tenues
from api.socle.canal import passage_de, poser_canal
from api.socle.client_oidc import ClientOIDC, ConnexionRefusee
from api.socle.connexion_demo import page_de_choix
from api.socle.cookies import lire_cookie, oublier, poser_cookie
from api.socle.debits import GenreDeDebit, adresse_de
from api.socle.dependances import DeLApplication, Dependances, Moyens
from api.socle.emetteur import EmetteurInjoignable, JetonInvalide
from api.socle.formulaire import JetonPerime, formulaire
from api.socle.problemes import REPRISE_S
from api.socle.rendu import message, page
from api.socle.suite import suite_locale
from api.socle.visite import par_le_compte
from domain.avis import Canal
from engine.security_log import Kind

COOKIE_D_ALLER: Final = "creances_connexion"
DUREE_D_ALLER: Final = timedelta(minutes=10)
"""Temps laissé à la personne chez l'émetteur."""

_OCTETS: Final = 32
_OCTETS_DE_VERIFIEUR: Final = 48
"""64 signes : entre les 43 et les 128 de la RFC 7636."""

routes = APIRouter(include_in_schema=False)


class Aller(NamedTuple):
    """Ce que le retour de l'émetteur doit retrouver."""

    etat: str
    nonce: str
    verifieur: str
    suite: str


@routes.get("/connexion")
async def se_connecter(
    requete: Request,
    moyens: DeLApplication,
    suite: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    """Mène chez l'émetteur ; `next` : la page à montrer ensuite, chez nous seulement."""
    dependances = moyens.dependances
    moyens.debits.exiger(GenreDeDebit.CONNEXION, adresse_de(requete))
    suite = suite_locale(suite)
    if not dependances.connectable:
        return par_le_compte()
    if (await sessions.session_de(requete, moyens)).role is not None:
        return RedirectResponse(suite, status_code=303)
    if dependances.connexion is None:
        return await page_de_choix(requete, moyens, suite)
    aller = Aller(
        secrets.token_urlsafe(_OCTETS),
        secrets.token_urlsafe(_OCTETS),
        secrets.token_urlsafe(_OCTETS_DE_VERIFIEUR),
        suite,
    )
    try:
        adresse = await anyio.to_thread.run_sync(
            dependances.connexion.adresse_de_connexion,
            aller.etat,
            aller.nonce,
            aller.verifieur,
            limiter=dependances.connexion.emetteur.fils,
        )
    except EmetteurInjoignable as panne:
        return _injoignable(panne, moyens)
    reponse = RedirectResponse(adresse, status_code=303)
    _poser_aller(reponse, aller, dependances)
    return reponse


@routes.get("/connexion/retour")
async def revenir_de_l_emetteur(
    requete: Request,
    moyens: DeLApplication,
    *,
    code: str = "",
    state: str = "",
    error: str | None = None,
    iss: str | None = None,
) -> Response:
    """Ouvre la session si la réponse de l'émetteur répond bien à notre demande."""
    dependances = moyens.dependances
    if dependances.connexion is None:
        return par_le_compte()
    moyens.debits.exiger(GenreDeDebit.CONNEXION, adresse_de(requete))
    aller = _aller_de(requete, dependances)
    if aller is None or not hmac.compare_digest(aller.etat.encode(), state.encode()):
        if (fois := moyens.redites.fois(("connexion_sans_demande", str(aller is not None)))) is not None:
            structlog.get_logger().warning("connexion_sans_demande", cookie=aller is not None, fois=fois)
        await moyens.consigne.refuser("retour de connexion qui ne répond à aucune demande", requete=requete)
        reponse: Response = _interrompue("Cette réponse ne correspond à aucune demande de connexion en cours.", 400)
    elif error is not None or not code:
        if (fois := moyens.redites.fois(("connexion_abandonnee", ""))) is not None:
            structlog.get_logger().info("connexion_abandonnee", fois=fois)
        reponse = _interrompue("La connexion n'a pas abouti.", 401)
    else:
        canal = passage_de(requete, dependances).canal
        reponse = await _identifier(requete, dependances.connexion, aller, code, iss, canal=canal, moyens=moyens)
        # À la borne, le temps passé chez l'émetteur n'est pas de l'inactivité.
        poser_canal(reponse, canal, dependances)
    _oter_aller(reponse, dependances)
    return reponse


@routes.post("/deconnexion")
async def se_deconnecter(requete: Request, moyens: DeLApplication) -> Response:
    """Finit la session ici, puis chez l'émetteur s'il l'offre ; déjà finie, elle l'est comme la personne le veut."""
    # Comptée à l'adresse : qui a une copie du cookie ne doit pas pouvoir empêcher de finir sa session.
    moyens.debits.exiger(GenreDeDebit.CONNEXION, f"fin {adresse_de(requete)}")
    try:
        await formulaire(requete, moyens, bornee=False)
    except JetonPerime:
        if (await sessions.session_de(requete, moyens, bornee=False)).role is not None:
            raise
    tenue = sessions.lue(requete, moyens.dependances)
    await sessions.finir(requete, "deconnexion", moyens)
    if tenue is not None and tenue.role is not None:
        acteur, objet = tenue.acteur, sessions_tenues.nom_de(tenue.numero)
        await moyens.consigne.noter(Kind.SIGN_OUT, acteur, "déconnexion", requete=requete, objet=objet)
    dependances, fin = moyens.dependances, None
    if dependances.connexion is not None:
        try:
            fin = await anyio.to_thread.run_sync(
                dependances.connexion.adresse_de_fin, limiter=dependances.connexion.emetteur.fils
            )
        except EmetteurInjoignable as panne:  # La session d'ici finit quand même.
            _dire("emetteur_injoignable", panne.__cause__ or panne, moyens)
    reponse: Response = RedirectResponse("/", status_code=303)
    if dependances.connexion is not None:
        # Une page, et non une redirection : `form-action` interdirait à un formulaire de mener hors d'ici.
        reponse = page("connexion-fin.html", {"fin": fin, "assure": None, "jeton": ""})
    # Le canal reste, et la mémoire des retours scellés : elle évite à la personne de payer une seconde fois.
    oublier(reponse, dependances, sessions.COOKIE)
    return reponse


@routes.get("/deconnecte")
async def deconnecte() -> Response:
    """Où l'émetteur ramène une fois la session finie chez lui aussi."""
    return page("connexion-fin.html", {"fin": None, "assure": None, "jeton": ""})


async def _identifier(
    requete: Request, client: ClientOIDC, aller: Aller, code: str, iss: str | None, *, canal: Canal, moyens: Moyens
) -> Response:
    try:
        identite = await anyio.to_thread.run_sync(
            partial(client.identifier, code, aller.verifieur, aller.nonce, iss), limiter=client.emetteur.fils
        )
    except EmetteurInjoignable as panne:
        return _injoignable(panne, moyens)
    except ConnexionRefusee as refus:
        _dire("connexion_refusee", refus.__cause__, moyens)
        await moyens.consigne.refuser("connexion refusée par l'émetteur", requete=requete)
        return _interrompue("Cette demande de connexion a déjà servi, ou a expiré.", 400)
    except JetonInvalide as refus:
        _dire("identite_refusee", refus.__cause__, moyens)
        await moyens.consigne.refuser("identité refusée", requete=requete)
        return _interrompue("Votre identité n'a pas pu être vérifiée.", 403)
    session = sessions.session_pour(identite)
    suite = identite.role.accueil if aller.suite == "/" else aller.suite
    reponse = RedirectResponse(suite, status_code=303)
    # Celle que ce navigateur tenait, d'elle ou d'un autre, ne survit pas dans une copie de son cookie.
    await sessions.finir(requete, "deconnexion", moyens)
    await sessions.ouvrir(reponse, session, canal, moyens, chez_l_emetteur=(identite.sujet, identite.sid))
    objet = sessions_tenues.nom_de(session.numero)
    await moyens.consigne.noter(Kind.SIGN_IN, identite.acteur, "connexion aux pages", requete=requete, objet=objet)
    return reponse


def _poser_aller(reponse: Response, aller: Aller, dependances: Dependances) -> None:
    boite = sessions.coffre("connexion", *dependances.secrets_de_session)
    scelle = boite.encrypt_at_time(json.dumps(aller).encode(), int(dependances.horloge().timestamp()))
    poser_cookie(reponse, COOKIE_D_ALLER, scelle.decode(), dependances)


def _oter_aller(reponse: Response, dependances: Dependances) -> None:
    poser_cookie(reponse, COOKIE_D_ALLER, "", dependances)


def _aller_de(requete: Request, dependances: Dependances) -> Aller | None:
    texte = lire_cookie(requete, COOKIE_D_ALLER, dependances)
    boite = sessions.coffre("connexion", *dependances.secrets_de_session)
    duree_s, maintenant = int(DUREE_D_ALLER.total_seconds()), int(dependances.horloge().timestamp())
    try:
        return Aller(*json.loads(boite.decrypt_at_time(texte, duree_s, maintenant)))
    except (InvalidToken, ValueError, TypeError):
        return None


def _dire(evenement: str, cause: BaseException | None, moyens: Moyens) -> None:
    """Ce que n'importe qui peut provoquer se dit une fois par période, avec son nombre."""
    if (fois := moyens.redites.fois((evenement, type(cause).__name__))) is not None:
        structlog.get_logger().warning(evenement, cause=repr(cause), fois=fois)


def _injoignable(panne: EmetteurInjoignable, moyens: Moyens) -> Response:
    _dire("emetteur_injoignable", panne.__cause__ or panne, moyens)
    phrase = "Le service de connexion ne répond pas : merci de recommencer dans quelques instants."
    reponse = message("Connexion momentanément impossible", phrase, 503)
    reponse.headers["Retry-After"] = str(REPRISE_S)
    return reponse


def _interrompue(phrase: str, statut: int) -> Response:
    return message("Connexion interrompue", f"{phrase} Merci de recommencer depuis l'accueil.", statut)
