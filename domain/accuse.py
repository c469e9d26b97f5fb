"""L'accusé de réception : ce que l'assuré trouve dans sa messagerie une fois son paiement accepté par la banque.

Source des textes et des dates : page « suite à la demande » du pas-à-pas (janvier 2026).
"""

from calendar import monthrange
from datetime import date, datetime
from typing import Final, NamedTuple

from domain.delai import PARIS, jour_de_paris
from domain.paiement import Fin, Paiement
from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import MessageInconnu

OBJET: Final = "Accusé de réception de votre paiement de créance"
EXPEDITEUR: Final = "Assurance Maladie"
CONSERVATION_MOIS: Final = 6
"""Mois pendant lesquels le message est gardé (« Sera supprimé le »)."""

_RENSEIGNEMENT: Final = (
    "Pour tout renseignement complémentaire concernant votre démarche, vous pouvez nous contacter dans la rubrique"
    ' "Ma Messagerie / Ecrire un message" (*).'
)
_MOIS_PAR_AN: Final = 12


class Accuse(NamedTuple):
    """Un message de la messagerie ; la transaction de son paiement le nomme : un paiement en a un seul."""

    transaction: ReferenceTransaction
    accepte_le: datetime
    """L'acceptation par la banque : la date du message et celle du paiement."""

    @property
    def horodatage(self) -> str:
        """La date et l'heure de Paris du message, comme l'écran les montre."""
        return f"{self.accepte_le.astimezone(PARIS):%d/%m/%Y %H:%M}"

    @property
    def echeance(self) -> date:
        """Le jour de Paris où le message disparaît de lui-même, dès minuit."""
        return echeance_de(self.accepte_le)

    @property
    def paragraphes(self) -> tuple[str, ...]:
        """Le corps du message, de la salutation à la demande de renseignement."""
        return (
            "Bonjour,",
            f"Nous accusons réception de votre paiement de créance du {jour_de_paris(self.accepte_le):%d/%m/%Y}.",
            _RENSEIGNEMENT,
        )

    @property
    def signature(self) -> tuple[str, ...]:
        """La formule de politesse et la signature, une par ligne."""
        return ("Avec toute notre attention,", "Votre caisse d'Assurance Maladie.")

    @property
    def note(self) -> str:
        """La note de bas de message, appelée par (*)."""
        return (
            "(*) ou par téléphone au 36 46 (coût 0,06 euro/min + prix appel), depuis l'étranger composez le"
            " +33 811 70 36 46 (tarif variable selon l'opérateur téléphonique)."
        )


def echeance_de(accepte_le: datetime) -> date:
    """Six mois après le jour de Paris de l'acceptation ; le dernier jour du mois si celui-là n'y existe pas.

    Exemple : le 31 août donne le 28 février, ou le 29 d'une année bissextile.
    """
    jour = jour_de_paris(accepte_le)
    ans, mois = divmod(jour.month - 1 + CONSERVATION_MOIS, _MOIS_PAR_AN)
    annee, mois = jour.year + ans, mois + 1
    return date(annee, mois, min(jour.day, monthrange(annee, mois)[1]))


def est_echu(echeance: date, maintenant: datetime) -> bool:
    """Dit si un message de cette échéance a disparu."""
    return echeance <= jour_de_paris(maintenant)


def accuse_de(paiement: Paiement | None, assure: Pseudonyme, maintenant: datetime) -> Accuse:
    """L'accusé de réception de ce paiement, pour cet assuré.

    Lève MessageInconnu, la même réponse que le paiement soit inconnu, d'une autre personne, pas accepté ou trop ancien.
    """
    if paiement is None or paiement.assure != assure or paiement.fin is not Fin.ACCEPTE or paiement.accepte_le is None:
        raise MessageInconnu
    accuse = Accuse(paiement.transaction, paiement.accepte_le)
    if est_echu(accuse.echeance, maintenant):
        raise MessageInconnu
    return accuse
