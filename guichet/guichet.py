"""Ce dont chaque cas d'usage a besoin, et comment une décision est reprise quand un autre a été plus rapide."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog
from psycopg import Connection

from domain.creance import Créance
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import ReferenceCreance, ReferenceTransaction
from domain.refus import PaiementInconnu
from engine.conflicts import KeyConflict, VersionConflict
from engine.database import Database
from engine.outages import is_retryable
from engine.recorder import Recorder
from kiosque.interface import Kiosque

ESSAIS_OPTIMISTES: Final = 3
"""Décisions reprises après un conflit avant de prendre d'abord l'ordre d'écriture."""

ESSAIS_APRES_PANNE: Final = 2
"""Essais en tout quand la connexion se perd ; une requête enregistrée est retrouvée par sa clé, pas redécidée."""

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

        La décision charge, décide et inscrit ; elle est rejouée entière. Après `ESSAIS_OPTIMISTES` conflits, l'ordre
        d'écriture est pris avant de charger : la décision suivante ne peut plus perdre. Si la réponse à la validation
        s'est perdue, la décision rejouée retrouve ce qui est enregistré : sa clé, ou l'état qu'elle a produit.
        """
        conflits = pannes = 0
        while True:
            try:
                with self.base.transaction() as conn:
                    if conflits >= ESSAIS_OPTIMISTES:
                        self.recorder.take_order(conn)
                    return decision(conn)
            except (VersionConflict, KeyConflict) as conflit:
                conflits += 1
                structlog.get_logger().info("decision_reprise", conflit=type(conflit).__name__, essai=conflits)
            except Exception as erreur:
                pannes += 1
                if pannes >= ESSAIS_APRES_PANNE or not is_retryable(erreur):
                    raise
                structlog.get_logger().warning("decision_apres_panne", essai=pannes)

    def charger_creances(
        self, conn: Connection[Any], references: Iterable[ReferenceCreance]
    ) -> dict[ReferenceCreance, Créance]:
        """Les créances qui existent, par référence, en une requête."""
        demandees = list(references)
        flux = self.recorder.load(conn, map(Créance.flux, demandees))
        return {reference: flux[nom] for reference in demandees if (nom := Créance.flux(reference)) in flux}

    def charger_paiement(self, conn: Connection[Any], transaction: ReferenceTransaction) -> Paiement | None:
        """Le paiement de cette transaction, s'il a un événement."""
        nom = Paiement.flux(transaction)
        paiement: Paiement | None = self.recorder.load(conn, [nom]).get(nom)
        return paiement

    def exiger_ouvert(self, conn: Connection[Any], paiement: Paiement | None, maintenant: datetime) -> None:
        """Vérifie que le formulaire du kiosque peut encore être remis ; lève PaiementInconnu ou PaiementClos.

        L'annulation d'un de ses avis le ferme aussi : il n'y a plus rien à payer.
        """
        if paiement is None:
            raise PaiementInconnu
        creances = self.charger_creances(conn, [imputation.reference for imputation in paiement.imputations])
        paiement.exiger_ouvert(maintenant, avis_annule=any(creance.annulee for creance in creances.values()))
