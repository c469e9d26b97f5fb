"""La visite : qui parle, d'où, et la page qu'on lui rend ; ce que les pages de tous ont en commun."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.socle import session as sessions
from api.socle.canal import Passage, passage_de, poser_canal, suivre_canal
from api.socle.cookies import oublier
from api.socle.debits import adresse_de, genre_de
from api.socle.dependances import Dependances, Moyens
from api.socle.formulaire import Champs, formulaire
from api.socle.identite import RoleUtilisateur
from api.socle.rendu import fragment, message, page
from api.socle.retours import retours_de
from api.socle.sessions_tenues import changer_de_canal
from api.socle.suite import connexion_puis
from domain.avis import Canal
from domain.references import Pseudonyme

INACTIVITE = "/inactivite"
"""Où mène une session que la borne a close."""


class Redirection(Exception):
    """La réponse est ailleurs : le navigateur y est mené (303)."""

    def __init__(self, adresse: str) -> None:
        """`adresse` : un chemin de nos pages."""
        super().__init__(adresse)
        self.adresse = adresse


class AccesRefuse(Exception):
    """Cette page n'est pas pour qui la demande ; `reponse` est ce qu'il reçoit."""

    def __init__(self, reponse: Response) -> None:
        """Retient la réponse."""
        super().__init__()
        self.reponse = reponse


@dataclass(frozen=True)
class Visite:
    """Une requête d'une personne reconnue, pour un rôle."""

    moyens: Moyens
    session: sessions.Session
    passage: Passage
    retours: frozenset[str] = frozenset()
    """Les transactions que la banque a acceptées devant ce navigateur."""

    @property
    def assure(self) -> Pseudonyme:
        """Le pseudonyme de l'assuré ; ValueError pour un autre rôle, qui n'en a pas."""
        if self.session.assure is None:
            raise ValueError("cette visite n'est pas celle d'un assuré")
        return Pseudonyme(self.session.assure)

    @property
    def canal(self) -> Canal:
        """D'où la personne vient."""
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
        reponse = Response(status_code=303, headers={"Location": adresse})
        return self.prolonger(reponse)

    def prolonger(self, reponse: Response) -> Response:
        """La même réponse, qui prolonge la session et le passage."""
        sessions.poser(reponse, self.session, self.moyens.dependances)
        suivre_canal(reponse, self.passage, self.moyens.dependances)
        return reponse


def cadre(moyens: Moyens, session: sessions.Session, passage: Passage) -> dict[str, Any]:
    """Ce que le gabarit de base attend."""
    dependances = moyens.dependances
    return {
        "assure": session.assure,
        "nom": session.nom or session.assure,
        "personne": sessions.marque_de_la_personne(session.assure or session.personne, dependances.secret_de_session),
        "derniere_connexion": session.derniere_connexion and datetime.fromtimestamp(session.derniere_connexion, UTC),
        "accueil": session.role.accueil if session.role else "/",
        "jeton": sessions.jeton_de_formulaire(session, dependances),
        "canal": passage.canal.value,
        "inactivite_s": dependances.inactivite_borne.total_seconds() if passage.canal is Canal.BMS else None,
        "reste_s": _reste_s(session, dependances),
        "repos_s": dependances.repos_de_session.total_seconds() if session.role else None,
        "preuves": dependances.sel_de_preuve is not None,
        "demo": dependances.demo,
    }


def _reste_s(session: sessions.Session, dependances: Dependances) -> int | None:
    """Ce qui reste avant la fin que rien ne repousse (secondes) ; None si personne n'est connecté."""
    if session.assure is None:
        return None
    maintenant = int(dependances.horloge().timestamp())
    passees = maintenant - (session.ouverte_le or maintenant)
    return max(int(dependances.duree_de_session.total_seconds()) - passees, 0)


