"""Un formulaire de nos pages : sa session, son jeton, ses champs."""

from starlette.requests import Request

from api.socle import session as sessions
from api.socle.corps import lire_formulaire
from api.socle.dependances import Moyens
from api.socle.problemes import Probleme, RefusDeSaisie

Champs = list[tuple[str, str]]


class FormulairePerime(RefusDeSaisie):
    """Le formulaire n'est pas d'une page de cette session."""

    code = "formulaire_perime"
    enonce = "Ce formulaire a expiré : rien n'a été envoyé ni payé. Merci de recommencer."


class JetonPerime(Probleme):
    """Un formulaire de nos pages, mais d'une autre session : d'avant une reconnexion, le plus souvent."""

    def __init__(self) -> None:
        """Le problème qu'un formulaire venu d'ailleurs reçoit aussi."""
        super().__init__(403, FormulairePerime.code, FormulairePerime().phrase)


async def formulaire(requete: Request, moyens: Moyens, *, bornee: bool = True) -> tuple[sessions.Session, Champs]:
    """La session (`bornee` : voir `session_de`) et les champs d'un formulaire de nos pages ; sinon, lève Probleme."""
    if requete.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Probleme(403, FormulairePerime.code, FormulairePerime().phrase)
    try:
        champs = await lire_formulaire(requete)
    except ValueError:
        raise Probleme(400, "formulaire_illisible", "Le formulaire est mal encodé.") from None
    session = await sessions.session_de(requete, moyens, bornee=bornee)
    if not sessions.jeton_valable(session, dict(champs).get("jeton", ""), moyens.dependances):
        raise JetonPerime
    return session, champs
