"""The ceiling: the same bytes written by hand, without one domain rule. What no pipeline on these servers can pass.

It does: poll batches of 500, decode the JSON and the form's fields, and in one transaction insert the events (the same
table, bytes, indexes and order lock as the service), move the view's rows and write the position.
It does not: check the seal, load anything, know the créance from the payment (the bench's names tell it), detect a
duplicate, check a version, record a fate, or survive an unreadable message.

Run as `python -m bench.ceiling STEP SHARE SHARES`: payment N settles créance N x STEP, and this process takes the
partitions whose number modulo SHARES is SHARE.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from kafka import KafkaConsumer, TopicPartition
from psycopg import Connection
from pydantic_core import from_json

from bench.data import EPOCH, SHARE, reference, transaction
from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.faits import Fait
from domain.monnaie import Centimes
from domain.paiement import Fin, Paiement
from domain.references import ReferenceTransaction
from engine.mapper import EventMapper
from engine.recorder import ORDER_LOCK
from service.settings import Settings

BATCH: Final = 500
REBUILD_BATCH: Final = 5_000
IDLE_MS: Final = 200

# Writes the batch's events and tells their positions.
_EVENTS: Final = """
INSERT INTO journal.evenements (flux, version, topic, etat, cause)
SELECT e.flux, e.version, e.topic, e.etat, e.cause
FROM unnest(%b::text[], %b::int8[], %b::text[], %b::bytea[], %b::text[]) WITH ORDINALITY
     AS e (flux, version, topic, etat, cause, rang)
ORDER BY e.rang RETURNING position
"""

# Moves the view's rows.
_VIEW: Final = """
UPDATE vues.restant_du AS r
SET solde = r.solde - m.part, en_cours = r.en_cours - m.part, version = 3, position = m.position
FROM unnest(%b::text[], %b::int8[], %b::int8[]) AS m (reference, part, position) WHERE r.reference = m.reference
"""

# Writes the position read.
_POSITIONS: Final = """
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::int8[])
"""

# Reads the next events of the log.
_NEXT: Final = """
SELECT position, flux, version, topic, etat FROM journal.evenements WHERE position > %b ORDER BY position LIMIT %b
"""

# Fills the view with what a batch opens.
_OPEN: Final = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT reference, assure, caisse, nature, date::date, payable, false, montant, montant, 0, 1, position
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::int8[], %b::int8[])
     AS a (reference, assure, caisse, nature, date, payable, montant, position)
"""

# Adds a batch's sums to the rows that are there.
_ADD: Final = """
UPDATE vues.restant_du AS r
SET solde = r.solde - m.paye, en_cours = r.en_cours + m.reserve, version = m.version, position = m.position
FROM unnest(%b::text[], %b::int8[], %b::int8[], %b::int8[], %b::int8[])
     AS m (reference, paye, reserve, version, position)
WHERE r.reference = m.reference
"""

_FOLLOW: Final = "UPDATE vues.suiveurs SET position = %b WHERE nom = 'restant_du'"


def consume(settings: Settings, step: int, share: int, shares: int) -> None:
    """Take the notifications of these partitions, for ever."""
    consumer = KafkaConsumer(
        **settings.kafka_connection(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=BATCH,
        fetch_max_bytes=64 * 1024 * 1024,
    )
    topic = settings.topic_notifications
    every = sorted(consumer.partitions_for_topic(topic))
    consumer.assign([TopicPartition(topic, partition) for partition in every if partition % shares == share])
    topic_id = consumer._cluster.topic_id(topic)  # noqa: SLF001  kafka-python offers it nowhere else
    read = dict.fromkeys(every, 0)
    concluded, accepted = _templates()
    with psycopg.connect(str(settings.owner_database_url), autocommit=True) as conn:
        while True:
            records = [record for some in consumer.poll(timeout_ms=IDLE_MS).values() for record in some]
            if records:
                _write(conn, topic_id, topic, step, records, read, concluded, accepted)


def _write(  # noqa: PLR0917  one batch, by hand
    conn: Connection[Any],
    topic_id: UUID,
    topic: str,
    step: int,
    records: list[Any],
    read: dict[int, int],
    concluded: Callable[[str, bytes], bytes],
    accepted: Callable[[str, bytes], bytes],
) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z").encode()
    streams, versions, topics, states, causes, references, shares = [], [], [], [], [], [], []
    for record in records:
        fields = dict(pair.split("=", 1) for pair in from_json(record.value)["Data"].split("|"))
        name = fields["transactionReference"]
        number = reference(step * int(name[-8:]))
        streams += [f"paiement-{name}", f"creance-{number}"]
        versions += [2, 3]
        topics += [Paiement.PaiementConclu.TOPIC, Créance.PaiementAccepté.TOPIC]
        states += [concluded(name, now), accepted(name, now)]
        causes += [f"kafka:{topic}/{record.partition}@{record.offset}"] * 2
        references.append(number)
        shares.append(int(fields["amount"]))
    until = {record.partition: record.offset + 1 for record in records}
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%b::int8)", (ORDER_LOCK,))
        positions = [p for (p,) in conn.execute(_EVENTS, (streams, versions, topics, states, causes))]
        conn.execute(_VIEW, (references, shares, positions[1::2]))
        spans = ([read[p] for p in until], list(until.values()))
        conn.execute(_POSITIONS, ([topic_id] * len(until), [topic] * len(until), list(until), *spans))
    read.update(until)


