"""Where to go on with each partition of a topic, and what Kafka did to it: recreated, cut at the start, shortened."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.errors import UniqueViolation

from engine.batch import Advance, Partition
from engine.clocks import AT_MOST, latest, ours
from engine.conflicts import PositionConflict, traduire

# The place of each partition: under the id of its last resumption, else under the topic's.
_PLACES: Final = """
SELECT p.partition, nom.topic_id, coalesce(lue.jusqu_a, r.depuis, 0), a.partition IS NOT NULL
FROM unnest(%(partitions)b::int4[]) AS p (partition)
LEFT JOIN LATERAL (
    SELECT identifiant, depuis FROM journal.reprises
    WHERE topic_id = %(topic_id)b::uuid AND partition = p.partition ORDER BY rang DESC LIMIT 1
) AS r ON true
CROSS JOIN LATERAL (SELECT coalesce(r.identifiant, %(topic_id)b::uuid)) AS nom (topic_id)
LEFT JOIN LATERAL (
    SELECT jusqu_a FROM journal.positions
    WHERE topic_id = nom.topic_id AND partition = p.partition ORDER BY depuis DESC LIMIT 1
) AS lue ON true
LEFT JOIN journal.arrets a ON a.topic_id = nom.topic_id AND a.partition = p.partition
"""

# The id under which a topic was seen last.
_DERNIER: Final = "SELECT topic_id FROM journal.topics WHERE topic = %b ORDER BY rang DESC LIMIT 1"

# Notes that a topic was met.
_RENCONTRER: Final = f"""
INSERT INTO journal.topics (topic, topic_id) SELECT %b, %b FROM {AT_MOST} ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants)

# Moves the positions that were read, a row a partition; only from where the log itself is. A consumer that knows more,
# because an older backup was restored under it, would leave unread what lies between.
_ADVANCE: Final = f"""
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a)
SELECT lue.* FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::int8[])
    AS lue (topic_id, topic, partition, depuis, jusqu_a), {AT_MOST}
WHERE lue.depuis = coalesce(
    (SELECT p.jusqu_a FROM journal.positions p
     WHERE p.topic_id = lue.topic_id AND p.partition = lue.partition ORDER BY p.depuis DESC LIMIT 1),
    (SELECT r.depuis FROM journal.reprises r WHERE r.identifiant = lue.topic_id AND r.partition = lue.partition),
    0)
"""  # noqa: S608

# Keeps what was skipped.
_PERDRE: Final = f"""
INSERT INTO journal.pertes (topic_id, topic, partition, depuis, jusqu_a) SELECT %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608

# Stops a partition, once.
_ARRETER: Final = f"""
INSERT INTO journal.arrets (topic_id, topic, partition, position, fin) SELECT %b, %b, %b, %b, %b FROM {AT_MOST}
ON CONFLICT DO NOTHING
"""  # noqa: S608

# Takes up a partition under a new id.
_REPRENDRE: Final = f"""
INSERT INTO journal.reprises (topic_id, topic, partition, identifiant, depuis, motif)
SELECT %b, %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608

# The stopped partitions: neither taken up since, nor of a topic recreated since.
_A_L_ARRET: Final = """
SELECT n.origine, n.topic, n.partition, n.position, n.fin, n.enregistre_le
FROM (
    SELECT a.*, coalesce(r.topic_id, a.topic_id) AS origine, coalesce(r.rang, 0) AS rang
    FROM journal.arrets a LEFT JOIN journal.reprises r ON r.identifiant = a.topic_id AND r.partition = a.partition
) AS n
WHERE n.origine = (SELECT topic_id FROM journal.topics t WHERE t.topic = n.topic ORDER BY t.rang DESC LIMIT 1)
  AND NOT EXISTS (
    SELECT 1 FROM journal.reprises s WHERE s.topic_id = n.origine AND s.partition = n.partition AND s.rang > n.rang
)
ORDER BY n.topic, n.partition
"""

# What happened to each topic: how many times recreated, when; messages lost.
_ACCIDENTS: Final = """
SELECT t.topic, count(*) - 1, CASE WHEN count(*) > 1 THEN max(t.enregistre_le) END,
       (SELECT coalesce(sum(p.jusqu_a - p.depuis), 0)::int8 FROM journal.pertes p WHERE p.topic = t.topic)
FROM journal.topics t GROUP BY t.topic
"""


