"""Ce dont chaque cas d'usage a besoin, et comment une décision est reprise quand un autre a été plus rapide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection

from domain.creance import Créance
from domain.paiement import Paiement
from domain.politique import Politique
from engine.database import Database
from engine.decision import decide
from engine.recorder import Recorder
from kiosque.interface import Kiosque

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Adresses:
    """Où le kiosque renvoie le navigateur, et où il notifie le service."""

    retour: str
    notification: str


@dataclass(frozen=True, slots=True)
class Guichet:
    """Les moyens d'un cas d'usage."""

    base: Database
    recorder: Recorder
    kiosque: Kiosque
    politique: Politique
    adresses: Adresses
    fragment: int = 0
    """Le chiffre de cette base dans les références de transaction (0 à 9)."""

    def decider(self, decision: Callable[[Connection[Any]], _T]) -> _T:
        """Exécute une décision dans une transaction, et la reprend si un autre a enregistré avant elle.

        Voir `engine.decision.decide`.
        """
        return decide(self.base, self.recorder, decision)

    def charger_creances(self, conn: Connection[Any], references: list[str]) -> dict[str, Créance]:
        """Les créances qui existent, par référence, en une requête."""
        flux = self.recorder.load(conn, map(Créance.flux, references))
        return {reference: flux[nom] for reference in references if (nom := Créance.flux(reference)) in flux}

    def charger_paiement(self, conn: Connection[Any], transaction: str) -> Paiement | None:
        """Le paiement de cette transaction, s'il a un événement."""
        nom = Paiement.flux(transaction)
        paiement: Paiement | None = self.recorder.load(conn, [nom]).get(nom)
        return paiement
