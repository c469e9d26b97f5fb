"""La forme de la notification de la banque : pour la documentation de l'API, et pour ce qui est refusé."""

import base64
import re
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

CHAMPS_DU_FORMULAIRE: Final = "Les champs scellés : Data, Seal, InterfaceVersion…"
"""Ce que l'API dit du formulaire que le navigateur poste à la banque."""

JAMAIS_AU_JOURNAL_TECHNIQUE: Final = frozenset(
    {"customeripaddress", "data", "maskedpan", "pan", "panexpirydate", "seal", "tokenpan"}
)
"""Les champs de la banque qu'aucune ligne de log ne montre, en minuscules."""

SCELLE: Final = re.compile(r"\b(Data|Seal)=[^\s&]+")
"""Un champ scellé dans un texte : un log le tait."""

PLAUSIBLE_SIGNES_MAX: Final = 8 * 1024
"""Ce que la banque envoie tient en 3 Kio, encodage compris : au-delà, un message n'a pas l'allure des siens."""

_SCEAU: Final = re.compile(r"[0-9a-fA-F]{64}")

SCELLES: Final = ("Data", "DataBase64", "Seal")


def est_plausible(valeur: Mapping[str, str], marchands: AbstractSet[str]) -> bool:
    """Dit si un message refusé a l'allure de ceux de la banque pour l'un de nos marchands : il est gardé d'abord."""
    donnees = valeur.get("Data", "")
    if not donnees or not _SCEAU.fullmatch(valeur.get("Seal", "").strip()):
        return False
    if sum(map(len, valeur.values())) > PLAUSIBLE_SIGNES_MAX:
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
