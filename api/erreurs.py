"""Une erreur, dite à qui la reçoit : une page à une personne, un problème (RFC 9457) à un programme."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from api.assure.rendu import message
from api.problemes import TITRES, Problème

_PROGRAMMES: Final = ("/api/", "/kiosque/notification", "/openapi.json", "/livez", "/readyz", "/metrics")
"""Les adresses que seul un programme appelle, quoi qu'il dise accepter."""

_TITRES: Final = {
    "connexion_requise": "Connexion requise",
    "formulaire_perime": "Ce formulaire a expiré",
    "paiement_inconnu": "Paiement introuvable",
    "introuvable": "Page introuvable",
}


def répondre(scope: Mapping[str, Any], problème: Problème) -> Response:
    """La réponse d'erreur, dans la forme que l'appelant peut lire."""
    if not _pour_une_personne(scope):
        return problème.réponse()
    titre = _TITRES.get(problème.code) or TITRES.get(problème.statut, "Erreur")
    réponse = message(titre, problème.détail, problème.statut)
    réponse.headers.update(problème.en_têtes)
    return réponse


def _pour_une_personne(scope: Mapping[str, Any]) -> bool:
    chemin: str = scope["path"]
    acceptés = b",".join(valeur for nom, valeur in scope["headers"] if nom == b"accept")
    return b"text/html" in acceptés and not chemin.startswith(_PROGRAMMES)
