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
    enonce = "Ce formulaire a expiré, et rien n'a été changé : merci de rouvrir la page et de recommencer."


async def formulaire(requete: Request, moyens: Moyens) -> tuple[sessions.Session, Champs]:
    """La session et les champs d'un formulaire venu de nos pages ; lève Probleme s'il vient d'ailleurs."""
    if requete.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Probleme(403, FormulairePerime.code, FormulairePerime().phrase)
    try:
        champs = await lire_formulaire(requete)
    except ValueError:
        raise Probleme(400, "formulaire_illisible", "Le formulaire est mal encodé.") from None
    session = await sessions.session_de(requete, moyens)
    if not sessions.jeton_valable(session, dict(champs).get("jeton", ""), moyens.dependances):
        raise Probleme(403, FormulairePerime.code, FormulairePerime().phrase)
    return session, champs
