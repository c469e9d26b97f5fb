"""L'accueil du compte : l'issue du dernier paiement, les derniers paiements, le chemin vers « Créance »."""

from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.lecture import (
    SANS_FIN,
    Raisons,
    a_suivre,
    attentes,
    fermes_parmi,
    lire_compte,
    payables_en_ligne,
)
from api.assure.messagerie import courrier_de
from api.assure.reprises import reprises_de
from api.assure.visite import AssureConnecte, visite_de
from api.socle.canal import lire_canal
from api.socle.connexion_demo import page_de_choix
from api.socle.dependances import DeLApplication
from api.socle.session import session_de
from api.socle.visite import Visite, venir_de
from projections.vues.paiements import LignePaiement

PAIEMENTS_MONTRES: Final = 5
ISSUE_MONTREE: Final = timedelta(hours=24)
"""L'issue d'un paiement reste en tête de l'accueil le temps du délai d'affichage."""
routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def accueil(requete: Request, moyens: DeLApplication, canal: str | None = None) -> Response:
    """L'accueil ; `canal` : d'où l'on vient, retenu puis ôté de l'adresse. Sans session, la porte d'entrée."""
    if canal is not None and (lu := lire_canal(canal)):
        reponse = Response(status_code=303, headers={"Location": "/"})
        await venir_de(requete, reponse, lu, moyens)
        return reponse
    session = await session_de(requete, moyens)
    if moyens.dependances.demo and session.role is None:
        return await page_de_choix(requete, moyens)
    visite = await visite_de(requete)
    return visite.rendre("accueil.html", await _valeurs(visite))


@routes.get("/accueil/suivi")
async def suivre(visite: AssureConnecte) -> Response:
    """La part de l'accueil que les paiements font changer."""
    return visite.rendre_fragment("_compte.html", await _valeurs(visite))


async def _valeurs(visite: Visite) -> dict[str, Any]:
    lu = await lire_compte(visite.moyens, visite.assure)
    creances, sans_fin, paiements = lu
    maintenant = visite.moyens.dependances.horloge()
    politique = visite.moyens.dependances.guichet.politique
    dues = [ligne for ligne in creances if ligne.restant_du and not ligne.annulee]
    en_ligne = payables_en_ligne(dues, creances, politique)
    restant_en_ligne = sum(ligne.restant_du for ligne in en_ligne)
    fermes = await fermes_parmi(visite.moyens, sans_fin)
    raisons = Raisons(creances, politique, sans_fin, maintenant=maintenant, fermes=fermes)
    return {
        "courrier": await courrier_de(visite.moyens, visite.assure),
        "issue": derniere_issue(paiements, sans_fin, maintenant),
        "attentes": attentes(sans_fin, fermes, visite.retours),
        "invite": any(raisons.invite(ligne) for ligne in en_ligne),
        "paiements": paiements[:PAIEMENTS_MONTRES],
        "repris": await reprises_de(visite.moyens, lu),
        "dues": len(en_ligne),
        "restant_total": restant_en_ligne,
        "hors_ligne": len(dues) - len(en_ligne),
        "restant_hors_ligne": sum(ligne.restant_du for ligne in dues) - restant_en_ligne,
        "sans_avis": not creances,
        "suivre": any(a_suivre(paiement) for paiement in paiements),
    }


def derniere_issue(
    paiements: list[LignePaiement], sans_fin: list[LignePaiement], maintenant: datetime
) -> LignePaiement | None:
    """Le dernier paiement conclu, s'il l'est depuis peu et si rien n'est en cours depuis.

    Un paiement en vérification est conclu pour le journal, pas pour la personne : il n'a pas échoué.
    """
    dernier = next(iter(paiements), None)
    if dernier is None or dernier.conclu_le is None or dernier.statut in SANS_FIN:
        return None
    if dernier.accepte_le is None and any(un.transaction == dernier.transaction for un in sans_fin):
        return None
    if maintenant - dernier.conclu_le > ISSUE_MONTREE:
        return None
    return dernier
