"""Un reçu par courriel : à l'adresse que la personne donne, une fois, et qui n'est gardée nulle part."""

import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

ADRESSE_SIGNES_MAX: Final = 254
GARDES_MAX: Final = 20
_ADRESSE: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)


@dataclass(frozen=True, slots=True)
class Message:
    """Un message et sa pièce jointe, en PDF."""

    objet: str
    texte: str
    nom_de_piece: str
    piece: bytes


class CourrielImpossible(Exception):
    """Le message n'est pas parti. Ne porte rien de l'adresse : elle n'irait pas plus loin dans les logs."""


class Courriel(Protocol):
    """Par où partent les messages."""

    def envoyer(self, adresse: str, message: Message) -> None:
        """Remet le message au serveur de courriel ; bloquant, borné dans le temps. Lève CourrielImpossible."""


class Recu(NamedTuple):
    """Un message de la boîte de démonstration."""

    adresse: str
    message: Message
    le: datetime


class BoiteDeDemonstration:
    """Garde les derniers messages en mémoire, pour les montrer : rien ne sort de la machine."""

    def __init__(self) -> None:
        """Vide."""
        self.recus: deque[Recu] = deque(maxlen=GARDES_MAX)

    def envoyer(self, adresse: str, message: Message) -> None:
        """Le met dans la boîte."""
        self.recus.appendleft(Recu(adresse, message, datetime.now(UTC)))


def est_une_adresse(texte: str) -> bool:
    """Dit si ce texte a la forme d'une adresse de courriel, sans rien qui puisse changer l'en-tête d'un message."""
    return len(texte) <= ADRESSE_SIGNES_MAX and _ADRESSE.fullmatch(texte) is not None
