"""Les refus : un type par raison, avec la phrase qu'une personne lit.

Plus de 300 lignes : une liste, un refus après l'autre, que rien ne lie.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from domain.delai import PARIS
from domain.monnaie import euros
from domain.references import ReferenceCreance, ReferenceTransaction
from domain.statut import StatutDePaiement


class Refus(Exception):
    """Une opération que les règles ne permettent pas ; chaque raison est une sous-classe."""

    code: ClassVar[str] = "refus"
    """Le nom stable du refus, pour les programmes."""
    phrase_de_base: ClassVar[str] = "Cette opération n'est pas possible."
    """La phrase montrée à la personne, avant ce qu'une instance y ajoute."""

    @property
    def phrase(self) -> str:
        """La phrase montrée à la personne."""
        return self.phrase_de_base

    def __str__(self) -> str:
        """La même phrase."""
        return self.phrase


# --- L'assuré cherche une créance, ou veut payer ---------------------------------------------------------------------


class ReferenceNonOuverte(Refus):
    """Une référence inconnue, exclue, annulée ou d'une autre personne : une seule et même réponse."""

    code = "reference_non_ouverte"
    phrase_de_base = "Cette référence de courrier n'est pas ouverte au paiement en ligne."


class RestantDuInsuffisant(Refus):
    """Rien de ce qui se paie avec cette créance n'atteint le minimum d'un paiement en ligne."""

    code = "restant_du_insuffisant"
    phrase_de_base = (
        "Le montant restant dû pour cette référence de courrier est inférieur au montant minimum de "
        "paiement en ligne : merci d'utiliser un autre moyen de paiement."
    )

    def __init__(self, reference: ReferenceCreance) -> None:
        """Retient la référence concernée."""
        super().__init__(reference)
        self.reference = reference


class CreanceSoldee(Refus):
    """Il n'y a plus rien à payer."""

    code = "creance_soldee"
    phrase_de_base = "Cette référence de courrier est soldée : il n'y a plus rien à payer."

    def __init__(self, reference: ReferenceCreance) -> None:
        """Retient la référence concernée."""
        super().__init__(reference)
        self.reference = reference


class PaiementEnCours(Refus):
    """Seuls des paiements en cours empêchent celui-ci."""

    code = "paiement_en_cours"
    phrase_de_base = (
        "Un paiement est déjà en cours pour cette référence de courrier : vous pouvez le reprendre, ou attendre sa fin."
    )

    phrase_sans_reprise: ClassVar[str] = (
        "Un paiement de cette référence de courrier attend la réponse de la banque ; ne payez pas une seconde fois."
    )
    """Son délai est passé, ou sa dette a baissé ; rien ne dit encore que la banque l'ait pris."""

    def __init__(
        self,
        jusqu_a: datetime | None,
        transactions: tuple[ReferenceTransaction, ...],
        *,
        reprenable: bool = True,
    ) -> None:
        """Retient quelles transactions sont en cours, et jusqu'à quand ; None si une vue en retard l'ignore encore.

        `reprenable` : faux si le formulaire d'aucune ne se remet plus.
        """
        super().__init__(jusqu_a, transactions)
        self.jusqu_a = jusqu_a
        self.transactions = transactions
        self.reprenable = reprenable

    @property
    def phrase(self) -> str:
        """La phrase, avec l'heure de Paris jusqu'à laquelle le paiement peut être repris."""
        if not self.reprenable:
            return self.phrase_sans_reprise
        if self.jusqu_a is None:
            return super().phrase
        heure = self.jusqu_a.astimezone(PARIS)
        return f"{super().phrase} Il peut être repris jusqu'à {heure:%H\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}%M}."


