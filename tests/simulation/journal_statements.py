"""What each statement on the log means, on the tables in memory: keyed by its text, so that a changed one is seen."""

import json
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from engine import positions, recorder, streams, waiting_room
from tests.simulation.connection import Answer, Statement
from tests.simulation.server import Server, Transaction

EVENTS, POSITIONS, FATES = "journal.evenements", "journal.positions", "journal.sorts"
KEYS, HELD, SETTLED, TOPICS = (
    "journal.cles_idempotence",
    "journal.attentes",
    "journal.attentes_reglees",
    "journal.topics",
)
COUNTS = "vues.sorts"


class Event(NamedTuple):
    """`journal.evenements`."""

    position: int
    flux: str
    version: int
    topic: str
    etat: bytes
    cause: str
    enregistre_le: datetime


class Position(NamedTuple):
    """`journal.positions`."""

    topic_id: UUID
    topic: str
    partition: int
    depuis: int
    jusqu_a: int


class Fate(NamedTuple):
    """`journal.sorts`."""

    topic_id: UUID
    topic: str
    partition: int
    decalage: int
    sort: str
    cause: str
    objet: str | None


class Count(NamedTuple):
    """`vues.sorts`."""

    topic_id: UUID
    topic: str
    partition: int
    sort: str
    messages: int


class Answered(NamedTuple):
    """`journal.cles_idempotence`."""

    auteur: str
    cle: str
    empreinte: bytes
    reponse: Any


class Waiting(NamedTuple):
    """`journal.attentes`."""

    rang: int
    topic_id: UUID
    topic: str
    partition: int
    decalage: int
    cle: bytes | None
    valeur: bytes
    recu_le: datetime
    flux: str
    raison: str


class Closed(NamedTuple):
    """`journal.attentes_reglees`."""

    topic_id: UUID
    partition: int
    decalage: int
    sort: str
    cause: str


class Met(NamedTuple):
    """`journal.topics`."""

    rang: int
    topic: str
    topic_id: UUID


# --- The recorder ----------------------------------------------------------------------------------------------------


def _order(server: Server, transaction: Transaction, params: Any) -> Answer:
    server.lock(transaction, ("advisory", params[0]))
    transaction.latest = datetime.fromisoformat(params[2])
    return Answer([(None, *params[1:])])


def _write_events(server: Server, transaction: Transaction, params: Any) -> Answer:
    # What 0020_droits.sql does before each writing: the order is taken, then the time is set.
    if server.orders:
        server.lock(transaction, ("advisory", recorder.ORDER_LOCK))
    now = max(server.stamped, min(server.scheduler.now, transaction.latest or server.scheduler.now))
    server.stamped = now
    written = []
    for flux, version, topic, state, cause in zip(*params, strict=True):
        position = server.next("evenements")
        server.insert(transaction, EVENTS, Event(position, flux, version, topic, state, cause, now))
        written.append((position,))
    return Answer(written)


def _write_positions(server: Server, transaction: Transaction, params: Any) -> Answer:
    written = 0
    for row in map(Position, *params[:-1]):
        of = [at for at in server.rows(transaction, POSITIONS) if at[:3] == row[:3]]
        if row.depuis == max((at.jusqu_a for at in of), default=0):
            server.insert(transaction, POSITIONS, row)
            written += 1
    return Answer(rowcount=written)


def _write_fates(server: Server, transaction: Transaction, params: Any) -> Answer:
    fates = [Fate(*row[:7]) for row in zip(*params[:-1], strict=True)]
    for fate in fates:
        server.insert(transaction, FATES, fate)

    def name(fate: Fate) -> tuple[UUID, int, str, str]:
        return fate.topic_id, fate.partition, fate.sort, fate.topic

    for (topic_id, partition, kind, topic), ones in groupby(sorted(fates, key=name), key=name):
        server.upsert(
            transaction,
            COUNTS,
            Count(topic_id, topic, partition, kind, len(list(ones))),
            lambda old, new: old._replace(messages=old.messages + new.messages),
        )
    return Answer()


def _write_key(server: Server, transaction: Transaction, params: Any) -> Answer:
    author, key, digest, answer, *_ = params
    server.insert(transaction, KEYS, Answered(author, key, digest, json.loads(json.dumps(answer.obj))))
    return Answer()


def _read_key(server: Server, transaction: Transaction, params: Any) -> Answer:
    found = server.row(transaction, KEYS, tuple(params))
    return Answer([(found.empreinte, found.reponse)] if found else [])


