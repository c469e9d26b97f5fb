"""La visite d'un assuré : ce que ses pages demandent."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

from fastapi import Depends
from psycopg import AsyncConnection
from starlette.requests import Request

from api.assure.lecture import PAIEMENTS_RECENTS
from api.socle.canal import passage_de
from api.socle.corps import lire_formulaire
from api.socle.dependances import moyens
from api.socle.formulaire import Champs
from api.socle.identite import RoleUtilisateur
from api.socle.session import Session
from api.socle.sessions_tenues import Tenue, lire_avec, tenue_de
from api.socle.visite import RIEN_PAYE, AccesRefuse, Visite, session_finie, visite_de_role
from domain.avis import Canal
from projections.lectures.compte import SANS_FIN, Compte, compte_de


async def visite_de(requete: Request) -> Visite:
    """La visite de cette requête ; lève Redirection (borne laissée ; 401 à un script) ou AccesRefuse."""
    return await visite_de_role(requete, await moyens(requete), RoleUtilisateur.ASSURE)


async def visite_d_un_envoi(requete: Request, adresse: Callable[[Champs], str], dit: str = RIEN_PAYE) -> Visite:
    """La même pour un formulaire ; si la session est finie, ce qui est tapé revient à cette adresse après la connexion.

    `dit` : ce qui n'a pas été fait (`session_finie`).

    À une borne, rien n'est gardé : la personne suivante n'est peut-être pas la même.
    """
    try:
        return await visite_de(requete)
    except AccesRefuse as refus:
        meme_site = requete.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        dependances = (await moyens(requete)).dependances
        a_la_borne = passage_de(requete, dependances).canal is Canal.BMS
        revenir = dependances.connectable and meme_site and not a_la_borne
        if refus.reponse.status_code != HTTPStatus.UNAUTHORIZED or not revenir:
            raise
        try:
            champs = await lire_formulaire(requete)
        except ValueError:
            raise refus from None
        raise AccesRefuse(session_finie(adresse(champs), dit)) from None


class VisiteAvecCompte(NamedTuple):
    """La visite, et le compte de l'assuré, sans ses paiements finis."""

    visite: Visite
    compte: Compte


async def visite_avec_compte(requete: Request) -> VisiteAvecCompte:
    """La visite de cette requête et le compte, lus de la base en une seule requête ; lève ce que lève `visite_de`."""
    lu = Compte([], [], [])

    async def lire(conn: AsyncConnection[Any], session: Session) -> Tenue | None:
        nonlocal lu
        ligne = await lire_avec(conn, session.numero, SANS_FIN, assure=session.assure, limite=PAIEMENTS_RECENTS)
        if ligne is None:
            return None
        canal, vue_le, creances, sans_fin = ligne
        lu = compte_de(creances, sans_fin)
        return tenue_de(canal, vue_le)

    visite = await visite_de_role(requete, await moyens(requete), RoleUtilisateur.ASSURE, lire=lire)
    return VisiteAvecCompte(visite, lu)


AssureEtCompte = Annotated[VisiteAvecCompte, Depends(visite_avec_compte)]

AssureConnecte = Annotated[Visite, Depends(visite_de)]
