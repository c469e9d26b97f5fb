"""Un message lu sur Kafka, et ce qu'un lot de messages devient : des faits, des sorts, des rebuts."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from engine.batch import Batch, Fate, Held, Partition

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
    """L'heure que Kafka lui donne, en UTC ; celle de la lecture si elle n'est pas croyable."""
    held: bool = False
    """Vrai s'il vient de la salle d'attente."""
    correlation: str | None = None
    """The HTTP call that brought it, if it came by one of ours: told with its fate, it decides nothing."""

    @property
    def origine(self) -> str:
        """La cause que porteront les faits, telle que le support la lit."""
        return f"kafka:{self.partition.topic}/{self.partition.partition}@{self.offset}"


class DeadLetter(NamedTuple):
    """Un message à mettre au rebut, avec sa cause."""

    message: Message
    cause: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Ce que vaut un lot de messages : à enregistrer d'un bloc, après avoir produit les rebuts."""

    lot: Batch
    rebuts: list[DeadLetter]
    awaited: set[str] = field(default_factory=set)
    """Les flux touchés que des messages attendent : on ira les appliquer."""


HELD_FATE: Final = "en_souffrance"
"""The fate of a message that waits with its content."""

EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
AHEAD_MAX: Final = timedelta(days=1)


def believable(instant: datetime, now: datetime) -> bool:
    """Whether an instant that no seal covers may be believed: neither before this service existed nor in the future."""
    return EARLIEST <= instant <= now + AHEAD_MAX


def kafka_time(timestamp_ms: int | None, now: datetime) -> datetime:
    """The time that Kafka gives a record (ms), in UTC; `now` if it gives none, or one that cannot be.

    Some producers write micro- or nanoseconds; 0 and -1 mean 'none'.
    """
    try:
        instant = datetime.fromtimestamp((timestamp_ms or 0) / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return now
    return instant if believable(instant, now) else now


CORRELATION: Final = "correlation"
"""The header, and the field of a fate, that name the HTTP call."""

_CORRELATION: Final = re.compile(rb"[0-9a-f]{32}")


def correlation_of(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """The HTTP call that these Kafka headers name; anything else than one of our numbers is none."""
    for name, value in headers:
        if name == CORRELATION and value is not None and _CORRELATION.fullmatch(value):
            return value.decode("ascii")
    return None


def hold_message(
    traitement: Outcome,
    message: Message,
    stream: str,
    reason: str,
    *,
    objet: str | None,
    champs: Mapping[str, Any] | None = None,
) -> None:
    """Keeps a message until the stream it needs is there and can be read; one that waited already goes on waiting."""
    traitement.awaited.add(stream)
    if message.held:
        return
    lot = traitement.lot
    lot.held.append(
        Held(
            message.partition, message.offset, message.cle, message.valeur, message.recu_le, stream, reason[:CAUSE_MAX]
        )
    )
    add_fate(traitement, message, HELD_FATE, reason, objet=objet, champs=dict(champs or {}), dead=False)


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
            champs if message.correlation is None else {**champs, CORRELATION: message.correlation},
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
