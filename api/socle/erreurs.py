"""Une erreur, dite à qui la reçoit : une page à une personne, un problème (RFC 9457) à un programme."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from api.socle.canal import passage_de
from api.socle.dependances import Moyens
from api.socle.problemes import TITRES, Probleme
from api.socle.rendu import message
from api.socle.session import lue, nouvelle_session, session_de
from api.socle.visite import cadre

_PROGRAMMES: Final = ("/api/", "/kiosque/notification", "/openapi.json", "/livez", "/readyz", "/metrics")
"""Les adresses que seul un programme appelle, quoi qu'il dise accepter."""

_TITRES: Final = {
    "connexion_requise": "Connexion requise",
    "formulaire_perime": "Ce formulaire a expiré",
    "paiement_inconnu": "Paiement introuvable",
    "introuvable": "Page introuvable",
    "methode_non_permise": "Cette page ne s'ouvre pas ainsi",
}

_PHRASES: Final = {
    "formulaire_perime": (
        "Rien n'a été envoyé ni payé : la page avait été ouverte avant votre connexion, ou ailleurs. Rouvrez-la, et"
        " recommencez."
    ),
    "methode_non_permise": (
        "Cette adresse ne sert qu'à un bouton de nos pages : ouverte seule, elle ne montre rien. Rien n'a été payé ni"
        " changé. Revenez à la page où vous étiez, ou choisissez la suite ici."
    ),
}
"""Ce qu'une personne lit là où le problème est écrit pour un programme."""

_PASSAGERS: Final = (429, 500, 503)
"""Ce qui peut réussir un peu plus tard : la page offre de recommencer."""


async def repondre(scope: Mapping[str, Any], probleme: Probleme) -> Response:
    """La réponse d'erreur, dans la forme que l'appelant peut lire."""
    if not _pour_une_personne(scope):
        return probleme.reponse()
    titre = _TITRES.get(probleme.code) or TITRES.get(probleme.statut, "Erreur")
    recommencer = _recommencer(scope) if probleme.statut in _PASSAGERS else None
    reponse = message(
        titre,
        _PHRASES.get(probleme.code, probleme.detail),
        probleme.statut,
        await _cadre(scope),
        recommencer=recommencer,
    )
    reponse.headers.update(probleme.en_tetes)
    return reponse


async def _cadre(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Le menu et le canal de qui a demandé la page : une erreur ne fait perdre ni l'un ni l'autre."""
    requete = Request(dict(scope))
    moyens: Moyens = scope["app"].state.moyens
    try:
        session = await session_de(requete, moyens)
    except (psycopg.Error, Probleme):  # Base absente, ou trop lue : le cookie, scellé par nous, garde le menu.
        session = lue(requete, moyens.dependances) or nouvelle_session()
    return cadre(moyens, session, passage_de(requete, moyens.dependances))


def _recommencer(scope: Mapping[str, Any]) -> str:
    """Où recommencer : la même page ; après un formulaire, celle qui le montre, où la saisie est gardée."""
    if scope["method"] not in {"GET", "HEAD"}:
        return "/payer" if scope["path"] == "/payer" else "/"
    requete: bytes = scope["query_string"]
    return str(scope["path"]) + (f"?{requete.decode('latin-1')}" if requete else "")


def _pour_une_personne(scope: Mapping[str, Any]) -> bool:
    chemin: str = scope["path"]
    if getattr(scope["app"].state, "sans_pages", False):
        return False
    acceptes = b",".join(valeur for nom, valeur in scope["headers"] if nom == b"accept")
    return b"text/html" in acceptes and not chemin.startswith(_PROGRAMMES)
