"""La borne : une session vit tant que la personne est là, et ne laisse rien quand elle part."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.visite import AssureConnecte
from api.socle.canal import COOKIE, passage_de
from api.socle.cookies import tout_oublier
from api.socle.dependances import DeLApplication
from api.socle.rendu import page
from api.socle.session import COOKIE as COOKIE_DE_SESSION
from api.socle.session import finir
from api.socle.visite import champs_de
from domain.avis import Canal

routes = APIRouter(include_in_schema=False)


@routes.get("/inactivite")
async def clore(requete: Request, moyens: DeLApplication) -> Response:
    """Clôt la session laissée à la borne ; ailleurs, où une session ne se clôt pas ainsi, mène à l'accueil."""
    if passage_de(requete, moyens.dependances).canal is not Canal.BMS:
        return Response(status_code=303, headers={"Location": "/"})
    reponse = page("inactivite.html", {"canal": Canal.BMS.value})
    await finir(requete, "inactivite", moyens)
    tout_oublier(reponse, moyens.dependances, COOKIE, COOKIE_DE_SESSION)
    return reponse


@routes.post("/presence")
async def rester(requete: Request, visite: AssureConnecte) -> Response:
    """La personne est toujours là : la session est prolongée."""
    await champs_de(requete, visite)
    return visite.prolonger(Response(status_code=204))
