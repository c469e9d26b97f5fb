"""A message read from Kafka, and what a batch of messages becomes: events, fates, dead letters."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from engine.batch import Batch, Fate, Held, Partition
from engine.outages import storable

OCTETS_MAX: Final = 64 * 1024
"""Size beyond which a message is not even decoded (bytes): no message of the contract comes near it."""

CAUSE_MAX: Final = 500
"""Length of a recorded cause, in characters."""


class Trace(NamedTuple):
    """A context as W3C Trace Context writes it, well-formed."""

    traceparent: str
    tracestate: str | None = None


class Message(NamedTuple):
    """A message and where it comes from."""

    partition: Partition
    offset: int
    cle: bytes | None
    valeur: bytes
    recu_le: datetime
    """The time that Kafka gives it, in UTC; that of the reading if it cannot be believed."""
    held: bool = False
    """True if it comes from the waiting room."""
    correlation: str | None = None
    """The HTTP call that brought it, if it came by one of ours: told with its fate, it decides nothing."""
    trace: Trace | None = None
    """The context that it bears, read only where somebody traces; it decides nothing."""

    @property
    def origine(self) -> str:
        """The cause that the events will bear, as support reads it."""
        return f"kafka:{self.partition.topic}/{self.partition.partition}@{self.offset}"


class DeadLetter(NamedTuple):
    """A message for the dead letters, with its cause."""

    message: Message
    cause: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch of messages comes to: to be recorded as one block, once the dead letters are produced."""

    lot: Batch
    rebuts: list[DeadLetter]
    awaited: set[str] = field(default_factory=set)
    """The streams touched that messages wait for: these will be applied."""


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
        Held(message.partition, message.offset, message.cle, message.valeur, message.recu_le, stream, _told(reason))
    )
    add_fate(traitement, message, HELD_FATE, reason, objet=objet, champs=dict(champs or {}), dead=False)


@lru_cache(maxsize=1024)
def _told(cause: str) -> str:
    """A cause as it is recorded; a batch has few, over and over."""
    return storable(cause[:CAUSE_MAX])


class UnreadableMessage(ValueError):
    """The message has not the shape of the contract; its cause is a sentence."""


def require_size(message: Message) -> None:
    """Raise UnreadableMessage if the message is longer than `OCTETS_MAX`."""
    require_bytes(len(message.valeur))


def require_bytes(octets: int) -> None:
    """Raise UnreadableMessage for a message of more than `OCTETS_MAX` bytes."""
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
    """Add a message's fate to the batch; `dead`: it goes to the dead letters too."""
    traitement.lot.fates.append(
        Fate(
            message.partition,
            message.offset,
            fate,
            _told(cause),
            objet,
            hashlib.sha256(message.valeur).digest(),
            champs if message.correlation is None else {**champs, CORRELATION: message.correlation},
        )
    )
    if dead:
        traitement.rebuts.append(DeadLetter(message, _told(cause)))


__all__ = [
    "DeadLetter",
    "Message",
    "Outcome",
    "UnreadableMessage",
    "add_fate",
    "require_size",
]
