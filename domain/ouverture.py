"""Ouvrir un paiement : les règles qui l'acceptent ou le refusent, et le partage du montant."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from domain.avis import Canal
from domain.creance import Créance
from domain.imputation import Imputation, Ligne, imputer
from domain.monnaie import Centimes
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import (
    CaissesDifferentes,
    CreanceSoldee,
    Fermeture,
    MontantHorsBornes,
    MontantSuperieurAuSolde,
    PaiementEnCours,
    ReferenceNonOuverte,
    Refus,
    RestantDuInsuffisant,
    SelectionInvalide,
)
from domain.statut import StatutDePaiement


def exiger_consultable(creance: Créance | None, assure: Pseudonyme) -> Créance:
    """Rend la créance si cette personne peut la voir au paiement en ligne.

    Lève ReferenceNonOuverte, la même réponse que la référence soit inconnue, exclue, annulée ou d'une autre personne.
    """
    if creance is None or creance.avis.assure != assure or not creance.payable_en_ligne or creance.annulee:
        raise ReferenceNonOuverte
    return creance


class LigneDeCompte(Protocol):
    """Une créance telle que la règle de ce qui se coche la lit : celle du journal, ou la ligne d'une vue."""

    @property
    def reference(self) -> ReferenceCreance:
        """Sa référence."""

    @property
    def caisse(self) -> CodeCaisse:
        """La caisse de son avis."""

    @property
    def payable_en_ligne(self) -> bool:
        """Vrai si son avis l'a ouverte au service."""

    @property
    def annulee(self) -> bool:
        """Vrai si son avis est annulé."""

    @property
    def restant_du(self) -> int:
        """En centimes."""

    @property
    def en_cours(self) -> int:
        """Ce que des paiements en cours retiennent, en centimes."""


class PaiementDeCompte(Protocol):
    """Un paiement tel que la règle de ce qui se propose le lit."""

    @property
    def caisse(self) -> CodeCaisse:
        """La caisse à qui il va."""

    @property
    def statut(self) -> StatutDePaiement:
        """Où il en est."""


def caisses_en_verification(paiements: Iterable[PaiementDeCompte]) -> frozenset[CodeCaisse]:
    """Les caisses dont la banque a pris de l'argent que rien ne compte encore : nul n'y est invité à payer.

    Toute la caisse, et non les seules créances de ce paiement : le support peut rattacher l'argent à une autre.
    """
    return frozenset(un.caisse for un in paiements if un.statut is StatutDePaiement.EN_VERIFICATION)


class ACocher:
    """Ce qui peut être coché dans un compte : la règle, et les sommes de chaque caisse, faites une fois pour toutes."""

    def __init__(
        self,
        compte: Iterable[LigneDeCompte],
        politique: Politique,
        *,
        fins_des_paiements: Mapping[CodeCaisse, datetime] | None = None,
        exclusif: bool = False,
        en_verification: Collection[CodeCaisse] = (),
    ) -> None:
        """Lit toutes les créances de l'assuré ; une petite se paie avec d'autres de la même caisse.

        `fins_des_paiements` : jusqu'à quand ceux qui sont en cours peuvent être repris, par caisse. `exclusif` : un
        paiement en cours sur une ligne suffit à l'écarter. `en_verification` : voir `caisses_en_verification`.
        """
        self._en_verification = en_verification
        self._minimum = politique.minimum_par_paiement
        self._fins = fins_des_paiements or {}
        self._exclusif = exclusif
        self._restants: dict[CodeCaisse, int] = {}
        self._disponibles: dict[CodeCaisse, int] = {}
        for ligne in compte:
            if ligne.payable_en_ligne and not ligne.annulee:
                restant, caisse = ligne.restant_du, ligne.caisse
                self._restants[caisse] = self._restants.get(caisse, 0) + restant
                self._disponibles[caisse] = self._disponibles.get(caisse, 0) + self._disponible(restant, ligne.en_cours)

    def refus(self, ligne: LigneDeCompte) -> Refus | None:
        """La raison pour laquelle cette créance ne peut pas être cochée maintenant, ou None."""
        if not ligne.payable_en_ligne or ligne.annulee:
            return ReferenceNonOuverte()
        if not (restant := ligne.restant_du):
            return CreanceSoldee(ligne.reference)
        caisse = ligne.caisse
        if self._restants.get(caisse, 0) < self._minimum:
            return RestantDuInsuffisant(ligne.reference)
        if not self._disponible(restant, ligne.en_cours) or self._disponibles.get(caisse, 0) < self._minimum:
            return PaiementEnCours(self._fins.get(caisse), ())
        return None

    def invite(self, ligne: LigneDeCompte) -> bool:
        """Dit si l'on propose de payer cette créance : elle se coche, et rien n'est en vérification à sa caisse.

        Sans invitation, elle peut encore se payer, si la personne y tient : la réservation est levée.
        """
        return ligne.caisse not in self._en_verification and self.refus(ligne) is None

    def _disponible(self, restant: int, en_cours: int) -> int:
        if en_cours >= restant or (self._exclusif and en_cours):
            return 0
        return restant - en_cours


