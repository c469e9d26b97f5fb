"""Ce que la banque dit d'un paiement, une fois le protocole du kiosque oublié."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.monnaie import Centimes
from domain.references import ReferenceTransaction


class Issue(StrEnum):
    """Le sens d'une réponse du kiosque."""

    ACCEPTEE = "acceptee"
    REFUSEE = "refusee"
    EN_ATTENTE = "en_attente"
    """Le kiosque ne conclut rien encore : la réservation est gardée et il sera interrogé."""


class ReponseBancaire(NamedTuple):
    """Une réponse scellée du kiosque, son sceau vérifié."""

    transaction: ReferenceTransaction
    marchand: str
    montant: Centimes
    """En centimes."""
    issue: Issue
    code: str
    """Le code de réponse du kiosque, gardé même s'il est inconnu."""
    autorisation: str | None
    carte_masquee: str | None
    marque: str | None
    transaction_le: datetime | None
    """L'instant de la banque, en UTC."""
    code_acquereur: str | None
    jeton_retour: str | None = None
    """La part aléatoire de ce paiement que la banque rend ; None si cette réponse ne la porte pas."""
    demandee: bool = False
    """Vrai si nous l'avons demandée : la banque y dit ce qu'elle sait d'une référence, qui a pu servir avant."""

    @property
    def retenue(self) -> "ReponseBancaire":
        """La réponse telle qu'elle compte : une acceptation de zéro centime n'a rien pris, et ne conclut rien."""
        if self.issue is Issue.ACCEPTEE and not self.montant:
            return self._replace(issue=Issue.EN_ATTENTE)
        return self
