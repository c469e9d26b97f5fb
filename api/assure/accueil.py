"""L'accueil du compte : l'issue du dernier paiement, les derniers paiements, le chemin vers « Créance »."""

from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.canal import lire_canal, poser_canal
from api.assure.connexion_demo import page_de_choix
from api.assure.lecture import en_cours, est_consultable, lire_compte, repris_possible, à_suivre
from api.assure.messagerie import courrier_de
from api.assure.session import session_de
from api.assure.visite import DUnAssuré, Visite, visite_de
from api.dependances import DeLApplication
from projections.paiements import LignePaiement

PAIEMENTS_MONTRÉS: Final = 5
ISSUE_MONTRÉE: Final = timedelta(hours=24)
"""L'issue d'un paiement reste en tête de l'accueil le temps du délai d'affichage."""

routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def accueil(requête: Request, moyens: DeLApplication, canal: str | None = None) -> Response:
    """L'accueil ; `canal` : d'où l'on vient, retenu puis ôté de l'adresse. Sans session, la porte d'entrée."""
    if canal is not None and (lu := lire_canal(canal)):
        réponse = Response(status_code=303, headers={"Location": "/"})
        poser_canal(réponse, lu, moyens.dépendances)
        return réponse
    if moyens.dépendances.démo and session_de(requête, moyens.dépendances).assuré is None:
        return await page_de_choix(requête, moyens)
    visite = await visite_de(requête, moyens)
    return visite.rendre("accueil.html", await _valeurs(visite))


@routes.get("/accueil/suivi")
async def suivre(visite: DUnAssuré) -> Response:
    """La part de l'accueil que les paiements font changer."""
    return visite.rendre_fragment("_compte.html", await _valeurs(visite))


async def _valeurs(visite: Visite) -> dict[str, Any]:
    créances, paiements = await lire_compte(visite.moyens, visite.assuré)
    maintenant = visite.moyens.dépendances.horloge()
    politique = visite.moyens.dépendances.guichet.politique
    ouvertes = [ligne for ligne in créances if est_consultable(ligne) and ligne.restant_dû]
    return {
        "courrier": await courrier_de(visite.moyens, visite.assuré),
        "issue": dernière_issue(paiements, maintenant),
        "à_reprendre": [p for p in en_cours(paiements) if repris_possible(p, maintenant)],
        "sans_réponse": [p for p in en_cours(paiements) if not repris_possible(p, maintenant)],
        "paiements": paiements[:PAIEMENTS_MONTRÉS],
        "dues": sum(ligne.restant_dû >= politique.minimum_par_paiement for ligne in ouvertes),
        "restant_total": sum(ligne.restant_dû for ligne in ouvertes),
        "suivre": any(à_suivre(paiement) for paiement in paiements),
    }


def dernière_issue(paiements: list[LignePaiement], maintenant: datetime) -> LignePaiement | None:
    """Le dernier paiement conclu, s'il l'est depuis peu et si rien n'est en cours depuis."""
    dernier = next(iter(paiements), None)
    if dernier is None or dernier.conclu_le is None or maintenant - dernier.conclu_le > ISSUE_MONTRÉE:
        return None
    return dernier
