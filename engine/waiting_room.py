"""The waiting room: messages that cannot be applied yet, kept with their content, applied once and in order.

A message waits when what it needs is not there, or cannot be read. Whatever comes later for the same stream waits
behind it, so that order is kept. The role applies them: after each batch that touched a stream with somebody waiting,
and at each heartbeat. A closing row, unique for the message and written with its events, makes it once.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.batch import Held, Partition, Settled
from engine.clocks import AT_MOST, latest, ours
from engine.messages import Message

STREAMS_MAX: Final = 200
"""Streams taken up in one round, of all those that wait."""

MESSAGES_MAX: Final = 100
"""Messages of one stream taken up at a time: the oldest. A reference that thousands wait for holds nobody else up."""

# Keeps messages with their content.
_HOLD: Final = f"""
INSERT INTO journal.attentes (topic_id, topic, partition, decalage, cle, valeur, recu_le, flux, raison)
SELECT m.* FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::bytea[], %b::bytea[], %b::timestamptz[],
                       %b::text[], %b::text[]) AS m, {AT_MOST}
"""  # noqa: S608

# Says what became of messages that waited.
_SETTLE: Final = f"""
INSERT INTO journal.attentes_reglees (topic_id, partition, decalage, sort, cause)
SELECT m.* FROM unnest(%b::uuid[], %b::int4[], %b::int8[], %b::text[], %b::text[]) AS m, {AT_MOST}
"""  # noqa: S608

_OPEN: Final = """
NOT EXISTS (SELECT FROM journal.attentes_reglees r
            WHERE r.topic_id = a.topic_id AND r.partition = a.partition AND r.decalage = a.decalage)
"""

# The streams, of these, that somebody waits for.
_AWAITED: Final = f"SELECT DISTINCT a.flux FROM journal.attentes a WHERE a.flux = ANY (%b::text[]) AND {_OPEN}"  # noqa: S608

# The oldest of a topic that wait, stream by stream, in the order they were read.
_WAITING: Final = f"""
SELECT o.flux, o.topic_id, o.topic, o.partition, o.decalage, o.cle, o.valeur, o.recu_le, o.rang
FROM (SELECT a.flux FROM journal.attentes a
      WHERE a.topic = %b AND (%b::text[] IS NULL OR a.flux = ANY (%b::text[])) AND {_OPEN}
      GROUP BY a.flux HAVING min(a.rang) > %b ORDER BY min(a.rang) LIMIT %b) AS s
CROSS JOIN LATERAL (SELECT a.* FROM journal.attentes a
                    WHERE a.flux = s.flux AND a.topic = %b AND {_OPEN} ORDER BY a.rang LIMIT %b) AS o
ORDER BY o.flux, o.rang
"""  # noqa: S608

# How many wait on each topic, and since when the oldest does.
_COUNTS: Final = f"""
SELECT a.topic, count(*), min(a.enregistre_le) FROM journal.attentes a WHERE {_OPEN} GROUP BY a.topic
"""  # noqa: S608


class Waiting(NamedTuple):
    """The messages that wait for one stream, in order."""

    stream: str
    messages: list[Message]
    first: int
    """The rank of the oldest: what waits longer has a smaller one."""


def hold(conn: Connection[Any], held: Sequence[Held], clock: Callable[[], datetime] = ours) -> None:
    """Keep these messages."""
    if held:
        conn.execute(
            _HOLD,
            (
                [one.partition.topic_id for one in held],
                [one.partition.topic for one in held],
                [one.partition.partition for one in held],
                [one.offset for one in held],
                [one.key for one in held],
                [one.value for one in held],
                [one.received_at for one in held],
                [one.stream for one in held],
                [one.reason for one in held],
                latest(clock),
            ),
        )


def settle(conn: Connection[Any], settled: Sequence[Settled], clock: Callable[[], datetime] = ours) -> None:
    """Close these messages. Raises UniqueViolation if somebody closed one of them before."""
    if settled:
        conn.execute(
            _SETTLE,
            (
                [one.partition.topic_id for one in settled],
                [one.partition.partition for one in settled],
                [one.offset for one in settled],
                [one.fate for one in settled],
                [one.cause for one in settled],
                latest(clock),
            ),
        )


def awaited(conn: Connection[Any], streams: Iterable[str]) -> set[str]:
    """The streams, of these, that messages wait for."""
    names = list(dict.fromkeys(streams))
    return {stream for (stream,) in conn.execute(_AWAITED, (names,))} if names else set()


def waiting(
    conn: Connection[Any], topic: str, streams: Iterable[str] | None = None, *, after: int = 0
) -> list[Waiting]:
    """What waits on this topic: for each of these streams, or for the next `STREAMS_MAX` of all of them.

    Of each stream the `MESSAGES_MAX` oldest: what keeps them waiting keeps the later ones too.
    `after`: the streams whose oldest message has a larger rank, those that waited longest first.
    """
    wanted = None if streams is None else list(streams)
    most = STREAMS_MAX if wanted is None else len(wanted)
    rows = conn.execute(_WAITING, (topic, wanted, wanted, after, most, topic, MESSAGES_MAX)).fetchall()
    found = []
    for stream, ones in groupby(rows, key=lambda row: str(row[0])):
        messages, ranks = [], []
        for _, topic_id, name, number, offset, key, value, received_at, rank in ones:
            messages.append(
                Message(Partition(topic_id, name, number), offset, key, bytes(value), received_at, held=True)
            )
            ranks.append(rank)
        found.append(Waiting(stream, messages, ranks[0]))
    return found


def counts(conn: Connection[Any]) -> dict[str, tuple[int, Any]]:
    """How many messages wait on each topic, and since when the oldest does."""
    return {topic: (count, since) for topic, count, since in conn.execute(_COUNTS)}
