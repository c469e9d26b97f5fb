"""What one transaction records as a block: events, and what caused them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from engine.event import Event


class Partition(NamedTuple):
    """A partition of a Kafka topic, named by the topic's id: recreated, it has another."""

    topic_id: UUID
    topic: str
    partition: int


class Advance(NamedTuple):
    """How far a batch goes on a partition: from the position that was loaded to the next one to read."""

    partition: Partition
    depuis: int
    jusqu_a: int


class Fate(NamedTuple):
    """A message's fate, its digest (SHA-256) and its named fields, nothing secret or personal among them."""

    partition: Partition
    offset: int
    sort: str
    cause: str
    objet: str | None
    """The reference that the message speaks of, if it could be read."""
    empreinte: bytes
    champs: Mapping[str, Any]


class Held(NamedTuple):
    """A message that cannot be applied yet, with its content and the stream it waits for."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes
    received_at: datetime
    stream: str
    reason: str


class Settled(NamedTuple):
    """What became of a message that had waited."""

    partition: Partition
    offset: int
    fate: str
    cause: str


class IdempotencyKey(NamedTuple):
    """A request's key, the digest (SHA-256) of its body, and the answer given."""

    auteur: str
    cle: str
    empreinte: bytes
    reponse: Mapping[str, Any]
    correlation: str | None = None
    """The HTTP call that was given this answer."""


class Entry(NamedTuple):
    """An event and what caused it, as support will read it (`kafka:topic/partition@offset`, `requete:…`)."""

    event: Event
    cause: str


@dataclass(slots=True)
class Batch:
    """All or nothing: one transaction writes the events, the positions, the fates and the key."""

    entries: list[Entry] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    cle: IdempotencyKey | None = None
    held: list[Held] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
