"""La forme de la notification de la banque d'aujourd'hui, pour la documentation de l'API ; rien n'en est lu."""

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