def _read_streams(server: Server, transaction: Transaction, params: Any) -> Answer:
    wanted = set(params[0])
    rows = [event for event in server.rows(transaction, EVENTS) if event.flux in wanted]
    rows.sort(key=lambda event: (event.flux, event.version))
    return Answer([(event.flux, event.version, event.topic, event.etat) for event in rows])


def _next_number(server: Server, _transaction: Transaction, _params: Any) -> Answer:
    return Answer([((server.next("numeros_de_transaction") - 1) % 999_999 + 1,)])


# --- Where the partitions are read from ------------------------------------------------------------------------------


def _places(server: Server, transaction: Transaction, params: Any) -> Answer:
    # Nothing here is stopped or resumed under another name: those tables stay empty.
    wanted = params["topic_id"]
    rows = [row for row in server.rows(transaction, POSITIONS) if row.topic_id == wanted]
    answer = []
    for number in params["partitions"]:
        last = max((row for row in rows if row.partition == number), key=lambda row: row.depuis, default=None)
        answer.append((number, wanted, last.jusqu_a if last else 0, False))
    return Answer(answer)


def _last_met(server: Server, transaction: Transaction, params: Any) -> Answer:
    met = [row for row in server.rows(transaction, TOPICS) if row.topic == params[0]]
    return Answer([(max(met, key=lambda row: row.rang).topic_id,)] if met else [])


def _meet(server: Server, transaction: Transaction, params: Any) -> Answer:
    topic, topic_id, _ = params
    if any(row.topic == topic and row.topic_id == topic_id for row in server.rows(transaction, TOPICS)):
        return Answer(rowcount=0)
    row = Met(server.next("topics"), topic, topic_id)
    server.upsert(transaction, TOPICS, row, lambda old, _: old)
    return Answer(rowcount=1)


# --- The waiting room ------------------------------------------------------------------------------------------------


def _hold(server: Server, transaction: Transaction, params: Any) -> Answer:
    for row in zip(*params[:-1], strict=True):
        server.insert(transaction, HELD, Waiting(server.next("attentes"), *row))
    return Answer()


def _settle(server: Server, transaction: Transaction, params: Any) -> Answer:
    for row in zip(*params[:-1], strict=True):
        server.insert(transaction, SETTLED, Closed(*row))
    return Answer()


def still_waiting(server: Server, transaction: Transaction) -> list[Waiting]:
    """Those that nobody has closed, in the order they were read."""
    closed = {(row.topic_id, row.partition, row.decalage) for row in server.rows(transaction, SETTLED)}
    waiting = [
        row for row in server.rows(transaction, HELD) if (row.topic_id, row.partition, row.decalage) not in closed
    ]
    return sorted(waiting, key=lambda row: row.rang)


def _awaited(server: Server, transaction: Transaction, params: Any) -> Answer:
    wanted = set(params[0])
    return Answer([(flux,) for flux in sorted({row.flux for row in still_waiting(server, transaction)} & wanted)])


def _waiting(server: Server, transaction: Transaction, params: Any) -> Answer:
    topic, streams, _, after, most, _, messages_max = params
    rows = [row for row in still_waiting(server, transaction) if row.topic == topic]
    first: dict[str, int] = {}
    for row in rows:
        if streams is None or row.flux in streams:
            first.setdefault(row.flux, row.rang)
    wanted = [flux for flux, rang in first.items() if rang > after][:most]
    kept = [row for flux in sorted(wanted) for row in [one for one in rows if one.flux == flux][:messages_max]]
    return Answer([(row.flux, *row[1:8], row.rang) for row in kept])


STATEMENTS: dict[str, tuple[str, Statement]] = {
    recorder._ORDER: ("order", _order),
    recorder._ORDER_17: ("order", _order),
    recorder._WRITE_EVENTS: ("write events", _write_events),
    positions._ADVANCE: ("write positions", _write_positions),
    recorder._WRITE_FATES: ("write fates", _write_fates),
    recorder._WRITE_KEY: ("write key", _write_key),
    recorder._READ_KEY: ("read key", _read_key),
    streams._STREAMS: ("read streams", _read_streams),
    recorder._NEXT_NUMBER: ("next number", _next_number),
    positions._PLACES: ("places", _places),
    positions._DERNIER: ("last topic", _last_met),
    positions._RENCONTRER: ("meet topic", _meet),
    waiting_room._HOLD: ("hold", _hold),
    waiting_room._SETTLE: ("settle", _settle),
    waiting_room._AWAITED: ("awaited", _awaited),
    waiting_room._WAITING: ("waiting", _waiting),
}
