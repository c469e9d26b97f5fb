"""Un message lu sur Kafka, et ce qu'un lot de messages devient : des faits, des sorts, des rebuts."""

import hashlib
from datetime import datetime
from typing import Any, Final, NamedTuple

from engine.batch import Batch, Fate, Partition

OCTETS_MAX: Final = 64 * 1024
"""Taille au-delà de laquelle un message n'est pas même décodé (octets) : aucun message du contrat ne l'approche."""

CAUSE_MAX: Final = 500
"""Longueur d'une cause enregistrée, en signes."""


class Message(NamedTuple):
    """Un message et d'où il vient."""

    partition: Partition
    offset: int
    cle: bytes | None
    valeur: bytes
    recu_le: datetime
    """L'heure que Kafka lui donne, en UTC."""

    @property
    def origine(self) -> str:
        """La cause que porteront les faits, telle que le support la lit."""
        return f"kafka:{self.partition.topic}/{self.partition.partition}@{self.offset}"


class DeadLetter(NamedTuple):
    """Un message à mettre au rebut, avec sa cause."""

    message: Message
    cause: str


class Outcome(NamedTuple):
    """Ce que vaut un lot de messages : à enregistrer d'un bloc, après avoir produit les rebuts."""

    lot: Batch
    rebuts: list[DeadLetter]


class UnreadableMessage(ValueError):
    """Le message n'a pas la forme du contrat ; sa cause est une phrase."""


def require_size(message: Message) -> None:
    """Lève UnreadableMessage si le message dépasse `OCTETS_MAX`."""
    require_bytes(len(message.valeur))


def require_bytes(octets: int) -> None:
    """Lève UnreadableMessage pour un message de plus de `OCTETS_MAX` octets."""
    if octets > OCTETS_MAX:
        raise UnreadableMessage(f"message de {octets} octets, {OCTETS_MAX} au plus")


def add_fate(
    traitement: Outcome,
    message: Message,
    fate: str,
    cause: str,
    *,
    objet: str | None,
    champs: dict[str, Any],
    dead: bool,
) -> None:
    """Ajoute au lot le sort d'un message ; `dead` : il va aussi aux rebuts."""
    traitement.lot.fates.append(
        Fate(
            message.partition,
            message.offset,
            fate,
            cause[:CAUSE_MAX].replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            objet,
            hashlib.sha256(message.valeur).digest(),
            champs,
        )
    )
    if dead:
        traitement.rebuts.append(DeadLetter(message, cause[:CAUSE_MAX]))


__all__ = [
    "DeadLetter",
    "Message",
    "Outcome",
    "UnreadableMessage",
    "add_fate",
    "require_size",
]
