"""Ce qu'une transaction enregistre d'un bloc : des faits, et ce qui les a causés."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from engine.event import Event


class Partition(NamedTuple):
    """Une partition d'un topic Kafka, nommée par l'identifiant du topic : recréé, il en a un autre."""

    topic_id: UUID
    topic: str
    partition: int


class Advance(NamedTuple):
    """Le chemin qu'un lot fait sur une partition : de la position chargée à la suivante à lire."""

    partition: Partition
    depuis: int
    jusqu_a: int


class Fate(NamedTuple):
    """Le sort d'un message, son empreinte (SHA-256) et ses champs nommés, sans donnée de carte ni d'identité."""

    partition: Partition
    offset: int
    sort: str
    cause: str
    objet: str | None
    """La référence de la créance ou de la transaction dont parle le message, si on a pu la lire."""
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
    """La clé d'une requête, l'empreinte (SHA-256) de son corps, et la réponse donnée."""

    auteur: str
    cle: str
    empreinte: bytes
    reponse: Mapping[str, Any]
    correlation: str | None = None
    """L'appel HTTP qui a reçu cette réponse."""


class Entry(NamedTuple):
    """Un fait et ce qui l'a causé, tel que le support le lira (`kafka:topic/partition@offset`, `requete:…`)."""

    event: Event
    cause: str


@dataclass(slots=True)
class Batch:
    """Tout ou rien : une seule transaction écrit les événements, les positions, les sorts et la clé."""

    entries: list[Entry] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    cle: IdempotencyKey | None = None
    held: list[Held] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
