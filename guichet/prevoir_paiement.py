"""Prévoir un paiement : dire comment il se partagerait, sans rien enregistrer ni réserver."""

from collections.abc import Sequence
from typing import NamedTuple

from domain.monnaie import Centimes
from domain.ouverture import decider_imputations
from domain.references import Pseudonyme, ReferenceCreance
from guichet.guichet import Guichet


class PartPrevue(NamedTuple):
    """Ce qu'un paiement ferait d'une référence cochée ; les montants sont en centimes."""

    reference: ReferenceCreance
    avant: int
    """Restant dû avant le paiement."""
    part: Centimes
    """Nulle si le montant est épuisé par les plus anciennes."""
    apres: int


def prevoir_paiement(
    guichet: Guichet, assure: Pseudonyme, references: Sequence[ReferenceCreance], montant: Centimes, *, exclusif: bool
) -> tuple[PartPrevue, ...]:
    """Le partage qu'`ouvrir_paiement` déciderait maintenant, la plus ancienne d'abord ; lève les refus du domaine."""
    with guichet.base.transaction() as conn:
        creances = guichet.charger_creances(conn, references)
    imputations = decider_imputations(assure, references, montant, creances, guichet.politique, exclusif=exclusif)
    parts = {imputation.reference: imputation.part for imputation in imputations}
    cochees = sorted(creances.values(), key=lambda creance: (creance.avis.date_emission, creance.avis.reference))
    prevues = []
    for creance in cochees:
        reference = creance.avis.reference
        part = parts.get(reference, Centimes(0))
        prevues.append(PartPrevue(reference, creance.restant_du, part, creance.restant_du - part))
    return tuple(prevues)
