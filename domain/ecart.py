"""Un écart entre un rapport de la banque et nous."""

from enum import StrEnum


class GenreEcart(StrEnum):
    """Ce qui ne s'accorde pas."""

    MANQUE_ICI = "manque_ici"
    """La banque la connaît, nous non : la banque est interrogée, et sa réponse prend le chemin ordinaire."""
    MANQUE_LA_BAS = "manque_la_bas"
    """Acceptée chez nous un jour que le rapport couvre, absente de lui."""
    AUTRE_MONTANT = "autre_montant"
    AUTRE_ETAT = "autre_etat"
    """Acceptée d'un côté seulement, ou annulée à la banque après l'avoir été."""
    IMPAYE = "impaye"
    """Le porteur conteste : la banque reprend l'argent ; la contre-passation est à proposer."""
    REMBOURSEMENT = "remboursement"
    """La banque a rendu l'argent, et rien ici ne le dit encore."""
