"""Les fautes de saisie qu'un modèle trouve, dites en français."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.socle.problemes import Probleme

FAUTES_DITES_MAX: Final = 20
CHAMP_CARACTERES_MAX: Final = 80
"""Le nom d'un champ inconnu vient de l'appelant : il est coupé."""

_FAUTES: Final = {
    "missing": "ce champ est obligatoire",
    "extra_forbidden": "ce champ n'existe pas",
    "int_type": "un nombre entier de centimes est attendu",
    "finite_number": "un nombre entier de centimes est attendu",
    "greater_than_equal": "la valeur ne peut pas être négative",
    "less_than_equal": "la valeur dépasse le maximum admis",
    "string_type": "un texte est attendu",
    "string_too_long": "le texte est trop long",
    "list_type": "une liste est attendue",
    "tuple_type": "une liste est attendue",
    "enum": "cette valeur n'est pas admise",
    "literal_error": "cette valeur n'est pas admise",
    "model_type": "un objet est attendu",
    "model_attributes_type": "un objet est attendu",
    "datetime_parsing": "une date et une heure ISO 8601 sont attendues",
}


def fautes_de(erreurs: Sequence[Mapping[str, Any]]) -> Probleme:
    """Le problème 422 : une phrase, et la liste des champs en faute."""
    champs = [
        {"champ": _champ(erreur["loc"]), "probleme": _dire(erreur)} for erreur in list(erreurs)[:FAUTES_DITES_MAX]
    ]
    premiere = f"{champs[0]['champ']} : {champs[0]['probleme']}"
    suite = f" (et {len(erreurs) - 1} autre(s) faute(s))" if len(erreurs) > 1 else ""
    return Probleme(422, "donnees_invalides", f"Les données ne sont pas valides. {premiere}{suite}.", champs=champs)


def _champ(chemin: Sequence[Any]) -> str:
    return ".".join(str(partie) for partie in chemin)[:CHAMP_CARACTERES_MAX] or "corps"


def _dire(erreur: Mapping[str, Any]) -> str:
    if erreur["type"] == "value_error":  # Nos propres validateurs, déjà en français.
        return str(erreur["msg"]).removeprefix("Value error, ")
    return _FAUTES.get(str(erreur["type"]), "cette valeur n'a pas la forme attendue")
