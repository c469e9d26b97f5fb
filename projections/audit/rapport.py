"""Le rapport de l'audit : ce qu'il a lu, les totaux, ce qui ne va pas, et ce qu'il n'a pas pu contrôler."""

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from projections.audit.totaux import CHAMPS, Comptable, Totaux

ECARTS_MAX: Final = 1_000
"""Écarts rapportés, au plus ; au-delà, ils sont seulement comptés. De même pour les flux illisibles."""

EPREUVE: Final = (
    "L'audit compare entre eux le journal, les messages reçus, les clés et les vues. Un paiement que le propriétaire de"
    " la base effacerait partout à la fois, d'un même geste, n'y laisse pas de trace : seule une preuve tenue hors de"
    " la base peut le montrer."
)
"""Ce que l'audit ne peut pas voir, dit avec lui."""


@dataclass(slots=True)
class Rapport:
    """Ce que l'audit a vu, ce qui ne va pas, et ce qu'il n'a pas pu lire."""

    instant: datetime = field(default_factory=lambda: datetime.now(UTC))
    """L'instant de l'instantané, à l'horloge de PostgreSQL."""
    base: str = ""
    """La base lue : son nom, son serveur, sa version."""
    epoque: str = ""
    creances: int = 0
    paiements: int = 0
    evenements: int = 0
    messages: int = 0
    """Messages lus de Kafka, chacun avec son sort."""
    tete: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    compte: Comptable = field(default_factory=Comptable)
    anomalies: dict[str, int] = field(default_factory=dict)
    """Ce qui attend une personne, par genre : ce ne sont pas des écarts."""
    en_verification: int = 0
    """Paiements dont la fin attend un règlement."""
    ecarts: list[str] = field(default_factory=list)
    ecarts_comptes: int = 0
    illisibles: dict[str, str] = field(default_factory=dict)
    """Pourquoi un flux ne se lit pas, par flux ; rien n'en est comparé à partir de là."""
    non_controles: list[str] = field(default_factory=list)
    """Ce que l'audit n'a pas pu contrôler, et pourquoi."""

    @property
    def totaux(self) -> Totaux:
        """Les totaux de l'ensemble."""
        return self.compte.ensemble

    @property
    def restant_du_total(self) -> int:
        """Ce que doivent toutes les créances, en centimes."""
        return self.totaux.restant_du

    @property
    def accepte_total(self) -> int:
        """Ce que toutes les créances ont reçu de la banque, en centimes."""
        return self.totaux.accepte

    @property
    def anomalies_ouvertes(self) -> int:
        """Combien de choses attendent une personne."""
        return sum(self.anomalies.values())

    @property
    def complet(self) -> bool:
        """Vrai si tout a pu être contrôlé."""
        return not self.illisibles and not self.non_controles

    def ecart(self, phrase: str) -> None:
        """Ajoute un écart."""
        self.ecarts_comptes += 1
        if len(self.ecarts) < ECARTS_MAX:
            self.ecarts.append(phrase)

    def non_controle(self, phrase: str) -> None:
        """Ajoute ce qui n'a pas pu être contrôlé."""
        if phrase not in self.non_controles and len(self.non_controles) < ECARTS_MAX:
            self.non_controles.append(phrase)

    def en_json(self, version: str = "") -> dict[str, Any]:
        """Le rapport, prêt pour JSON ; montants en centimes. `version` : celle du code."""
        totaux, tout = self.totaux, self.compte.depuis_toujours
        return {
            "instant": self.instant.isoformat(),
            "tete": self.tete,
            "epoque": self.epoque,
            "version": version,
            "base": self.base,
            "creances": self.creances,
            "paiements": self.paiements,
            "evenements": self.evenements,
            "messages": self.messages,
            "positions": self.positions,
            "totaux": totaux.en_json(),
            "identite": {
                "preleve_par_la_banque": tout.preleve_par_la_banque,
                "explique": tout.explique,
                "difference": tout.preleve_par_la_banque - tout.explique,
            },
            **self.compte.en_json(),
            "anomalies_ouvertes": self.anomalies_ouvertes,
            "anomalies": self.anomalies,
            "en_verification": self.en_verification,
            "restant_du_total_centimes": self.restant_du_total,
            "accepte_total_centimes": self.accepte_total,
            "ecarts_total": self.ecarts_comptes,
            "ecarts": self.ecarts,
            "illisibles_total": len(self.illisibles),
            "illisibles": [
                {"flux": flux, "cause": cause} for flux, cause in list(self.illisibles.items())[:ECARTS_MAX]
            ],
            "non_controles": self.non_controles,
            "hors_de_portee": EPREUVE,
        }

    def en_csv(self) -> str:
        """Les totaux, une ligne par axe et clé ; montants en centimes, séparés par des points-virgules."""
        texte = io.StringIO()
        ecrivain = csv.writer(texte, delimiter=";", lineterminator="\r\n")
        ecrivain.writerow(["axe", "cle", *(f"{champ}_centimes" for champ in CHAMPS)])
        for axe, cle, totaux in self.compte.lignes():
            ecrivain.writerow([axe, cle, *(getattr(totaux, champ) for champ in CHAMPS)])
        return texte.getvalue()
