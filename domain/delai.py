"""Le temps du service : le jour de Paris, et le départ du délai d'affichage de 24 h."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")

ECART_D_HORLOGE: Final = timedelta(minutes=5)
"""Ce que l'heure de la banque peut être en retard sur la nôtre, sans que rien n'en soit conclu."""


def precede(instant: datetime | None, ouvert_le: datetime) -> bool:
    """Dit si la banque date cela d'avant l'ouverture du paiement, l'écart des deux horloges admis.

    Minuit juste, heure de Paris, est un jour sans heure : seuls les jours se comparent alors.
    """
    if instant is None:
        return False
    if instant.astimezone(PARIS).time() == time():
        return jour_de_paris(instant) < jour_de_paris(ouvert_le - ECART_D_HORLOGE)
    return instant < ouvert_le - ECART_D_HORLOGE


def a_paris(local: datetime) -> datetime:
    """L'instant que dit cette heure, lue à Paris ; lève ValueError si elle n'y a pas existé, ou deux fois."""
    dit = local.replace(tzinfo=PARIS)
    if dit.utcoffset() != dit.replace(fold=1).utcoffset():
        raise ValueError("cette heure-là n'a pas existé à Paris, ou deux fois")
    return dit


def a_paris_au_plus_tard(local: datetime) -> datetime:
    """L'instant que dit cette heure, lue à Paris ; dite deux fois ou jamais, le plus tard des deux.

    La banque n'écrit pas toujours son décalage : au plus tôt, un paiement semblerait accepté avant d'avoir été ouvert.
    """
    return max(local.replace(tzinfo=PARIS, fold=fold).astimezone(UTC) for fold in (0, 1))


def jour_de_paris(instant: datetime) -> date:
    """La date légale française d'un instant."""
    return instant.astimezone(PARIS).date()


class Depart(NamedTuple):
    """Le départ du délai d'affichage."""

    instant: datetime
    presume: bool
    """Vrai si l'heure de la banque manquait ou était dans le futur, et que la réception fait foi."""


def depart_du_delai(transaction_le: datetime | None, recue_le: datetime) -> Depart:
    """L'instant d'où courent les 24 h : celui de la banque, si tard qu'il nous parvienne.

    La réception fait foi, et le départ est marqué présumé, si l'heure de la banque est absente ou dans le futur.
    """
    if transaction_le is None or transaction_le > recue_le:
        return Depart(recue_le, presume=True)
    return Depart(transaction_le, presume=False)
