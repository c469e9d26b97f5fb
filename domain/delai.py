"""Le temps du service : le jour de Paris, et le départ du délai d'affichage de 24 h."""

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.politique import Politique

PARIS = ZoneInfo("Europe/Paris")


def jour_de_paris(instant: datetime) -> date:
    """La date légale française d'un instant."""
    return instant.astimezone(PARIS).date()


class Départ(NamedTuple):
    """Le départ du délai d'affichage."""

    instant: datetime
    présumé: bool
    """Vrai si l'heure de la banque manquait ou n'était pas crédible, et que la réception fait foi."""


def départ_du_délai(transaction_le: datetime | None, reçue_le: datetime, politique: Politique) -> Départ:
    """L'instant d'où courent les 24 h : celui de la banque, ou la réception.

    La réception fait foi, et le départ est marqué présumé, si l'heure de la banque est absente, dans le futur, ou plus
    ancienne que `politique.ancienneté_max` avant la réception.
    """
    if transaction_le is None or not reçue_le - politique.ancienneté_max <= transaction_le <= reçue_le:
        return Départ(reçue_le, présumé=True)
    return Départ(transaction_le, présumé=False)