def rebuild(conn: Connection[Any]) -> int:
    """Fill the empty view from the whole log, by hand: decode, add up in a dict, two statements a batch."""
    position = total = 0
    while True:
        with conn.transaction():
            rows = conn.execute(_NEXT, (position, REBUILD_BATCH)).fetchall()
            if not rows:
                return total
            opened: dict[str, tuple[Any, ...]] = {}
            moved: dict[str, list[int]] = {}
            for position, stream, version, topic, state in rows:
                if topic == "creance.AvisEmis":
                    e = from_json(state)
                    opened[stream[8:]] = (
                        *(e["assure"], e["caisse"], e["nature"], e["date_emission"], e["payable_en_ligne"]),
                        *(e["montant_initial"], position),
                    )
                elif topic == "creance.PaiementInitie":
                    sums = moved.setdefault(stream[8:], [0, 0, 0, 0])
                    sums[1] += from_json(state)["part"]
                    sums[2:] = version, position
                elif topic == "creance.PaiementAccepte":
                    e = from_json(state)
                    sums = moved.setdefault(stream[8:], [0, 0, 0, 0])
                    sums[0] += e["part"]
                    sums[1] -= e["part_liberee"]
                    sums[2:] = version, position
            if opened:
                conn.execute(_OPEN, (list(opened), *map(list, zip(*opened.values(), strict=True))))
            if moved:
                conn.execute(_ADD, (list(moved), *map(list, zip(*moved.values(), strict=True))))
            conn.execute(_FOLLOW, (position,))
            total += len(rows)


def _templates() -> tuple[Callable[[str, bytes], bytes], Callable[[str, bytes], bytes]]:
    """What writes the states of the two events of an acceptance: the mapper's bytes, with two places to fill."""
    mark = transaction(0)
    concluded = Paiement.PaiementConclu(
        originator_id=Paiement.flux(mark),
        originator_version=2,
        timestamp=EPOCH,
        issue=Fin.ACCEPTE,
        code="00",
        cause="accepté par la banque",
        autorisation="761208",
        carte_masquee="4500#############00",
        accepte_le=EPOCH.replace(minute=9),
        depart_presume=False,
    )
    accepted = Créance.PaiementAccepté(
        originator_id=Créance.flux(reference(0)),
        originator_version=3,
        timestamp=EPOCH,
        transaction=ReferenceTransaction(mark),
        part=Centimes(SHARE),
        part_liberee=Centimes(SHARE),
        accepte_le=EPOCH.replace(minute=9),
    )
    return _filler(concluded), _filler(accepted)


def _filler(fact: Fait) -> Callable[[str, bytes], bytes]:
    state = EventMapper(AGREGATS).to_stored_event(fact).state.replace(b"%", b"%%")
    instant = b'"timestamp":"%b"' % EPOCH.isoformat().replace("+00:00", "Z").encode()
    if instant not in state:
        raise ValueError(f"no timestamp in {state!r}")
    pattern = state.replace(instant, b'"timestamp":"%(now)b"').replace(transaction(0).encode(), b"%(name)b")
    return lambda name, now: pattern % {b"now": now, b"name": name.encode()}


if __name__ == "__main__":
    consume(Settings(_env_file=None), *map(int, sys.argv[1:]))
