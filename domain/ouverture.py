"""Ouvrir un paiement : les règles qui l'acceptent ou le refusent, et le partage du montant."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.avis import Canal
from domain.creance import Créance
from domain.imputation import Imputation, Ligne, imputer
from domain.paiement import Paiement
from domain.politique import Politique
from domain.refus import (
    CaissesDifferentes,
    MontantHorsBornes,
    MontantSuperieurAuSolde,
    PaiementEnCours,
    ReferenceNonOuverte,
    Refus,
    RestantDuInsuffisant,
    SelectionInvalide,
)


def exiger_consultable(creance: Créance | None, assure: str) -> Créance:
    """Rend la créance si cette personne peut la voir au paiement en ligne.

    Lève RéférenceNonOuverte, la même réponse que la référence soit inconnue, exclue, annulée ou d'une autre personne.
    """
    if creance is None or creance.avis.assure != assure or not creance.payable_en_ligne or creance.annulee:
        raise ReferenceNonOuverte
    return creance


def refus_de_cocher(creance: Créance, politique: Politique) -> Refus | None:
    """La raison pour laquelle cette créance ne peut pas être cochée maintenant, ou None."""
    if creance.restant_du < politique.minimum_par_paiement:
        return RestantDuInsuffisant(creance.avis.reference)
    if creance.disponible < politique.minimum_par_paiement and creance.en_cours:
        return _paiement_en_cours([creance])
    return None


def decider_imputations(
    assure: str,
    references: Sequence[str],
    montant: int,
    creances: Mapping[str, Créance],
    politique: Politique,
    *,
    exclusif: bool = False,
) -> tuple[Imputation, ...]:
    """Décide si l'assuré peut payer ce montant (en centimes) sur ces références, et comment il se partage.

    `creances` : celles qui existent, par référence. `exclusif` : un paiement en cours sur l'une d'elles suffit à
    refuser, même s'il laisse assez à payer. Lève le Refus qui convient, du plus général au plus précis.
    """
    if not 0 < len(references) <= politique.references_max or len(set(references)) != len(references):
        raise SelectionInvalide
    cochees = [exiger_consultable(creances.get(reference), assure) for reference in references]
    if len({creance.avis.caisse for creance in cochees}) > 1:
        raise CaissesDifferentes
    for creance in cochees:
        if creance.restant_du < politique.minimum_par_paiement:
            raise RestantDuInsuffisant(creance.avis.reference)
    if exclusif and any(creance.en_cours for creance in cochees):
        raise _paiement_en_cours(cochees)
    if not politique.minimum_par_paiement <= montant <= politique.maximum_par_paiement:
        raise MontantHorsBornes(politique.minimum_par_paiement, politique.maximum_par_paiement)
    if montant > (solde := sum(creance.restant_du for creance in cochees)):
        raise MontantSuperieurAuSolde(solde)
    if montant > sum(creance.disponible for creance in cochees):
        raise _paiement_en_cours(cochees)
    return imputer(
        montant,
        (Ligne(creance.avis.reference, creance.avis.date_emission, creance.disponible) for creance in cochees),
    )


def ouvrir_paiement(
    transaction: str,
    *,
    assure: str,
    canal: Canal,
    marchand: str,
    imputations: tuple[Imputation, ...],
    creances: Mapping[str, Créance],
    politique: Politique,
    maintenant: datetime,
) -> Paiement:
    """Ouvre le paiement décidé et réserve sa part sur chaque créance ; rend le paiement, les créances évoluent."""
    expire_le = maintenant + politique.ouverture
    paiement = Paiement.ouvrir(
        transaction,
        assure=assure,
        caisse=creances[imputations[0].reference].avis.caisse,
        canal=canal,
        marchand=marchand,
        montant=sum(imputation.part for imputation in imputations),
        imputations=imputations,
        expire_le=expire_le,
        maintenant=maintenant,
    )
    for imputation in imputations:
        creances[imputation.reference].initier_paiement(
            transaction, imputation.part, canal, expire_le, maintenant=maintenant
        )
    return paiement


def _paiement_en_cours(creances: Sequence[Créance]) -> PaiementEnCours:
    en_cours = {
        transaction: reservation for creance in creances for transaction, reservation in creance.en_cours.items()
    }
    jusqu_a = max(reservation.expire_le for reservation in en_cours.values())
    return PaiementEnCours(jusqu_a, tuple(sorted(en_cours)))
