"""La porte d'entrée de la démonstration : choisir qui l'on est, et d'où l'on vient."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.socle import session as sessions
from api.socle.canal import passage_de, poser_canal
from api.socle.debits import GenreDeDebit, adresse_de
from api.socle.dependances import DeLApplication, Moyens
from api.socle.formulaire import formulaire
from api.socle.identite import RoleUtilisateur
from api.socle.rendu import page
from api.socle.suite import suite_locale
from api.socle.visite import AccesRefuse, cadre, par_le_compte
from domain.avis import Canal
from engine.security_log import Kind
from projections.vues.restant_du import LigneCreance, exemples

EXEMPLES_LUS: Final = 60
ASSURES_MONTRES: Final = 8

routes = APIRouter(include_in_schema=False)


async def page_de_choix(
    requete: Request, moyens: Moyens, suite: str = "/", *, inconnu: str | None = None, statut: int = 200
) -> Response:
    """Quelques assurés de la démonstration, avec leurs références ; `suite` : où mener ensuite.

    `inconnu` : le pseudonyme tapé, qui n'est celui de personne.
    """
    dependances = moyens.dependances
    async with moyens.pool.connection() as conn:
        lignes = await exemples(conn, dependances.guichet.politique.minimum_par_paiement, EXEMPLES_LUS)
    par_assure: dict[str, list[LigneCreance]] = {}
    for ligne in lignes:
        par_assure.setdefault(ligne.assure, []).append(ligne)
    # Ceux qui ont plusieurs créances d'abord : ce sont eux qui montrent les cases à cocher.
    choix = sorted(par_assure.items(), key=lambda paire: -len(paire[1]))[:ASSURES_MONTRES]
    session = sessions.nouvelle_session()
    passage = passage_de(requete, dependances)
    valeurs: dict[str, Any] = {"choix": choix, "suite": suite, "inconnu": inconnu}
    valeurs |= cadre(moyens, session, passage) | {"inactivite_s": None}
    reponse = page("choix.html", valeurs, statut=statut)
    sessions.poser(reponse, session, dependances)
    return reponse


AGENTS: Final = {
    "claire": RoleUtilisateur.SUPPORT,
    "paul": RoleUtilisateur.SUPPORT,
    "aline": RoleUtilisateur.AUDIT,
    "emile": RoleUtilisateur.EXPLOITATION,
}
"""Les agents fictifs : deux au support, car l'argent ne bouge qu'à deux, une auditrice, un exploitant."""


@routes.post("/demonstration/agent")
async def choisir_un_agent(requete: Request, moyens: DeLApplication) -> Response:
    """La personne est un agent de la démonstration."""
    if not moyens.dependances.demo:
        raise AccesRefuse(par_le_compte())
    moyens.debits.exiger(GenreDeDebit.CONNEXION, adresse_de(requete))
    _, champs = await formulaire(requete, moyens)
    dits = dict(champs)
    nom, suite = dits.get("agent", ""), suite_locale(dits.get("suite", "/"))
    accueil = AGENTS[nom].accueil if nom in AGENTS else "/"
    reponse = RedirectResponse(suite if suite.startswith(accueil) else accueil, status_code=303)
    if nom in AGENTS:
        session = sessions.nouvelle_session(None, AGENTS[nom], nom)
        await sessions.finir(requete, "deconnexion", moyens)
        await sessions.ouvrir(reponse, session, Canal.WEB, moyens)
        await moyens.consigne.noter(Kind.SIGN_IN, nom, "choix de la démonstration", requete=requete)
    return reponse


@routes.post("/demonstration/assure")
async def choisir(requete: Request, moyens: DeLApplication) -> Response:
    """La personne dit qui elle est ; la session change de numéro."""
    if not moyens.dependances.demo:
        raise AccesRefuse(par_le_compte())
    moyens.debits.exiger(GenreDeDebit.CONNEXION, adresse_de(requete))
    _, champs = await formulaire(requete, moyens)
    tape = dict(champs).get("assure", "").strip()
    session, suite = sessions.nommee(tape), suite_locale(dict(champs).get("suite", "/"))
    if session.assure is None:
        return await page_de_choix(requete, moyens, suite, inconnu=tape, statut=422)
    reponse = RedirectResponse(suite, status_code=303)
    canal = passage_de(requete, moyens.dependances).canal
    await sessions.finir(requete, "deconnexion", moyens)
    await sessions.ouvrir(reponse, session, canal, moyens)
    if session.assure is not None:
        await moyens.consigne.noter(Kind.SIGN_IN, session.assure, "choix de la démonstration", requete=requete)
    poser_canal(reponse, canal, moyens.dependances)
    return reponse
