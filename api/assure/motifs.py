"""Pourquoi un paiement n'a pas abouti, dit à la personne : ce qui s'est passé, si sa carte est débitée, que faire.

Les mots et les codes de la banque restent au support.
"""

from enum import StrEnum
from typing import Final, NamedTuple, assert_never

from domain.paiement import ARGENT_RENDU
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


_FAMILLES: Final = {
    "17": Famille.ANNULE,
    "97": Famille.DELAI,
    "05": Famille.REFUSE,
    "14": Famille.REFUSE,
    "34": Famille.REFUSE,
    "51": Famille.REFUSE,
    "54": Famille.REFUSE,
    "75": Famille.REFUSE,
}
"""Les codes de la banque qui parlent de la personne ou de sa carte ; tout autre, même inconnu, est un incident."""


def motif_de(paiement: LignePaiement) -> Motif | None:
    """Pourquoi ce paiement n'a pas abouti ; None s'il a abouti, ou si rien n'est encore dit."""
    match paiement.statut:
        case "echoue" if paiement.cause == ARGENT_RENDU:
            return _motif(Famille.RENDU)
        case "expire":
            return _motif(Famille.DELAI)
        case "echoue":
            return _motif(_FAMILLES.get(paiement.code or "", Famille.INCIDENT))
        case _:
            return None


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
