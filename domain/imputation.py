"""L'imputation : comment le montant d'un paiement se partage entre les créances cochées."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from pydantic import BaseModel

from domain.faits import MODELE
from domain.monnaie import Centimes
from domain.references import ReferenceCreance


class Imputation(BaseModel):
    """La part d'un paiement qui va à une créance, en centimes."""

    model_config = MODELE

    reference: ReferenceCreance
    part: Centimes


class Ligne(NamedTuple):
    """Une créance cochée, vue de l'imputation."""

    reference: ReferenceCreance
    date_emission: date
    disponible: int
    """Restant dû net des paiements en cours, en centimes."""


def imputer(montant: Centimes, lignes: Iterable[Ligne]) -> tuple[Imputation, ...]:
    """Partage un montant, la créance la plus ancienne d'abord, puis par référence ; les parts nulles sont omises.

    Source : Code civil, art. 1342-10 (le choix du débiteur, sinon la plus ancienne) ; ici, il a coché.
    Lève ValueError si les lignes ne peuvent pas tout recevoir : l'appelant doit l'avoir refusé avant.
    """
    parts = []
    reste = montant
    for ligne in sorted(lignes, key=lambda ligne: (ligne.date_emission, ligne.reference)):
        part = Centimes(min(reste, ligne.disponible))
        if part > 0:
            parts.append(Imputation(reference=ligne.reference, part=part))
            reste = Centimes(reste - part)
    if reste:
        raise ValueError(f"{reste} centimes ne trouvent pas de créance")
    return tuple(parts)
