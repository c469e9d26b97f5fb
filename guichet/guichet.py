"""Ce dont chaque cas d'usage a besoin, et comment une décision est reprise quand un autre a été plus rapide."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final, TypeVar

from psycopg import Connection

from domain.creance import Créance
from domain.ouverture import fermeture_de
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import ReferenceCreance, ReferenceTransaction
from domain.refus import PaiementInconnu
from engine.database import Database
from engine.decision import decide
from engine.mapper import UnreadableStream
from engine.recorder import Recorder
from guichet.recul import exiger_sans_recul
from kiosque.interface import Kiosque

_T = TypeVar("_T")

JETON_OCTETS: Final = 8
"""Hasard d'un jeton (octets) : deux paiements du même nom, après une restauration, n'ont pas le même."""


def jeton_au_hasard() -> str:
    """Un jeton, en hexadécimal."""
    return token_hex(JETON_OCTETS)


def sans_dementi(charges: dict[str, Any], illisibles: dict[str, str] | None = None) -> dict[str, Any]:
    """Ces créances et paiements, par flux, sans ceux qui se disent d'un autre flux que le leur.

    Ce qui en serait décidé serait écrit ailleurs, ou chercherait ce qui n'y est pas : un tel flux est illisible. Il est
    nommé dans `illisibles` ; sans elles, lève UnreadableStream.
    """
    for nom, agregat in tuple(charges.items()):
        dit = (
            Paiement.flux(agregat.transaction)
            if isinstance(agregat, Paiement)
            else Créance.flux(agregat.avis.reference)
        )
        if dit == nom:
            continue
        cause = f"son premier événement se dit de {dit}"
        if illisibles is None:
            raise UnreadableStream(nom, cause)
        illisibles[nom] = cause
        del charges[nom]
    return charges


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
    tirer_jeton: Callable[[], str] = jeton_au_hasard
    """La part de hasard d'un paiement, que la banque renvoie."""
    exiger_ouvrable: Callable[[Connection[Any]], None] = exiger_sans_recul
    """Lève un Refus tant qu'aucun paiement ne peut s'ouvrir sur ce journal."""
    approbation_delai: timedelta = timedelta(days=3)
    """Temps donné à une seconde personne pour approuver un règlement."""

    def decider(self, decision: Callable[[Connection[Any]], _T]) -> _T:
        """Exécute une décision dans une transaction, et la reprend si un autre a enregistré avant elle.

        Voir `engine.decision.decide`.
        """
        return decide(self.base, self.recorder, decision)

    def charger_creances(
        self,
        conn: Connection[Any],
        references: Iterable[ReferenceCreance],
        illisibles: dict[str, str] | None = None,
    ) -> dict[ReferenceCreance, Créance]:
        """Les créances qui existent, par référence, en une requête ; `illisibles` : voir `Recorder.load`."""
        demandees = list(references)
        flux = sans_dementi(self.recorder.load(conn, map(Créance.flux, demandees), illisibles), illisibles)
        return {reference: flux[nom] for reference in demandees if (nom := Créance.flux(reference)) in flux}

    def charger_paiement(self, conn: Connection[Any], transaction: ReferenceTransaction) -> Paiement | None:
        """Le paiement de cette transaction, s'il a un événement."""
        nom = Paiement.flux(transaction)
        paiement: Paiement | None = sans_dementi(self.recorder.load(conn, [nom])).get(nom)
        return paiement

    def exiger_ouvert(self, conn: Connection[Any], paiement: Paiement | None, maintenant: datetime) -> None:
        """Vérifie que le formulaire du kiosque peut encore être remis ; lève PaiementInconnu ou PaiementClos.

        L'annulation d'un de ses avis le ferme aussi, comme une dette devenue moindre que sa part.
        """
        if paiement is None:
            raise PaiementInconnu
        creances = self.charger_creances(conn, [imputation.reference for imputation in paiement.imputations])
        paiement.exiger_ouvert(maintenant, fermeture_de(paiement, creances))
