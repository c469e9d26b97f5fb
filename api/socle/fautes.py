"""Les fautes de saisie qu'un modèle trouve, en un problème 422."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.socle.problemes import Probleme
from domain.fautes import autres_fautes, faute_dite

FAUTES_DITES_MAX: Final = 20
CHAMP_CARACTERES_MAX: Final = 80
"""Le nom d'un champ inconnu vient de l'appelant : il est coupé."""


def fautes_de(erreurs: Sequence[Mapping[str, Any]]) -> Probleme:
    """Le problème 422 : une phrase, et la liste des champs en faute."""
    champs = [
        {"champ": _champ(erreur["loc"]), "probleme": faute_dite(erreur)} for erreur in list(erreurs)[:FAUTES_DITES_MAX]
    ]
    premiere = f"{champs[0]['champ']} : {champs[0]['probleme']}"
    suite = autres_fautes(len(erreurs) - 1)
    return Probleme(422, "donnees_invalides", f"Les données ne sont pas valides. {premiere}{suite}.", champs=champs)


def _champ(chemin: Sequence[Any]) -> str:
    return ".".join(str(partie) for partie in chemin)[:CHAMP_CARACTERES_MAX] or "corps"
