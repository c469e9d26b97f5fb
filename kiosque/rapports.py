"""Ce que le système attend des rapports quotidiens d'une banque, quelle qu'elle soit : rien ici ne parle de Sips."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class Genre(StrEnum):
    """Les quatre rapports quotidiens."""

    TRANSACTIONS = "transactions"
    """Toute transaction depuis le rapport précédent, acceptée ou refusée."""
    OPERATIONS = "operations"
    """Remises, annulations, remboursements, validations."""
    RAPPROCHEMENTS = "rapprochements"
    """Ce que l'acquéreur a crédité, et ses frais."""
    IMPAYES = "impayes"
    """Les paiements que leur porteur conteste."""


LIBELLES: Final[Mapping[Genre, str]] = {
    Genre.TRANSACTIONS: "transactions",
    Genre.OPERATIONS: "opérations",
    Genre.RAPPROCHEMENTS: "rapprochements",
    Genre.IMPAYES: "impayés",
}
"""Ce qu'une personne lit de chaque genre : « le rapport des … »."""


class RapportRefuse(Exception):
    """Le rapport est refusé en entier."""

    def __init__(self, cause: str, *, ligne: int | None = None, champ: str | None = None) -> None:
        """Nomme la ligne (à partir de 1) et la colonne, quand il y en a une ; jamais la valeur."""
        super().__init__(cause)
        self.cause = cause
        self.ligne = ligne
        self.champ = champ

    def __str__(self) -> str:
        """La cause, précédée de l'endroit."""
        ou = [f"ligne {self.ligne}"] if self.ligne is not None else []
        ou += [f"colonne {self.champ}"] if self.champ is not None else []
        return f"{', '.join(ou)} : {self.cause}" if ou else self.cause


class Octets(Protocol):
    """Un fichier binaire ouvert."""

    def readline(self, size: int, /) -> bytes:
        """Comme d'un fichier."""


class LigneDeRapport(NamedTuple):
    """Une ligne de la banque ; les montants sont des centimes, positifs."""

    numero: int
    """Sa ligne dans le fichier, à partir de 1."""
    genre: Genre
    transaction: str
    marchand: str | None
    operation: str | None
    sequence: str | None
    montant: int
    frais: int | None
    pris: int
    """L'argent que la ligne dit pris au porteur, une seule fois : ni une autorisation, ni une annulation n'en prend."""
    rendu: int
    """L'argent que la ligne dit rendu au porteur, ou repris par lui."""
    etat: str | None
    code: str | None
    autorisation: str | None
    survenu_le: datetime


@dataclass(frozen=True, slots=True)
class Entete:
    """Ce que le rapport dit de lui-même."""

    genre: Genre
    genere_le: datetime
    marchand: str | None
    """S'il est nommé : le rapport est alors le sien seul."""


class Rapport(Protocol):
    """Un rapport ouvert : son en-tête est lu, ses lignes viennent une à une."""

    @property
    def entete(self) -> Entete:
        """Ce que le rapport dit de lui-même."""

    @property
    def octets_lus(self) -> int:
        """Pour une barre d'avancement."""

    def __iter__(self) -> Iterator[LigneDeRapport]:
        """Les lignes dans l'ordre du fichier ; lève RapportRefuse, à la dernière si la fin manque."""


class LecteurDeRapports(Protocol):
    """Lit les rapports d'une banque, et connaît le sens de ses codes et de ses états."""

    def ouvrir(self, fichier: Octets, /) -> Rapport:
        """Lit l'en-tête ; lève RapportRefuse."""

    def refuse(self, code: str, /) -> bool:
        """Dit si ce code conclut sans acceptation."""

    def annule(self, etat: str, /) -> bool:
        """Dit si cet état est celui d'une transaction annulée, dont l'argent n'est pas pris."""
