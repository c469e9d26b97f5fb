"""Les fautes de forme que pydantic trouve, dites en français : la seule table, pour tout ce qui entre."""

from collections.abc import Mapping
from typing import Any, Final

INATTENDUE: Final = "cette valeur n'a pas la forme attendue"

_PHRASES: Final[Mapping[str, str]] = {
    "json_invalid": "ce n'est pas du JSON",
    "missing": "champ absent",
    "extra_forbidden": "champ inconnu",
    "int_type": "un nombre entier est attendu",
    "finite_number": "un nombre entier est attendu",
    "greater_than": "la valeur doit être positive",
    "greater_than_equal": "la valeur ne peut pas être négative",
    "less_than_equal": "la valeur dépasse le maximum admis",
    "int_parsing_size": "la valeur dépasse le maximum admis",
    "string_type": "un texte est attendu",
    "string_pattern_mismatch": "la forme n'est pas celle attendue",
    "string_too_long": "le texte est trop long",
    "list_type": "une liste est attendue",
    "tuple_type": "une liste est attendue",
    "model_type": "un objet JSON est attendu",
    "model_attributes_type": "un objet JSON est attendu",
    "union_tag_invalid": "type de message inconnu",
    "union_tag_not_found": "type de message absent",
    "literal_error": "valeur inconnue",
    "enum": "valeur inconnue",
    "date_type": "date illisible (AAAA-MM-JJ)",
    "date_parsing": "date illisible (AAAA-MM-JJ)",
    "date_from_datetime_parsing": "date illisible (AAAA-MM-JJ)",
    "datetime_parsing": "une date et une heure ISO 8601 sont attendues",
}

_D_UN_MONTANT: Final[Mapping[str, str]] = {
    "int_type": "un nombre entier de centimes est attendu",
    "finite_number": "un nombre entier de centimes est attendu",
    "greater_than": "le montant doit être positif",
    "greater_than_equal": "le montant ne peut pas être négatif",
    "less_than_equal": "le montant dépasse le maximum admis",
    "int_parsing_size": "le montant dépasse le maximum admis",
}
"""Ce qu'elles veulent dire d'un champ en centimes."""


def faute_dite(erreur: Mapping[str, Any]) -> str:
    """Ce qui ne va pas, d'une des erreurs d'une `ValidationError` ; celles de nos validateurs sont déjà en français."""
    genre = str(erreur["type"])
    if genre == "value_error":
        return str(erreur["msg"]).removeprefix("Value error, ")
    if genre == "greater_than_equal" and (moins := erreur.get("ctx", {}).get("ge", 0)):
        return f"la valeur doit être d'au moins {moins}"
    champ = next(reversed(erreur["loc"]), "")
    phrases = {**_PHRASES, **_D_UN_MONTANT} if str(champ).endswith("_centimes") else _PHRASES
    return phrases.get(genre, INATTENDUE)


def autres_fautes(nombre: int) -> str:
    """Combien d'autres suivent la première, entre parenthèses ; rien s'il n'y en a pas."""
    if nombre == 0:
        return ""
    return " (et une autre faute)" if nombre == 1 else f" (et {nombre} autres fautes)"