def decider_imputations(
    assure: Pseudonyme,
    references: Sequence[ReferenceCreance],
    montant: Centimes,
    creances: Mapping[ReferenceCreance, Créance],
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
        if not creance.restant_du:
            raise CreanceSoldee(creance.avis.reference)
    solde = sum(creance.restant_du for creance in cochees)
    if solde < politique.minimum_par_paiement:
        raise RestantDuInsuffisant(cochees[0].avis.reference)
    if exclusif and any(creance.en_cours for creance in cochees):
        raise _paiement_en_cours(cochees)
    if not politique.minimum_par_paiement <= montant <= politique.maximum_par_paiement:
        raise MontantHorsBornes(politique.minimum_par_paiement, politique.maximum_par_paiement)
    if montant > solde:
        raise MontantSuperieurAuSolde(solde)
    if montant > sum(creance.disponible for creance in cochees):
        raise _paiement_en_cours(cochees)
    return imputer(
        montant,
        (Ligne(creance.avis.reference, creance.avis.date_emission, creance.disponible) for creance in cochees),
    )


def ouvrir_paiement(
    transaction: ReferenceTransaction,
    *,
    assure: Pseudonyme,
    canal: Canal,
    marchand: str,
    jeton_retour: str | None = None,
    imputations: tuple[Imputation, ...],
    creances: Mapping[ReferenceCreance, Créance],
    politique: Politique,
    maintenant: datetime,
) -> Paiement:
    """Ouvre le paiement décidé et réserve sa part sur chaque créance ; rend le paiement, les créances évoluent.

    `jeton_retour` : une part aléatoire, en ASCII, que le kiosque rendra.
    """
    expire_le = maintenant + politique.ouverture
    paiement = Paiement.ouvrir(
        transaction,
        assure=assure,
        caisse=creances[imputations[0].reference].avis.caisse,
        canal=canal,
        marchand=marchand,
        jeton_retour=jeton_retour,
        montant=Centimes(sum(imputation.part for imputation in imputations)),
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


def fermeture_de(paiement: Paiement, creances: Mapping[ReferenceCreance, Créance]) -> Fermeture | None:
    """Ce qui interdit de remettre encore le formulaire de ce paiement, d'après ses créances ; None : rien.

    Ce qui reste dû est compté sans aucune réservation : la sienne en est une, et les autres paiements ont les leurs.
    """
    siennes = [(creances[imputation.reference], imputation.part) for imputation in paiement.imputations]
    if any(creance.annulee for creance, _ in siennes):
        return Fermeture.AVIS_ANNULE
    if any(creance.restant_du < part for creance, part in siennes):
        return Fermeture.DETTE_MOINDRE
    return None
