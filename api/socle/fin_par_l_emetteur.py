"""`/connexion/fin` : l'émetteur dit qu'une session est finie chez lui (OpenID Connect Back-Channel Logout 1.0)."""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.socle import sessions_tenues
from api.socle.corps import lire_formulaire
from api.socle.debits import GenreDeDebit, adresse_de
from api.socle.dependances import DeLApplication
from api.socle.identite import JetonInvalide
from api.socle.problemes import Probleme
from api.socle.session import empreinte_chez_l_emetteur
from engine.security_log import Kind

routes = APIRouter(include_in_schema=False)


@routes.post("/connexion/fin")
async def finir(requete: Request, moyens: DeLApplication) -> Response:
    """200 une fois les sessions finies (aucune : 200 aussi) ; 400 si le jeton n'est pas de l'émetteur."""
    connexion = moyens.dependances.connexion
    if connexion is None:
        raise Probleme(404, "introuvable", "Cette adresse n'existe pas.")
    # L'émetteur finit d'une adresse toutes les sessions, et ne redemande pas : comme à la banque, seul un refus compte.
    moyens.debits.exiger(GenreDeDebit.LECTURE, f"fin {adresse_de(requete)}")
    try:
        jeton = dict(await lire_formulaire(requete)).get("logout_token", "")
        demandee = await anyio.to_thread.run_sync(partial(connexion.lire_fin, jeton), limiter=connexion.emetteur.fils)
    except (JetonInvalide, ValueError):
        await moyens.consigne.refuser("fin de session refusée : jeton invalide", requete=requete)
        moyens.debits.exiger(GenreDeDebit.CONNEXION, adresse_de(requete))
        raise Probleme(400, "jeton_invalide", "Ce jeton de fin de session n'est pas valable.") from None
    finies, maintenant = 0, moyens.dependances.horloge()
    async with moyens.pool.connection() as conn:
        for secret in moyens.dependances.secrets_de_session:
            sujet, sid = (empreinte_chez_l_emetteur(nom, secret) for nom in (demandee.sujet, demandee.sid))
            finies += await sessions_tenues.finir_chez_l_emetteur(conn, sujet, sid, demandee.ouvertes_avant, maintenant)
    detail = f"{finies} session(s) finie(s) par l'émetteur"
    await moyens.consigne.noter(Kind.SIGN_OUT, "émetteur", detail, requete=requete)
    return Response(status_code=200)
