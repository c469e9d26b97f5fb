"""Payer autrement qu'en ligne, ou ne pas pouvoir payer : par qui, avec quelle référence, qui appeler."""

from itertools import groupby

from fastapi import APIRouter
from starlette.responses import Response

from api.assure.lecture import Raisons, attentes, fermes_parmi, lire_compte
from api.assure.visite import AssureConnecte
from api.socle.consignes import PAR_DEFAUT
from api.socle.route_directe import RouteDirecte

routes = APIRouter(include_in_schema=False, route_class=RouteDirecte)


@routes.get("/autres-moyens")
async def autres_moyens(visite: AssureConnecte) -> Response:
    """Chaque créance due, par caisse, avec la référence à donner."""
    par_caisse = visite.moyens.dependances.consignes
    creances, sans_fin, _ = await lire_compte(visite.moyens, visite.assure)
    dues = sorted(
        (ligne for ligne in creances if ligne.restant_du and not ligne.annulee),
        key=lambda ligne: (ligne.caisse, ligne.date_emission, ligne.reference),
    )
    caisses = [
        (caisse, par_caisse.get(caisse, PAR_DEFAUT), list(lignes))
        for caisse, lignes in groupby(dues, key=lambda ligne: ligne.caisse)
    ]
    politique = visite.moyens.dependances.guichet.politique
    maintenant = visite.moyens.dependances.horloge()
    fermes = await fermes_parmi(visite.moyens, sans_fin)
    raisons = Raisons(creances, politique, sans_fin, maintenant=maintenant, fermes=fermes)
    valeurs = {
        "attentes": attentes(sans_fin, fermes, visite.retours),
        "caisses": caisses,
        "en_ligne": any(raisons.invite(ligne) for ligne in dues),
        "en_verification": raisons.en_verification,
    }
    return visite.rendre("autres-moyens.html", valeurs)
