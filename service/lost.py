"""What a restore lost: the events that were published, and that the log neither holds nor found again.

Kafka keeps what was published from a log that is no more. What came by Kafka is read again by the consumers, and is
recorded anew, perhaps as another version of its stream: each event of the log answers for one published event of the
same kind that says the same. What is left came by another door (a payment opened on the page, a gesture of support).
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from psycopg import Connection
from pydantic_core import to_json

from domain.agregats import AGREGATS
from engine.mapper import EventMapper
from publication.cloudevent import TYPE_PREFIXE, lire_identifiant, source_publiee, type_publie
from publication.contenu import CHAMPS_DU_SOLDE, donnees
from publication.epoques import NOM
from publication.marques import TYPES_DES_MARQUES
from service import kafka
from service.settings import Settings

BATCH: Final = 2_000
"""Published events compared at once, at most."""

SILENCE_SECONDS: Final = 20.0
"""How long Kafka may give nothing before it is said to be away."""

# The log's events of these streams.
_STREAMS: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%b::text[]) ORDER BY flux, version
"""


class Published(NamedTuple):
    """An event as the topic holds it."""

    stream: str
    version: int
    kind: str
    """Without prefix or version: `PaiementOuvert`."""
    at: str
    """When it happened, ISO 8601 in UTC."""
    epoch: str
    """Under which it was published."""
    data: dict[str, Any]
    """What it said, but for the balance after it."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "flux": self.stream,
            "version": self.version,
            "type": self.kind,
            "le": self.at,
            "epoque": self.epoch,
            "donnees": self.data,
        }


def lost(
    settings: Settings, conn: Connection[Any], advance: Callable[[int, int], None] = lambda _done, _of: None
) -> list[Published]:
    """Every published event that the log does not hold, oldest first; `advance` hears how many were read, of how many.

    The topic is read once, and a second time if something differs. Raises KafkaError or psycopg.Error if one of them
    does not answer.
    """
    mapper = EventMapper(AGREGATS)
    differing: set[str] = set()
    for batch in _published(settings, advance):
        held = _held(conn, mapper, {event.stream for event in batch})
        differing |= {event.stream for event in batch if not _at_its_place(event, held)}
    if not differing:
        return []
    by_stream: dict[tuple[str, str], dict[tuple[int, str], Published]] = {}
    for batch in _published(settings, advance):
        for event in batch:
            if event.stream in differing:
                by_stream.setdefault((event.epoch, event.stream), {})[event.version, event.kind] = event
    held = _held(conn, mapper, differing)
    missing = [
        event
        for (_, stream), events in by_stream.items()
        for event in _unanswered(sorted(events.values(), key=lambda one: one.version), held.get(stream, {}))
    ]
    return sorted(missing, key=lambda event: (event.at, event.stream, event.version))


def _at_its_place(event: Published, held: "_Held") -> bool:
    ours = held.get(event.stream, {}).get(event.version)
    return ours is not None and _says_the_same(event, ours)


def _unanswered(published: Sequence[Published], held: "dict[int, _Ours]") -> Iterator[Published]:
    """Those that no event of the log answers for; one that is at its own place answers for none but itself."""
    free = dict(held)
    moved = []
    for event in published:
        ours = free.get(event.version)
        if ours is not None and _says_the_same(event, ours):
            del free[event.version]
        else:
            moved.append(event)
    for event in moved:
        version = next((version for version, ours in free.items() if _says_the_same(event, ours)), None)
        if version is None:
            yield event
        else:
            del free[version]


class _Ours(NamedTuple):
    kind: str
    data: dict[str, Any] | None
    """None for one that cannot be read: it is there, and that is all that is known."""


_Held = dict[str, dict[int, _Ours]]
"""The log's events of some streams, by version."""


def _held(conn: Connection[Any], mapper: EventMapper, streams: Iterable[str]) -> _Held:
    found: _Held = {}
    for stream, version, topic, state in conn.execute(_STREAMS, (list(streams),)):
        try:
            event = mapper.lire(stream, version, topic, state)
            ours = _Ours(_kind(type_publie(type(event))), json.loads(to_json(donnees(event))))
        except MapperDeserialisationError:
            ours = _Ours("", None)
        found.setdefault(stream, {})[version] = ours
    return found


def _says_the_same(published: Published, ours: _Ours) -> bool:
    """Whether they are one fact: fields that one of them does not have yet are no difference, nor are instants.

    A bank's answer without its own time is dated by its reading, and is read again. One of ours that cannot be read is
    taken for it: the audit names that one.
    """
    if ours.data is None:
        return True
    theirs, held = _compared(published.data), _compared(ours.data)
    return ours.kind == published.kind and all(held[key] == value for key, value in theirs.items() if key in held)


def _compared(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in CHAMPS_DU_SOLDE and not key.endswith("_le")}


def _published(settings: Settings, advance: Callable[[int, int], None]) -> Iterator[list[Published]]:
    """All that the topic of events holds of this log, whatever the epoch."""
    base = source_publiee(settings.shard_digit, "")
    with closing(kafka.reader(settings)) as reader:
        end = kafka.topic_end(reader, settings.topic_evenements)
        if end is None:
            return
        of = sum(last - end.starts[partition] for partition, last in end.ends.items())
        done = 0
        for records in _records(reader, settings.topic_evenements, end.starts, end.ends):
            read = [event for record in records if (event := _event(record, base)) is not None]
            for start in range(0, len(read), BATCH):
                yield read[start : start + BATCH]
            done += len(records)
            advance(done, of)


def _records(
    reader: KafkaConsumer, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]
) -> Iterator[list[Any]]:
    waited = {TopicPartition(topic, partition): last for partition, last in ends.items() if last > starts[partition]}
    if not waited:
        return
    reader.assign(list(waited))
    for tp in waited:
        reader.seek(tp, starts[tp.partition])
    heard = time.monotonic()
    while any(reader.position(tp) < last for tp, last in waited.items()):
        records = [record for ones in reader.poll(timeout_ms=500).values() for record in ones]
        if records:
            heard = time.monotonic()
            yield records
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise KafkaTimeoutError(f"{topic} n'a rien donné en {SILENCE_SECONDS:g} s")


def _event(record: Any, base: str) -> Published | None:
    """What this message says; None for one that is not of this log, or that we did not write."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    named = lire_identifiant(headers.get("ce_id", ""))
    source = headers.get("ce_source", "")
    if headers.get("ce_type") in TYPES_DES_MARQUES:
        return None
    if not source.startswith(base) or NOM.fullmatch(source, len(base)) is None or named is None:
        return None
    try:
        data = json.loads(record.value)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    said = {key: value for key, value in data.items() if key not in CHAMPS_DU_SOLDE}
    kind = _kind(headers.get("ce_type", ""))
    return Published(*named, kind, headers.get("ce_time", ""), source.removeprefix(base), said)


def _kind(published_type: str) -> str:
    return published_type.removeprefix(TYPE_PREFIXE).partition(".")[0]
