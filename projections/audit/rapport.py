"""Le rapport de l'audit."""

from dataclasses import dataclass, field
from typing import Any, Final

ECARTS_MAX: Final = 1_000
"""Écarts rapportés, au plus ; au-delà, ils sont seulement comptés. De même pour les flux illisibles."""


@dataclass(slots=True)
class Rapport:
    """Ce que l'audit a vu, ce qui ne va pas, et ce qu'il n'a pas pu lire."""

    creances: int = 0
    paiements: int = 0
    evenements: int = 0
    tete: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    restant_du_total: int = 0
    accepte_total: int = 0
    ecarts: list[str] = field(default_factory=list)
    ecarts_comptes: int = 0
    illisibles: dict[str, str] = field(default_factory=dict)
    """Pourquoi un flux ne se lit pas, par flux ; il n'est comparé à rien."""

    def ecart(self, phrase: str) -> None:
        """Ajoute un écart."""
        self.ecarts_comptes += 1
        if len(self.ecarts) < ECARTS_MAX:
            self.ecarts.append(phrase)

    def en_json(self) -> dict[str, Any]:
        """Le rapport, prêt pour JSON."""
        return {
            "creances": self.creances,
            "paiements": self.paiements,
            "evenements": self.evenements,
            "tete": self.tete,
            "positions": self.positions,
            "restant_du_total_centimes": self.restant_du_total,
            "accepte_total_centimes": self.accepte_total,
            "ecarts_total": self.ecarts_comptes,
            "ecarts": self.ecarts,
            "illisibles_total": len(self.illisibles),
            "illisibles": [
                {"flux": flux, "cause": cause} for flux, cause in list(self.illisibles.items())[:ECARTS_MAX]
            ],
        }
