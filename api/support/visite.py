"""La visite d'un agent du support ou d'un auditeur : ce que leurs pages demandent, et le motif de chaque lecture."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.socle.corps import lire_formulaire
from api.socle.dependances import DeLApplication, Moyens
from api.socle.enveloppe import correlation
from api.socle.identite import RoleUtilisateur
from api.socle.visite import AccesRefuse, Visite, session_finie, visite_de_role
from api.support import consultation
from api.support.acces import sources
from domain.refus import Refus
from guichet.acces import MOTIFS, Lecteur, Motif, VoieDeLecture, lire_motif

RECHERCHE = "/support"
"""La page d'accueil du support : son seul champ de recherche."""

RIEN_ENREGISTRE: Final = "rien n'a été enregistré. Reconnectez-vous pour revenir à la page où vous étiez."

PAGES = {
    consultation.GenreDeConsultation.CREANCE: "creances",
    consultation.GenreDeConsultation.PAIEMENT: "paiements",
    consultation.GenreDeConsultation.ASSURE: "assures",
}


@dataclass(frozen=True)
class Agent:
    """Une requête d'une personne du support, reconnue."""

    visite: Visite
    motif_dit: str
    """Ce que l'adresse dit du motif ; vide s'il manque."""

    @property
    def moyens(self) -> Moyens:
        """Ceux de l'application."""
        return self.visite.moyens

    @property
    def sources(self) -> consultation.Moyens:
        """La base et le recorder."""
        return sources(self.visite.moyens)

    @property
    def lecteur(self) -> Lecteur:
        """Sous quel nom ses lectures sont écrites."""
        session = self.visite.session
        role = session.role.value if session.role else ""
        return Lecteur(session.personne, role, VoieDeLecture.PAGE, correlation())

    @property
    def motif(self) -> Motif:
        """Pourquoi il lit ; lève MotifRequis ou MotifIrrecevable."""
        return lire_motif(self.motif_dit)

    def rendre(self, gabarit: str, valeurs: dict[str, Any], *, statut: int = 200) -> Response:
        """La page, avec le champ de recherche et le motif de la lecture en cours."""
        commun = {
            "agent": self.visite.session.personne,
            "auditeur": self.visite.session.role is RoleUtilisateur.AUDIT,
            "motif": self.motif_dit,
            "motifs": MOTIFS,
            "lien": self.lien,
            "rubrique": "Audit" if gabarit.startswith("support-audit") else "Accès",
            "q": "",
        }
        return self.visite.rendre(gabarit, commun | valeurs, statut=statut)

    def lien(self, chemin: str, **parametres: object) -> str:
        """Cette adresse, qui garde le motif."""
        dits = {nom: valeur for nom, valeur in parametres.items() if valeur not in {None, ""}}
        if self.motif_dit:
            dits["motif"] = self.motif_dit
        return f"{chemin}?{urlencode(dits)}" if dits else chemin

    def refuser(self, refus: Refus, statut: int, **valeurs: Any) -> Response:
        """La recherche, avec ce qui ne va pas : la personne n'est jamais devant une impasse."""
        return self.rendre("support-recherche.html", {"refus": refus, "resultats": None} | valeurs, statut=statut)


def page_de(objet: consultation.Objet) -> str:
    """L'adresse de la page de cet objet."""
    return f"{RECHERCHE}/{PAGES[objet.genre]}/{objet.nom}"


async def _agent(requete: Request, moyens: DeLApplication) -> Agent:
    try:
        visite = await visite_de_role(requete, moyens, RoleUtilisateur.SUPPORT)
    except AccesRefuse as refus:
        meme_site = requete.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        revenir = requete.method == "POST" and moyens.dependances.connectable and meme_site
        if refus.reponse.status_code != HTTPStatus.UNAUTHORIZED or not revenir:
            raise
        raise AccesRefuse(session_finie(await _page_d_ou(requete), RIEN_ENREGISTRE)) from None
    return Agent(visite, requete.query_params.get("motif", "").strip())


async def _auditeur(requete: Request, moyens: DeLApplication) -> Agent:
    visite = await visite_de_role(requete, moyens, RoleUtilisateur.AUDIT)
    return Agent(visite, "")


async def _page_d_ou(requete: Request) -> str:
    """La page où était le formulaire : celle de l'objet d'une note, sinon celle dont son adresse est un geste."""
    adresse, _, geste = requete.url.path.rpartition("/")
    if geste == "notes":
        try:
            genre, _, nom = dict(await lire_formulaire(requete)).get("objet", "").partition("-")
        except ValueError:
            genre = nom = ""
        connus = {genre.value: pluriel for genre, pluriel in PAGES.items()} | {"anomalie": "anomalies"}
        adresse = f"{RECHERCHE}/{connus[genre]}/{quote(nom, safe='')}" if genre in connus else RECHERCHE
    return f"{adresse}?{requete.url.query}" if requete.url.query else adresse


AgentConnecte = Annotated[Agent, Depends(_agent)]
"""Une personne du support ; lève AccesRefuse."""

AuditeurConnecte = Annotated[Agent, Depends(_auditeur)]
"""Un auditeur ; lève AccesRefuse."""
