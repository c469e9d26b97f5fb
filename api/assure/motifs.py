"""Pourquoi un paiement n'a pas abouti, dit à la personne : ce qui s'est passé, si sa carte est débitée, que faire.

Les mots et les codes de la banque restent au support.
"""

from enum import StrEnum
from typing import NamedTuple, assert_never

from domain.paiement import ARGENT_RENDU
from domain.statut import StatutDePaiement
from kiosque.interface import Echec, Kiosque
from projections.vues.paiements import LignePaiement


class Famille(StrEnum):
    """Les raisons qu'une personne peut comprendre."""

    ANNULE = "annule"
    DELAI = "delai"
    REFUSE = "refuse"
    INCIDENT = "incident"
    RENDU = "rendu"
    """La banque avait pris un autre montant ; deux personnes l'ont fait rendre."""


class Motif(NamedTuple):
    """Ce que la personne lit."""

    famille: Famille
    cause: str
    debit: str
    suite: str


def motif_de(paiement: LignePaiement, kiosque: Kiosque) -> Motif | None:
    """Pourquoi ce paiement n'a pas abouti, son code lu par le kiosque ; None s'il a abouti, ou si rien n'en est dit."""
    match paiement.statut:
        case StatutDePaiement.ECHOUE if paiement.cause == ARGENT_RENDU:
            return _motif(Famille.RENDU)
        case StatutDePaiement.ECHOUE:
            return _motif(_famille(kiosque.echec(paiement.code)))
        case StatutDePaiement.EXPIRE:
            return _motif(Famille.DELAI)
        case StatutDePaiement.EN_COURS | StatutDePaiement.EN_VERIFICATION | StatutDePaiement.ACCEPTE:
            return None
        case _:
            assert_never(paiement.statut)


def _famille(echec: Echec) -> Famille:
    match echec:
        case Echec.ANNULE:
            return Famille.ANNULE
        case Echec.DELAI:
            return Famille.DELAI
        case Echec.REFUSE:
            return Famille.REFUSE
        case Echec.INCIDENT:
            return Famille.INCIDENT
        case _:
            assert_never(echec)


def _motif(famille: Famille) -> Motif:
    match famille:
        case Famille.ANNULE:
            return Motif(
                famille,
                "Vous avez annulé ce paiement.",
                "Votre carte n'a pas été débitée.",
                "Vous pouvez recommencer quand vous le souhaitez.",
            )
        case Famille.DELAI:
            return Motif(
                famille,
                "Le délai de paiement est passé.",
                "La banque ne nous a signalé aucun débit de votre carte.",
                "Vous pouvez recommencer ; si votre relevé montre un débit, ne payez pas et appelez le 36 46.",
            )
        case Famille.REFUSE:
            return Motif(
                famille,
                "La banque a refusé ce paiement.",
                "Votre carte n'a pas été débitée.",
                "Vous pouvez essayer avec une autre carte, ou demander la raison à votre banque.",
            )
        case Famille.RENDU:
            return Motif(
                famille,
                "La banque avait pris un autre montant que le vôtre.",
                "L'argent pris vous a été rendu.",
                "Vous pouvez payer de nouveau ; si votre relevé ne montre pas ce retour, appelez le 36 46.",
            )
        case Famille.INCIDENT:
            return Motif(
                famille,
                "Un incident technique a interrompu ce paiement.",
                "La banque ne nous a signalé aucun débit de votre carte.",
                "Vous pouvez recommencer dans quelques minutes ; si l'incident se répète, appelez le 36 46.",
            )
        case inattendue:
            assert_never(inattendue)
