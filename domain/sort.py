"""Le sort d'un message : ce qu'il est devenu, en un seul mot enregistré."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Sort(StrEnum):
    """Tout message lu finit dans exactement un de ces sorts ; aucun n'est perdu ni seulement journalisé."""

    APPLIQUÉE = "appliquee"
    """Première réponse de la banque, ou acceptation après un échec : elle a changé l'état."""
    DOUBLON = "doublon"
    """Redite : elle ne change rien."""
    CONTRADICTOIRE = "contradictoire"
    """Elle contredit un fait enregistré, qui reste : à régler par le support."""
    EN_ATTENTE = "en_attente"
    """Le kiosque n'a pas conclu : la réservation est gardée."""
    NON_RAPPROCHÉE = "non_rapprochee"
    """Authentique, mais sans paiement ni créance connus : à régler par le support."""
    MONTANT_INCOHÉRENT = "montant_incoherent"
    """Acceptée pour un autre montant, ou encore une fois sous une autre autorisation : à régler par le support."""
    REJETÉE = "rejetee"
    """Sceau faux, illisible, autre marchand : rien n'en est cru, l'original est aux rebuts."""


ANOMALIES: Final = frozenset(
    {Sort.CONTRADICTOIRE, Sort.NON_RAPPROCHÉE, Sort.MONTANT_INCOHÉRENT, Sort.REJETÉE},
)
"""Les sorts que le support doit voir et régler."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Le sort d'un message et la phrase qui dit pourquoi."""

    sort: Sort
    cause: str
