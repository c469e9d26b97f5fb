"""Ouvrir un paiement : les règles qui l'acceptent ou le refusent, et le partage du montant."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.avis import Canal
from domain.creance import Créance
from domain.imputation import Imputation, Ligne, imputer
from domain.paiement import Paiement
from domain.politique import Politique
from domain.refus import (
    CaissesDifférentes,
    MontantHorsBornes,
    MontantSupérieurAuSolde,
    PaiementEnCours,
    Refus,
    RestantDûInsuffisant,
    RéférenceNonOuverte,
    SélectionInvalide,
)


def exiger_consultable(créance: Créance | None, assuré: str) -> Créance:
    """Rend la créance si cette personne peut la voir au paiement en ligne.

    Lève RéférenceNonOuverte, la même réponse que la référence soit inconnue, exclue, annulée ou d'une autre personne.
    """
    if créance is None or créance.avis.assuré != assuré or not créance.payable_en_ligne or créance.annulée:
        raise RéférenceNonOuverte
    return créance


def refus_de_cocher(créance: Créance, politique: Politique) -> Refus | None:
    """La raison pour laquelle cette créance ne peut pas être cochée maintenant, ou None."""
    if créance.restant_dû < politique.minimum_par_paiement:
        return RestantDûInsuffisant(créance.avis.référence)
    if créance.disponible < politique.minimum_par_paiement and créance.en_cours:
        return _paiement_en_cours([créance])
    return None


def décider_imputations(
    assuré: str,
    références: Sequence[str],
    montant: int,
    créances: Mapping[str, Créance],
    politique: Politique,
    *,
    exclusif: bool = False,
) -> tuple[Imputation, ...]:
    """Décide si l'assuré peut payer ce montant (en centimes) sur ces références, et comment il se partage.

    `créances` : celles qui existent, par référence. `exclusif` : un paiement en cours sur l'une d'elles suffit à
    refuser, même s'il laisse assez à payer. Lève le Refus qui convient, du plus général au plus précis.
    """
    if not 0 < len(références) <= politique.références_max or len(set(références)) != len(références):
        raise SélectionInvalide
    cochées = [exiger_consultable(créances.get(référence), assuré) for référence in références]
    if len({créance.avis.caisse for créance in cochées}) > 1:
        raise CaissesDifférentes
    for créance in cochées:
        if créance.restant_dû < politique.minimum_par_paiement:
            raise RestantDûInsuffisant(créance.avis.référence)
    if exclusif and any(créance.en_cours for créance in cochées):
        raise _paiement_en_cours(cochées)
    if not politique.minimum_par_paiement <= montant <= politique.maximum_par_paiement:
        raise MontantHorsBornes(politique.minimum_par_paiement, politique.maximum_par_paiement)
    if montant > (solde := sum(créance.restant_dû for créance in cochées)):
        raise MontantSupérieurAuSolde(solde)
    if montant > sum(créance.disponible for créance in cochées):
        raise _paiement_en_cours(cochées)
    return imputer(
        montant,
        (Ligne(créance.avis.référence, créance.avis.date_émission, créance.disponible) for créance in cochées),
    )


def ouvrir_paiement(
    transaction: str,
    *,
    assuré: str,
    canal: Canal,
    marchand: str,
    imputations: tuple[Imputation, ...],
    créances: Mapping[str, Créance],
    politique: Politique,
    maintenant: datetime,
) -> Paiement:
    """Ouvre le paiement décidé et réserve sa part sur chaque créance ; rend le paiement, les créances évoluent."""
    expire_le = maintenant + politique.ouverture
    paiement = Paiement.ouvrir(
        transaction,
        assuré=assuré,
        caisse=créances[imputations[0].référence].avis.caisse,
        canal=canal,
        marchand=marchand,
        montant=sum(imputation.part for imputation in imputations),
        imputations=imputations,
        expire_le=expire_le,
        maintenant=maintenant,
    )
    for imputation in imputations:
        créances[imputation.référence].initier_paiement(
            transaction, imputation.part, canal, expire_le, maintenant=maintenant
        )
    return paiement


def _paiement_en_cours(créances: Sequence[Créance]) -> PaiementEnCours:
    en_cours = {
        transaction: réservation for créance in créances for transaction, réservation in créance.en_cours.items()
    }
    jusqu_à = max(réservation.expire_le for réservation in en_cours.values())
    return PaiementEnCours(jusqu_à, tuple(sorted(en_cours)))
