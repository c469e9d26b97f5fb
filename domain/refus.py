"""Les refus : un type par raison, dont la première ligne de la docstring est la phrase qu'une personne lit."""

from datetime import datetime
from typing import ClassVar

from domain.delai import PARIS
from domain.monnaie import euros


class Refus(Exception):
    """Cette opération n'est pas possible."""

    code: ClassVar[str] = "refus"
    """Le nom stable du refus, pour les programmes."""

    @property
    def phrase(self) -> str:
        """La phrase montrée à la personne."""
        return (self.__doc__ or "").strip().splitlines()[0]

    def __str__(self) -> str:
        """La même phrase."""
        return self.phrase


# --- L'assuré cherche une créance, ou veut payer ---------------------------------------------------------------------


class ReferenceNonOuverte(Refus):
    """Cette référence de courrier n'est pas ouverte au paiement en ligne.

    Une seule et même réponse pour une référence inconnue, exclue, annulée ou d'une autre personne.
    """

    code = "reference_non_ouverte"


class RestantDuInsuffisant(Refus):
    """Le montant restant dû pour cette référence de courrier est inférieur au montant minimum de paiement en ligne : merci d'utiliser un autre moyen de paiement."""  # noqa: E501

    code = "restant_du_insuffisant"

    def __init__(self, reference: str) -> None:
        """Retient la référence concernée."""
        super().__init__(reference)
        self.reference = reference


class PaiementEnCours(Refus):
    """Un paiement est déjà en cours pour cette référence de courrier : vous pouvez le reprendre, ou attendre sa fin."""

    code = "paiement_en_cours"

    def __init__(self, jusqu_a: datetime, transactions: tuple[str, ...]) -> None:
        """Retient jusqu'à quand, et quelles transactions sont en cours."""
        super().__init__(jusqu_a, transactions)
        self.jusqu_a = jusqu_a
        self.transactions = transactions

    @property
    def phrase(self) -> str:
        """La phrase, avec l'heure de Paris jusqu'à laquelle le paiement peut être repris."""
        heure = self.jusqu_a.astimezone(PARIS)
        return f"{super().phrase} Il peut être repris jusqu'à {heure:%H:%M}."


class MontantHorsBornes(Refus):
    """Le montant saisi n'est pas compris entre le minimum et le maximum d'un paiement en ligne."""

    code = "montant_hors_bornes"

    def __init__(self, minimum: int, maximum: int) -> None:
        """Retient les bornes, en centimes."""
        super().__init__(minimum, maximum)
        self.minimum = minimum
        self.maximum = maximum

    @property
    def phrase(self) -> str:
        """La phrase du pas-à-pas, avec les bornes en vigueur."""
        return f"Vous pouvez payer entre {euros(self.minimum)} et {euros(self.maximum)} par paiement."


class MontantSuperieurAuSolde(Refus):
    """Le montant saisi est supérieur au solde total à payer des références sélectionnées."""

    code = "montant_superieur_au_solde"

    def __init__(self, solde: int) -> None:
        """Retient le solde des références cochées, en centimes."""
        super().__init__(solde)
        self.solde = solde

    @property
    def phrase(self) -> str:
        """La phrase, avec le solde."""
        return f"{super().phrase[:-1]} ({euros(self.solde)})."


class CaissesDifferentes(Refus):
    """Les références sélectionnées relèvent de caisses différentes : merci de les payer séparément."""

    code = "caisses_differentes"


class SelectionInvalide(Refus):
    """Sélectionnez au moins une référence, chacune une seule fois, sans dépasser le nombre permis par paiement."""

    code = "selection_invalide"


class PaiementClos(Refus):
    """Ce paiement ne peut plus être repris : il est terminé ou son délai est passé."""

    code = "paiement_clos"


class PaiementInconnu(Refus):
    """Ce paiement n'existe pas."""

    code = "paiement_inconnu"


class MessageInconnu(Refus):
    """Ce message n'existe pas, ou plus.

    Une seule et même réponse pour un message inconnu, d'une autre personne, supprimé ou trop ancien.
    """

    code = "message_inconnu"


# --- La caisse envoie un avis, une rectification, un encaissement ----------------------------------------------------


class AvisInconnu(Refus):
    """Aucun avis n'a été reçu pour cette référence : le message attend que le support le règle."""

    code = "avis_inconnu"


class AvisContradictoire(Refus):
    """Un avis de même référence mais de contenu différent est déjà enregistré : le premier reste."""

    code = "avis_contradictoire"


class MessageContradictoire(Refus):
    """Un message de même identifiant mais de contenu différent est déjà enregistré : le premier reste."""

    code = "message_contradictoire"


class AvisDejaAnnule(Refus):
    """Cet avis est annulé : il ne peut plus être rectifié ni annulé de nouveau."""

    code = "avis_deja_annule"


# --- Le support règle une anomalie -----------------------------------------------------------------------------------


class SecondePersonneRequise(Refus):
    """Rembourser, contre-passer ou rattacher de l'argent demande l'accord d'une seconde personne."""

    code = "seconde_personne_requise"


class PaiementNonAccepte(Refus):
    """Seul un paiement accepté et non encore contre-passé peut être contre-passé."""

    code = "paiement_non_accepte"


class RemboursementExcessif(Refus):
    """Le remboursement dépasse le trop-perçu."""

    code = "remboursement_excessif"