class MontantHorsBornes(Refus):
    """Le montant n'est pas entre les bornes d'un paiement en ligne."""

    code = "montant_hors_bornes"
    phrase_de_base = "Le montant saisi n'est pas compris entre le minimum et le maximum d'un paiement en ligne."

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
    """Le montant dépasse ce que doivent les créances cochées."""

    code = "montant_superieur_au_solde"
    phrase_de_base = "Le montant saisi est supérieur au solde total à payer des références sélectionnées."

    def __init__(self, solde: int) -> None:
        """Retient le solde des références cochées, en centimes."""
        super().__init__(solde)
        self.solde = solde

    @property
    def phrase(self) -> str:
        """La phrase, avec le solde."""
        return f"{super().phrase[:-1]} ({euros(self.solde)})."


class CaissesDifferentes(Refus):
    """Un paiement ne va qu'à une caisse."""

    code = "caisses_differentes"
    phrase_de_base = "Les références sélectionnées relèvent de caisses différentes : merci de les payer séparément."


class SelectionInvalide(Refus):
    """Aucune référence, une répétée, ou trop."""

    code = "selection_invalide"
    phrase_de_base = (
        "Sélectionnez au moins une référence, chacune une seule fois, sans dépasser le nombre permis par paiement."
    )


class Fermeture(StrEnum):
    """Ce qui ferme un paiement encore ouvert : ce qu'il demanderait n'est plus dû."""

    AVIS_ANNULE = "avis_annule"
    DETTE_MOINDRE = "dette_moindre"
    """Un chèque, une rectification : il reste à payer moins que sa part."""


class PaiementClos(Refus):
    """Le formulaire de ce paiement ne se remet plus ; le refus porte ce qui est arrivé."""

    code = "paiement_clos"
    phrase_de_base = "Ce paiement ne peut plus être repris : il est terminé ou son délai est passé."

    def __init__(
        self, transaction: ReferenceTransaction, statut: StatutDePaiement, fermeture: Fermeture | None = None
    ) -> None:
        """Retient le paiement et où il en est ; `fermeture` : ce qui le ferme, s'il n'a pas fini de lui-même."""
        super().__init__(transaction, statut)
        self.transaction = transaction
        self.statut = statut
        self.fermeture = fermeture

    @property
    def phrase(self) -> str:
        """La phrase, suivie de ce qui est arrivé."""
        if self.fermeture is not None:
            return _PHRASES_DE_FERMETURE[self.fermeture]
        return f"{super().phrase} {_SUITES_D_UN_PAIEMENT[self.statut]}"


class PaiementInconnu(Refus):
    """Aucun paiement de cette personne n'a cette référence."""

    code = "paiement_inconnu"
    phrase_de_base = "Ce paiement n'existe pas."


class MessageInconnu(Refus):
    """Un message inconnu, d'une autre personne, supprimé ou trop ancien : une seule et même réponse."""

    code = "message_inconnu"
    phrase_de_base = "Ce message n'existe pas, ou plus."


_PHRASES_DE_FERMETURE: Final[Mapping[Fermeture, str]] = {
    Fermeture.AVIS_ANNULE: "Ce paiement ne peut plus être repris. Cet avis a été annulé par votre caisse.",
    Fermeture.DETTE_MOINDRE: (
        "Ce paiement ne peut plus être repris : votre dette a baissé depuis, et il dépasserait ce qui reste à payer."
        " S'il reste une somme due, un nouveau paiement sera possible une fois celui-ci clos."
    ),
}

_SUITES_D_UN_PAIEMENT: Final[Mapping[StatutDePaiement, str]] = {
    StatutDePaiement.EN_COURS: "La réponse de la banque est attendue.",
    StatutDePaiement.ACCEPTE: "Il a été accepté : ne payez pas de nouveau.",
    StatutDePaiement.ECHOUE: "Votre transaction de paiement a échoué.",
    StatutDePaiement.EXPIRE: "Votre transaction de paiement a échoué.",
    StatutDePaiement.EN_VERIFICATION: "Il est en cours de vérification : ne payez pas de nouveau.",
}


