"""La porte d'entrée de la démonstration : choisir qui l'on est, et d'où l'on vient."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.assure import session as sessions
from api.assure.canal import passage_de, poser_canal
from api.assure.connexion import AccèsRefusé, formulaire, par_le_compte
from api.assure.rendu import page
from api.assure.visite import cadre
from api.dependances import DeLApplication, Moyens
from projections.restant_du import LigneCréance, exemples

EXEMPLES_LUS: Final = 60
ASSURÉS_MONTRÉS: Final = 8

routes = APIRouter(include_in_schema=False)


async def page_de_choix(requête: Request, moyens: Moyens) -> Response:
    """Quelques assurés de la démonstration, avec leurs références."""
    dépendances = moyens.dépendances
    async with moyens.pool.connection() as conn:
        lignes = await exemples(conn, dépendances.guichet.politique.minimum_par_paiement, EXEMPLES_LUS)
    par_assuré: dict[str, list[LigneCréance]] = {}
    for ligne in lignes:
        par_assuré.setdefault(ligne.assuré, []).append(ligne)
    # Ceux qui ont plusieurs créances d'abord : ce sont eux qui montrent les cases à cocher.
    choix = sorted(par_assuré.items(), key=lambda paire: -len(paire[1]))[:ASSURÉS_MONTRÉS]
    session = sessions.nouvelle_session()
    passage = passage_de(requête, dépendances)
    valeurs: dict[str, Any] = {"choix": choix} | cadre(moyens, session, passage) | {"inactivité_s": None}
    réponse = page("choix.html", valeurs)
    sessions.poser(réponse, session, dépendances)
    return réponse


@routes.post("/demonstration/assure")
async def choisir(requête: Request, moyens: DeLApplication) -> Response:
    """La personne dit qui elle est ; la session change de numéro."""
    if not moyens.dépendances.démo:
        raise AccèsRefusé(par_le_compte())
    _, champs = await formulaire(requête, moyens)
    réponse = RedirectResponse("/", status_code=303)
    sessions.poser(réponse, sessions.nommée(dict(champs).get("assure", "")), moyens.dépendances)
    poser_canal(réponse, passage_de(requête, moyens.dépendances).canal, moyens.dépendances)
    return réponse
