"""Le sort d'un message : ce qu'il est devenu, en un seul mot enregistré."""

from enum import StrEnum
from typing import Final, NamedTuple, assert_never


class Sort(StrEnum):
    """Tout message lu finit dans exactement un de ces sorts ; aucun n'est perdu ni seulement dit dans les logs."""

    APPLIQUEE = "appliquee"
    """Elle a changé l'état : première réponse de la banque, acceptation après un échec, ou message d'une caisse."""
    DOUBLON = "doublon"
    """Redite : elle ne change rien."""
    CONTRADICTOIRE = "contradictoire"
    """Elle contredit un fait enregistré, qui reste : à régler par le support."""
    EN_ATTENTE = "en_attente"
    """Le kiosque n'a pas conclu : la réservation est gardée."""
    NON_RAPPROCHEE = "non_rapprochee"
    """Authentique, mais sans paiement ni créance connus : à régler par le support."""
    MONTANT_INCOHERENT = "montant_incoherent"
    """Acceptée pour un autre montant, ou encore une fois sous une autre autorisation : à régler par le support."""
    EN_SOUFFRANCE = "en_souffrance"
    """Elle ne peut pas être appliquée encore (avis absent, flux illisible) : elle attend avec son contenu."""
    REJETEE = "rejetee"
    """Sceau faux, illisible, marchand inconnu : rien n'en est cru, l'original est aux rebuts."""


def est_anomalie(sort: Sort) -> bool:
    """Dit si le support doit voir ce sort et le régler."""
    match sort:
        case Sort.CONTRADICTOIRE | Sort.NON_RAPPROCHEE | Sort.MONTANT_INCOHERENT | Sort.EN_SOUFFRANCE | Sort.REJETEE:
            return True
        case Sort.APPLIQUEE | Sort.DOUBLON | Sort.EN_ATTENTE:
            return False
        case _:
            assert_never(sort)


ANOMALIES: Final = frozenset(sort for sort in Sort if est_anomalie(sort))
"""Les sorts que le support doit voir et régler."""


class Verdict(NamedTuple):
    """Le sort d'un message et la phrase qui dit pourquoi."""

    sort: Sort
    cause: str