async def visite_de_role(
    requete: Request, moyens: Moyens, role: RoleUtilisateur, *, lire: sessions.LireTenue = sessions.lire_tenue
) -> Visite:
    """La visite de cette requête, pour ce rôle ; lève Redirection (borne laissée ; 401 à un script) ou AccesRefuse."""
    passage = passage_de(requete, moyens.dependances)
    if passage.inactif(moyens.dependances):
        if requete.headers.get("sec-fetch-dest", "document") != "document":
            raise AccesRefuse(par_le_compte())
        raise Redirection(INACTIVITE)
    session = await session_de_role(requete, moyens, role, lire=lire)
    if session.canal is not None:
        passage = passage._replace(canal=session.canal)
    moyens.debits.exiger(genre_de(requete), session.assure or session.personne or adresse_de(requete))
    return Visite(moyens, session, passage, retours_de(requete, moyens.dependances))


async def session_de_role(
    requete: Request, moyens: Moyens, role: RoleUtilisateur, *, lire: sessions.LireTenue = sessions.lire_tenue
) -> sessions.Session:
    """La session, si elle a ce rôle ; lève AccesRefuse : vers la connexion, 401, ou 403 à un autre rôle."""
    dependances = moyens.dependances
    document = requete.headers.get("sec-fetch-dest", "document") == "document"
    session = await sessions.session_de(requete, moyens, vivante=document or requete.method == "POST", lire=lire)
    if session.role is role and (session.assure is not None or role is not RoleUtilisateur.ASSURE):
        return session
    if session.role is not None:
        moyens.debits.exiger(genre_de(requete), session.acteur)
        detail = f"page réservée au rôle {role.value}, demandée sous le rôle {session.role.value}"
        await moyens.consigne.refuser(detail, requete=requete, acteur=session.acteur)
        valeurs = cadre(moyens, session, passage_de(requete, dependances)) | {"role": role}
        raise AccesRefuse(page("connexion-refus.html", valeurs, statut=403))
    # Seule une page que le navigateur ouvre mène ailleurs ; un formulaire ou un script reçoit 401.
    if requete.method != "GET" or not document or not dependances.connectable:
        raise AccesRefuse(par_le_compte(possible=dependances.connectable))
    suite = requete.url.path + (f"?{requete.url.query}" if requete.url.query else "")
    raise AccesRefuse(RedirectResponse(connexion_puis(suite), status_code=303))


async def venir_de(requete: Request, reponse: Response, canal: Canal, moyens: Moyens) -> None:
    """Retient d'où l'on vient. Une session ouverte à une borne s'arrête là : elle n'est celle d'aucun autre canal."""
    session = await sessions.session_de(requete, moyens)
    if session.canal is Canal.BMS and canal is not Canal.BMS:
        await sessions.finir(requete, "canal", moyens)
        oublier(reponse, moyens.dependances, sessions.COOKIE)
    elif session.canal is not None:
        async with moyens.pool.connection() as conn:
            await changer_de_canal(conn, session.numero, canal)
    poser_canal(reponse, canal, moyens.dependances)


async def champs_de(requete: Request, visite: Visite) -> Champs:
    """Les champs d'un formulaire venu d'une page de cette session ; lève Probleme."""
    _, champs = await formulaire(requete, visite.moyens)
    return champs


RIEN_PAYE: Final = "rien n'a été payé. Reconnectez-vous, et vous retrouverez ce que vous aviez coché et saisi."


def session_finie(suite: str, dit: str = RIEN_PAYE) -> Response:
    """À qui envoie un formulaire après la fin de sa session (401) : se reconnecter ramène à `suite`.

    `dit` : ce qui n'a pas été fait, et la suite.
    """
    phrase = f"Votre session s'est terminée avant votre envoi : {dit}"
    return message("Votre session est terminée", phrase, 401, connexion=connexion_puis(suite))


def par_le_compte(*, possible: bool = False) -> Response:
    """À qui n'est pas connecté : le chemin par son compte (401) ; `possible` : on peut aussi se connecter ici."""
    phrase = (
        "Connectez-vous à votre compte ameli pour payer une créance : rubrique « Frais de santé », puis « Créance »."
    )
    return message("Connexion requise", phrase, 401, connexion="/connexion" if possible else None)
