"""Les envois d'une opération, en mémoire : ce que le guichet garde dans son journal."""

from dataclasses import dataclass


@dataclass
class Memoire:
    """`peut_etre` : un processus mort a pu l'envoyer."""

    peut_etre: bool = False
    permis: bool = True
    """Faux : un autre vient de l'envoyer."""
    notes: int = 0

    def noter(self) -> bool:
        """Retient l'envoi."""
        if self.permis:
            self.notes += 1
            self.peut_etre = True
        return self.permis
