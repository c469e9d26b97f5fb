"""Prévoir un paiement : dire comment il se partagerait, sans rien enregistrer ni réserver."""

from collections.abc import Sequence
from typing import NamedTuple

from domain.ouverture import décider_imputations
from guichet.guichet import Guichet


class PartPrévue(NamedTuple):
    """Ce qu'un paiement ferait d'une référence cochée ; les montants sont en centimes."""

    référence: str
    avant: int
    """Restant dû avant le paiement."""
    part: int
    """Nulle si le montant est épuisé par les plus anciennes."""
    après: int
    fermée: bool
    """Vrai si ce qui resterait ne pourrait plus se payer en ligne."""


def prévoir_paiement(
    guichet: Guichet, assuré: str, références: Sequence[str], montant: int, *, exclusif: bool
) -> tuple[PartPrévue, ...]:
    """Le partage qu'`ouvrir_paiement` déciderait maintenant, la plus ancienne d'abord ; lève les mêmes refus."""
    with guichet.base.transaction() as conn:
        créances = guichet.charger_créances(conn, list(références))
    imputations = décider_imputations(assuré, références, montant, créances, guichet.politique, exclusif=exclusif)
    parts = {imputation.référence: imputation.part for imputation in imputations}
    cochées = sorted(créances.values(), key=lambda créance: (créance.avis.date_émission, créance.avis.référence))
    prévues = []
    for créance in cochées:
        référence = créance.avis.référence
        part = parts.get(référence, 0)
        après = créance.restant_dû - part
        prévues.append(
            PartPrévue(référence, créance.restant_dû, part, après, guichet.politique.ferme_au_paiement(après))
        )
    return tuple(prévues)
