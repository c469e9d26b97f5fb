"""La forme de la notification de la banque : pour la documentation de l'API, et pour ce qui est refusé."""

import base64
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

CORPS_DECRIT: Final[dict[str, object]] = {
    "application/x-www-form-urlencoded": {
        "schema": {
            "type": "object",
            "required": ["Data", "Seal"],
            "properties": {
                nom: {"type": "string"} for nom in ("Data", "Seal", "InterfaceVersion", "Encode", "SealAlgorithm")
            },
        }
    }
}
"""Par type de contenu, le schéma du corps (OpenAPI)."""

SCELLES: Final = ("Data", "DataBase64", "Seal")


def est_plausible(valeur: Mapping[str, str], marchands: AbstractSet[str]) -> bool:
    """Dit si un message refusé a l'allure de ceux de la banque pour l'un de nos marchands : il est gardé d'abord."""
    donnees = valeur.get("Data", "")
    if not donnees or not valeur.get("Seal"):
        return False
    if "|" not in donnees:
        # Quoi qu'en dise `Encode`, qui peut manquer ou s'écrire autrement ; le remplissage manque parfois aussi.
        compact = "".join(donnees.split()).rstrip("=").replace("+", "-").replace("/", "_")
        try:
            donnees = base64.urlsafe_b64decode(compact + "=" * (-len(compact) % 4)).decode("utf-8", "replace")
        except ValueError:
            return False
    return any(f"merchantId={marchand}" in donnees.split("|") for marchand in marchands)


def sous_sceau(valeur: Mapping[str, str]) -> dict[str, str]:
    """D'un message accepté, ce que le sceau couvre, et lui : le reste se réécrit sans le rompre."""
    scelles = {nom: valeur[nom] for nom in SCELLES if nom in valeur}
    return scelles or dict(valeur)
