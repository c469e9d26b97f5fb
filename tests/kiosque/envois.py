"""Les envois d'une opération, en mémoire : ce que le guichet garde dans son journal."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class Memoire:
    """`peut_etre` : un processus mort a pu l'envoyer."""

    peut_etre: bool = False
    permis: bool = True
    """Faux : un autre vient de l'envoyer."""
    notes: int = 0
    sans_reponse_depuis: datetime | None = None
    horloge: Callable[[], datetime] = lambda: datetime.now(UTC)

    def noter(self) -> bool:
        """Retient l'envoi."""
        if self.permis:
            self.notes += 1
            self.peut_etre = True
            self.sans_reponse_depuis = self.horloge()
        return self.permis

    def repondu(self) -> None:
        """Retient que la banque a refusé le dernier envoi."""
        self.sans_reponse_depuis = None
