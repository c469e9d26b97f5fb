"""Ce que sont une participation forfaitaire, une franchise, une créance ; pourquoi 16 à 50 euros ; ce qui suit."""

from fastapi import APIRouter
from starlette.responses import Response

from api.assure.visite import AssureConnecte
from api.socle.route_directe import RouteDirecte

routes = APIRouter(include_in_schema=False, route_class=RouteDirecte)


@routes.get("/comprendre")
async def comprendre(visite: AssureConnecte) -> Response:
    """La page d'explications ; ses bornes et ses délais sont ceux de la politique."""
    politique = visite.moyens.dependances.guichet.politique
    minutes = int(politique.ouverture.total_seconds()) // 60
    heures = int(politique.delai_affichage.total_seconds()) // 3600
    return visite.rendre("comprendre.html", {"politique": politique, "minutes": minutes, "heures": heures})