# --- La caisse envoie un avis, une rectification, un encaissement ----------------------------------------------------


class AvisInconnu(Refus):
    """Le message parle d'une créance qu'aucun avis n'a ouverte."""

    code = "avis_inconnu"
    phrase_de_base = (
        "Aucun avis n'a été reçu pour cette référence : le message attend, et s'appliquera quand l'avis viendra."
    )


class AvisContradictoire(Refus):
    """Le même avis, avec un autre contenu."""

    code = "avis_contradictoire"
    phrase_de_base = "Un avis de même référence mais de contenu différent est déjà enregistré : le premier reste."

    def __init__(self, differences: Sequence[str]) -> None:
        """Retient ce qui diffère, en toutes lettres : les deux contenus restent lisibles du support."""
        super().__init__(differences)
        self.differences = differences

    @property
    def phrase(self) -> str:
        """La phrase, avec ce qui diffère."""
        return f"{super().phrase[:-1]} ({' ; '.join(self.differences)})."


class MessageContradictoire(Refus):
    """Le même identifiant de message, avec un autre contenu."""

    code = "message_contradictoire"
    phrase_de_base = "Un message de même identifiant mais de contenu différent est déjà enregistré : le premier reste."

    def __init__(self, premier: str, second: str) -> None:
        """Retient les deux contenus, en toutes lettres."""
        super().__init__(premier, second)
        self.contenus = (premier, second)

    @property
    def phrase(self) -> str:
        """La phrase, avec les deux contenus."""
        return f"{super().phrase[:-1]} ({', puis '.join(self.contenus)})."


class AvisDejaAnnule(Refus):
    """L'avis a déjà été annulé par la caisse."""

    code = "avis_deja_annule"
    phrase_de_base = "Cet avis est annulé : il ne peut plus être rectifié ni annulé de nouveau."


# --- Le support règle une anomalie -----------------------------------------------------------------------------------


class SecondePersonneRequise(Refus):
    """Une seule personne ne suffit pas à faire bouger de l'argent.

    Un compte de la machine et une personne de l'émetteur ne comptent que pour une : rien ne les distingue.
    """

    code = "seconde_personne_requise"
    phrase_de_base = (
        "Rembourser, contre-passer ou rattacher de l'argent demande l'accord d'une seconde personne, reconnue de la"
        " même façon que la première : par son jeton, ou par son compte sur la machine."
    )


class PaiementNonAccepte(Refus):
    """La transaction n'a pas été acceptée, ou est déjà contre-passée."""

    code = "paiement_non_accepte"
    phrase_de_base = "Seul un paiement accepté et non encore contre-passé peut être contre-passé."


class RemboursementExcessif(Refus):
    """On ne rend pas plus que le trop-perçu."""

    code = "remboursement_excessif"
    phrase_de_base = "Le remboursement dépasse le trop-perçu."


class AnomalieInconnue(Refus):
    """Aucune anomalie n'a ce nom."""

    code = "anomalie_inconnue"
    phrase_de_base = "Aucune anomalie ne porte ce nom."


class AnomalieDejaReglee(Refus):
    """Ce qui est réglé ne se règle pas de nouveau."""

    code = "anomalie_deja_reglee"
    phrase_de_base = "Cette anomalie est déjà réglée : rien n'a été changé."


class GesteImpossible(Refus):
    """Ce geste ne règle pas cette anomalie, ou pas dans cet état."""

    code = "geste_impossible"
    phrase_de_base = "Ce geste ne peut pas régler cette anomalie."

    def __init__(self, pourquoi: str = "") -> None:
        """Retient pourquoi, en une phrase."""
        super().__init__(pourquoi)
        self.pourquoi = pourquoi

    @property
    def phrase(self) -> str:
        """La phrase, et pourquoi."""
        return f"{super().phrase} {self.pourquoi}".rstrip()


