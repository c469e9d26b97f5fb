"""Les pages de l'assuré : chercher une créance, la payer au kiosque, voir où en est le paiement."""

from functools import partial
from typing import Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.assure import session as sessions
from api.assure.accueil import page_de_choix, page_de_recherche
from api.assure.connexion import formulaire, session_d_assuré
from api.assure.lecture import est_consultable, repris_possible, état_du_paiement
from api.assure.rendu import message, page
from api.assure.saisie import demande_de, lire_saisie
from api.dependances import DeLApplication, Moyens
from domain.references import TRANSACTION
from domain.refus import PaiementClos, PaiementInconnu, Refus
from guichet.ouvrir_paiement import ouvrir_paiement
from guichet.reprendre_paiement import reprendre_paiement
from projections.restant_du import créances_de

RAFRAÎCHIR_S: Final = 3
"""Intervalle entre deux regards sur un paiement en cours (secondes)."""

routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def accueil(requête: Request, moyens: DeLApplication, reference: str | None = None) -> Response:
    """L'accueil : qui l'on est (démonstration), puis la recherche d'une référence."""
    session = sessions.session_de(requête, moyens.dépendances)
    if moyens.dépendances.démo and session.assuré is None:
        return await page_de_choix(moyens, session)
    session = await session_d_assuré(requête, moyens)
    return await page_de_recherche(moyens, session, str(session.assuré), reference)


@routes.post("/demonstration/assure")
async def choisir(requête: Request, moyens: DeLApplication) -> Response:
    """La personne dit qui elle est, ou se retire (`assure` vide) ; la session change."""
    session, champs = await _formulaire(requête, moyens)
    if session is None or not moyens.dépendances.démo:
        return _connexion_requise()
    réponse = RedirectResponse("/", status_code=303)
    sessions.poser(réponse, sessions.nommée(dict(champs).get("assure", "")), moyens.dépendances)
    return réponse


@routes.post("/payer")
async def payer(requête: Request, moyens: DeLApplication) -> Response:
    """Ouvre le paiement et mène au kiosque ; un refus remontre la page, avec sa phrase et la saisie."""
    session, champs = await _formulaire(requête, moyens)
    if session is None:
        return _connexion_requise()
    session = await session_d_assuré(requête, moyens)
    assuré = str(session.assuré)
    saisie = lire_saisie(champs)
    try:
        demande = demande_de(saisie, assuré)
        maintenant = moyens.dépendances.horloge()
        ouvert = await anyio.to_thread.run_sync(
            partial(ouvrir_paiement, moyens.dépendances.guichet, demande, maintenant)
        )
    except Refus as refus:
        return await page_de_recherche(
            moyens, session, str(session.assuré), saisie.cherchée, refus=refus, saisie=saisie
        )
    return RedirectResponse(f"/paiements/{ouvert['transaction']}/kiosque", status_code=303)


@routes.get("/paiements/{transaction}/kiosque")
async def partir_au_kiosque(transaction: str, requête: Request, moyens: DeLApplication) -> Response:
    """Le formulaire scellé, et le bouton qui mène au kiosque ; un paiement clos mène à son état."""
    assuré = _assuré(requête, moyens)
    if assuré is None:
        return _connexion_requise()
    if not TRANSACTION.fullmatch(transaction):
        return _paiement_inconnu()
    guichet, maintenant = moyens.dépendances.guichet, moyens.dépendances.horloge()
    try:
        ouvert = await anyio.to_thread.run_sync(partial(reprendre_paiement, guichet, assuré, transaction, maintenant))
    except PaiementInconnu:
        return _paiement_inconnu()
    except PaiementClos:
        return RedirectResponse(f"/paiements/{transaction}", status_code=303)
    fin = (await état_du_paiement(moyens, assuré, transaction)).expire_le
    valeurs = {"paiement": ouvert, "expire_le": fin, **_cadre(requête, moyens)}
    return page("kiosque.html", valeurs, vers=ouvert["kiosque"]["url"])


@routes.get("/paiements/{transaction}")
async def état(transaction: str, requête: Request, moyens: DeLApplication) -> Response:
    """Où en est le paiement, et les montants restants dus."""
    assuré = _assuré(requête, moyens)
    if assuré is None:
        return _connexion_requise()
    try:
        paiement = await état_du_paiement(moyens, assuré, transaction)
    except PaiementInconnu:
        return _paiement_inconnu()
    async with moyens.pool.connection() as conn:
        lignes = await créances_de(conn, assuré)
    attendu = paiement.statut == "en_cours" or (paiement.statut == "accepte" and paiement.affiché_le is None)
    valeurs = {
        "paiement": paiement,
        "reprise": repris_possible(paiement, moyens.dépendances.horloge()),
        "lignes": [ligne for ligne in lignes if est_consultable(ligne)],
        "rafraîchir_s": RAFRAÎCHIR_S if attendu else None,
        **_cadre(requête, moyens),
    }
    return page("paiement.html", valeurs)


async def _formulaire(requête: Request, moyens: Moyens) -> tuple[sessions.Session | None, list[tuple[str, str]]]:
    """Les champs d'un formulaire venu de nos pages ; pas de session si l'on ne peut pas se connecter. Lève Problème."""
    if not (moyens.dépendances.démo or moyens.dépendances.connexion):
        return None, []
    return await formulaire(requête, moyens)


def _assuré(requête: Request, moyens: Moyens) -> str | None:
    return sessions.session_de(requête, moyens.dépendances).assuré


def _cadre(requête: Request, moyens: Moyens) -> dict[str, str | None]:
    session = sessions.session_de(requête, moyens.dépendances)
    jeton = sessions.jeton_de_formulaire(session, moyens.dépendances)
    return {"assuré": session.assuré, "jeton": jeton}


def _connexion_requise() -> Response:
    phrase = (
        "Connectez-vous à votre compte ameli pour payer une créance : rubrique « Frais de santé », puis « Créance »."
    )
    return message("Connexion requise", phrase, 401)


def _paiement_inconnu() -> Response:
    return message("Paiement introuvable", PaiementInconnu().phrase, 404)