class Place(NamedTuple):
    """Where to read a partition; `partition` bears the id under which its messages are recorded."""

    partition: Partition
    position: int
    arretee: bool


class Arret(NamedTuple):
    """A stopped partition; `topic_id` is that of the topic itself."""

    topic_id: UUID
    topic: str
    partition: int
    position: int
    """Where we were."""
    fin: int
    """The end of the partition, when it was seen before our position; our position itself if it could not be read."""
    le: datetime


class Accidents(NamedTuple):
    """What Kafka did to a topic."""

    recree: int
    """How many times."""
    recree_le: datetime | None
    perdus: int
    """Messages deleted before they were read."""


def places(conn: Connection[Any], topic: str, topic_id: UUID, partitions: Sequence[int]) -> dict[int, Place]:
    """The place of each of these partitions, in one query."""
    lignes = conn.execute(_PLACES, {"partitions": list(partitions), "topic_id": topic_id})
    return {numero: Place(Partition(nom, topic, numero), ou, arretee) for numero, nom, ou, arretee in lignes}


def encounter(conn: Connection[Any], topic: str, topic_id: UUID) -> UUID | None:
    """Note a topic's id; return the former one if it has just been recreated, None otherwise."""
    (dernier,) = conn.execute(_DERNIER, (topic,)).fetchone() or (None,)
    if dernier == topic_id:
        return None
    nouveau = conn.execute(_RENCONTRER, (topic, topic_id, latest())).rowcount == 1
    return dernier if nouveau else None


def advance(
    conn: Connection[Any], advances: Sequence[Advance], clock: Callable[[], datetime] = ours
) -> Callable[[], None]:
    """Move these positions; the answer, once the pipeline is read, raises PositionConflict if the log is elsewhere.

    Two that start from the same place meet in the unique key: UniqueViolation, then.
    """
    if not advances:
        return lambda: None
    moved = conn.execute(
        _ADVANCE,
        (
            [advance.partition.topic_id for advance in advances],
            [advance.partition.topic for advance in advances],
            [advance.partition.partition for advance in advances],
            [advance.depuis for advance in advances],
            [advance.jusqu_a for advance in advances],
            latest(clock),
        ),
    )

    def require() -> None:
        if moved.rowcount != len(advances):
            raise PositionConflict("the log is not where these messages start")

    return require


def perdre(conn: Connection[Any], partition: Partition, depuis: int, jusqu_a: int) -> None:
    """Skip messages that Kafka no longer has, as a batch does, and count the loss. Raises PositionConflict."""
    try:
        advance(conn, [Advance(partition, depuis, jusqu_a)])()
    except UniqueViolation as violation:
        raise traduire(violation) from violation
    conn.execute(_PERDRE, (partition.topic_id, partition.topic, partition.partition, depuis, jusqu_a, latest()))


def arreter(conn: Connection[Any], partition: Partition, position: int, fin: int) -> None:
    """Stop a partition until a person decides where to go on with it."""
    conn.execute(_ARRETER, (partition.topic_id, partition.topic, partition.partition, position, fin, latest()))


def reprendre(conn: Connection[Any], partition: Partition, depuis: int, *, motif: str) -> UUID:
    """Go on with a partition of the topic at this position, under a new id, which is returned.

    The positions and fates already recorded name messages that are no longer in the same places: those that come must
    not run against them.
    """
    identifiant = uuid4()
    numero = partition.partition
    conn.execute(_REPRENDRE, (partition.topic_id, partition.topic, numero, identifiant, depuis, motif, latest()))
    return identifiant


def stopped_partitions(conn: Connection[Any]) -> list[Arret]:
    """The stopped partitions, that a person must take up again."""
    return [Arret(*ligne) for ligne in conn.execute(_A_L_ARRET)]


def accidents(conn: Connection[Any]) -> dict[str, Accidents]:
    """What happened to each topic that was met."""
    return {topic: Accidents(*ligne) for topic, *ligne in conn.execute(_ACCIDENTS)}