class MontantSuperieurAOuvert(Refus):
    """On ne règle pas plus que ce qui est ouvert."""

    code = "montant_superieur_a_ouvert"
    phrase_de_base = "Le montant dépasse ce qui peut encore être réglé."

    def __init__(self, ouvert: int) -> None:
        """Retient ce qui est encore ouvert, en centimes."""
        super().__init__(ouvert)
        self.ouvert = ouvert

    @property
    def phrase(self) -> str:
        """La phrase, avec ce qui reste ouvert."""
        return f"{super().phrase[:-1]} ({euros(self.ouvert)})."


class PropositionEnAttente(Refus):
    """Un autre règlement attend déjà une seconde personne, ou la banque."""

    code = "proposition_en_attente"
    phrase_de_base = "Un règlement est déjà proposé pour cette anomalie : il faut d'abord l'approuver ou le décliner."

    def __init__(self, expire_le: datetime) -> None:
        """Retient jusqu'à quand elle peut être approuvée."""
        super().__init__(expire_le)
        self.expire_le = expire_le


class AucunePropositionEnAttente(Refus):
    """Il n'y a rien à approuver ni à décliner."""

    code = "aucune_proposition"
    phrase_de_base = "Aucun règlement n'est proposé pour cette anomalie."


class PropositionPerimee(Refus):
    """La proposition n'a pas été approuvée à temps."""

    code = "proposition_perimee"
    phrase_de_base = "La proposition est périmée : elle est à refaire."

    def __init__(self, expire_le: datetime) -> None:
        """Retient quand elle a pris fin."""
        super().__init__(expire_le)
        self.expire_le = expire_le


class PropositionAutre(Refus):
    """La proposition lue n'est plus celle qui attend."""

    code = "proposition_autre"
    phrase_de_base = "La proposition a changé depuis que vous l'avez lue : relisez-la avant d'approuver."


class RemboursementEnCours(Refus):
    """La banque n'a pas encore répondu d'un autre remboursement de ce paiement."""

    code = "remboursement_en_cours"
    phrase_de_base = "Un remboursement de ce paiement attend déjà la réponse de la banque."


class AgentIrrecevable(Refus):
    """Le nom de l'agent manque, ou n'a pas la forme d'un identifiant."""

    code = "agent_irrecevable"
    phrase_de_base = "Le nom de l'agent est un identifiant de 64 lettres, chiffres ou « . _ | : - » au plus."


class TexteIrrecevable(Refus):
    """Le motif ou la pièce manque, est trop long, ou porte ce qu'un texte ne doit pas porter."""

    code = "texte_irrecevable"
    phrase_de_base = (
        "Le motif et la pièce sont des phrases de 3 à 200 signes, sans balise, ni signe de commande, ni numéro de"
        " sécurité sociale."
    )


class PieceManquante(Refus):
    """Un virement se constate par sa référence."""

    code = "piece_manquante"
    phrase_de_base = "Ce règlement demande une pièce : la référence du virement, du courrier ou du rapport."


class RejeuRefuse(Refus):
    """Rejoué, le message serait refusé encore, ou n'est plus là."""

    code = "rejeu_refuse"
    phrase_de_base = "Ce message ne peut pas être rejoué."

    def __init__(self, pourquoi: str = "") -> None:
        """Retient pourquoi, en une phrase."""
        super().__init__(pourquoi)
        self.pourquoi = pourquoi

    @property
    def phrase(self) -> str:
        """La phrase, et pourquoi."""
        return f"{super().phrase} {self.pourquoi}".rstrip()


def refus_connus() -> frozenset[type[Refus]]:
    """Tous les refus déclarés : ce qu'une table sur les refus doit couvrir."""
    connus: set[type[Refus]] = set()
    a_voir: list[type[Refus]] = [Refus]
    while a_voir:
        for refus in a_voir.pop().__subclasses__():
            connus.add(refus)
            a_voir.append(refus)
    return frozenset(connus)
