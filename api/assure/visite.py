"""La visite : qui parle, d'où, et la page qu'on lui rend ; ce que toutes les pages ont en commun."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.assure import session as sessions
from api.assure.canal import Passage, passage_de, poser_canal
from api.assure.connexion import AccesRefuse, formulaire, par_le_compte, session_d_assure
from api.assure.rendu import fragment, page
from api.socle.dependances import DeLApplication, Moyens
from domain.avis import Canal
from domain.references import Pseudonyme

INACTIVITE = "/inactivite"
"""Où mène une session que la borne a close."""

Champs = list[tuple[str, str]]


class Redirection(Exception):
    """La réponse est ailleurs : le navigateur y est mené (303)."""

    def __init__(self, adresse: str) -> None:
        """`adresse` : un chemin de nos pages."""
        super().__init__(adresse)
        self.adresse = adresse


@dataclass(frozen=True)
class Visite:
    """Une requête d'un assuré reconnu."""

    moyens: Moyens
    session: sessions.Session
    passage: Passage
    assure: Pseudonyme

    @property
    def canal(self) -> Canal:
        """D'où l'assuré paie."""
        return self.passage.canal

    def rendre(self, gabarit: str, valeurs: dict[str, Any], *, statut: int = 200, vers: str | None = None) -> Response:
        """La page, dans son cadre ; la session et le canal en sont prolongés."""
        reponse = page(gabarit, valeurs | cadre(self.moyens, self.session, self.passage), statut=statut, vers=vers)
        return self.prolonger(reponse)

    def rendre_fragment(self, gabarit: str, valeurs: dict[str, Any]) -> Response:
        """Un morceau de page, relu par le script : n'est pas un signe d'activité, ne prolonge rien."""
        return fragment(gabarit, valeurs | cadre(self.moyens, self.session, self.passage))

    def mener(self, adresse: str) -> Response:
        """Mène le navigateur à une autre de nos pages."""
        reponse = Response(status_code=303, headers={"Location": adresse, "Cache-Control": "no-store"})
        return self.prolonger(reponse)

    def prolonger(self, reponse: Response) -> Response:
        """La même réponse, qui prolonge la session et le passage."""
        sessions.poser(reponse, self.session, self.moyens.dependances)
        poser_canal(reponse, self.canal, self.moyens.dependances)
        return reponse


def cadre(moyens: Moyens, session: sessions.Session, passage: Passage) -> dict[str, Any]:
    """Ce que le gabarit de base attend."""
    dependances = moyens.dependances
    return {
        "assure": session.assure,
        "jeton": sessions.jeton_de_formulaire(session, dependances),
        "canal": passage.canal.value,
        "inactivité_s": dependances.inactivite_borne.total_seconds() if passage.canal is Canal.BMS else None,
        "demo": dependances.demo,
    }


async def visite_de(requete: Request, moyens: DeLApplication) -> Visite:
    """La visite de cette requête ; lève Redirection (borne laissée ; 401 à un script) ou AccèsRefusé."""
    passage = passage_de(requete, moyens.dependances)
    if passage.inactif(moyens.dependances):
        if requete.headers.get("sec-fetch-dest", "document") != "document":
            raise AccesRefuse(par_le_compte())
        raise Redirection(INACTIVITE)
    session = await session_d_assure(requete, moyens)
    return Visite(moyens, session, passage, Pseudonyme(str(session.assure)))


AssureConnecte = Annotated[Visite, Depends(visite_de)]


async def champs_de(requete: Request, visite: Visite) -> Champs:
    """Les champs d'un formulaire venu d'une page de cette session ; lève Problème."""
    _, champs = await formulaire(requete, visite.moyens)
    return champs
