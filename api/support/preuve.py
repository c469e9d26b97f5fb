"""`/api/v1/support/creances/{reference}/preuve` : la preuve d'un solde, telle que chacun peut la vérifier sans nous.

La page `/support/creances/{reference}/preuve` la montre pas à pas. Chaque lecture est écrite.
"""

from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.socle.acces import Support
from api.socle.dependances import DeLApplication, Moyens
from api.socle.preuve_lue import fichier_de_preuve, temoins_de, valeurs_de
from api.socle.problemes import statut_de
from api.socle.schema import problemes
from api.support.acces import MotifDit, lecteur_de, sources
from api.support.consultation import GenreDeConsultation, Objet, lire_objet
from api.support.visite import RECHERCHE, Agent, AgentConnecte
from domain.refus import Refus
from guichet.acces import Lecteur, Motif, MotifIrrecevable, MotifRequis, lire_motif, noter_acces
from preuve.balance import NotYetSealed, assures_de, prove

routes = APIRouter(prefix="/api/v1/support", tags=["Support"])
pages = APIRouter(include_in_schema=False)


@routes.get(
    "/creances/{reference}/preuve",
    summary="La preuve d'un solde",
    responses=problemes(401, 403, 404, 409, 422) | {200: {"content": {"application/json": {}}}},
    response_class=Response,
)
async def de_la_creance(reference: str, identite: Support, moyens: DeLApplication, motif: MotifDit = None) -> Response:
    """Les faits de la créance, leur place dans l'arbre signé, le calcul : complet jusqu'à sa version, et rien de plus.

    `creances verify` et `preuve/verificateur.py` la vérifient, octet pour octet ; la lecture est elle-même écrite.
    """
    dit = lire_motif(motif)
    objet = lire_objet(GenreDeConsultation.CREANCE, reference)
    faite = await anyio.to_thread.run_sync(partial(_prouver, moyens, lecteur_de(identite), objet.nom, dit))
    return Response(faite, media_type="application/json")


@pages.get(RECHERCHE + "/creances/{nom}/preuve")
async def montrer(nom: str, agent: AgentConnecte) -> Response:
    """La preuve, pas à pas ; le navigateur la vérifie."""
    try:
        reference, faite = await _pour_un_agent(agent, nom)
    except (MotifRequis, MotifIrrecevable) as requis:
        page = f"{RECHERCHE}/creances/{nom}/preuve"
        demandee: dict[str, Any] = {"refus": requis, "page": page, "demandes": {}, "objet": _nomme(nom)}
        return agent.rendre("support-motif.html", demandee, statut=statut_de(type(requis)))
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=nom)
    valeurs = valeurs_de(faite, agent.moyens.dependances.preuve_reconnue)
    telecharger = agent.lien(f"{RECHERCHE}/creances/{reference}/preuve.json")
    return agent.rendre("support-preuve.html", valeurs | {"telecharger": telecharger, "en_retard": False})


@pages.get(RECHERCHE + "/creances/{nom}/preuve.json")
async def emporter(nom: str, agent: AgentConnecte) -> Response:
    """La même, à garder."""
    try:
        reference, faite = await _pour_un_agent(agent, nom)
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=nom)
    return agent.visite.prolonger(fichier_de_preuve(reference, faite))


async def _pour_un_agent(agent: Agent, nom: str) -> tuple[str, bytes]:
    reference = _nomme(nom).nom
    faite = await anyio.to_thread.run_sync(partial(_prouver, agent.moyens, agent.lecteur, reference, agent.motif))
    return reference, faite


def _nomme(nom: str) -> Objet:
    return lire_objet(GenreDeConsultation.CREANCE, nom)


def _prouver(moyens: Moyens, lecteur: Lecteur, reference: str, motif: Motif) -> bytes:
    sel = moyens.dependances.sel_de_preuve
    base, _ = sources(moyens)
    with base.transaction() as conn:
        assures = assures_de(conn, reference)
        noter_acces(conn, lecteur, quoi="preuve", objet=f"creance-{reference}", assures=assures, motif=motif)
    if sel is None:
        raise NotYetSealed
    with base.transaction() as conn:
        return prove(conn, sel, reference, witnesses=temoins_de(moyens.dependances.preuve_reconnue))
