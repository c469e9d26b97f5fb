"""Où reprendre chaque partition d'un topic, et ce que Kafka lui a fait : recréée, effacée par le début, raccourcie."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.errors import UniqueViolation

from engine.batch import Partition
from engine.conflicts import traduire

# La place de chaque partition : sous l'identifiant de sa dernière reprise, sinon sous celui du topic.
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

# L'identifiant sous lequel un topic a été vu la dernière fois.
_DERNIER: Final = "SELECT topic_id FROM journal.topics WHERE topic = %b ORDER BY rang DESC LIMIT 1"

# Note la rencontre d'un topic.
_RENCONTRER: Final = "INSERT INTO journal.topics (topic, topic_id) VALUES (%b, %b) ON CONFLICT DO NOTHING"

# Saute des messages effacés : la position avance par-dessus, comme celle d'un lot.
_SAUTER: Final = """
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a) VALUES (%b, %b, %b, %b, %b)
"""

# Garde la trace de ce qui a été sauté.
_PERDRE: Final = """
INSERT INTO journal.pertes (topic_id, topic, partition, depuis, jusqu_a) VALUES (%b, %b, %b, %b, %b)
"""

# Arrête une partition, une fois.
_ARRETER: Final = """
INSERT INTO journal.arrets (topic_id, topic, partition, position, fin) VALUES (%b, %b, %b, %b, %b)
ON CONFLICT DO NOTHING
"""

# Reprend une partition sous un identifiant neuf.
_REPRENDRE: Final = """
INSERT INTO journal.reprises (topic_id, topic, partition, identifiant, depuis, motif) VALUES (%b, %b, %b, %b, %b, %b)
"""

# Les partitions à l'arrêt : ni reprises depuis, ni d'un topic recréé depuis.
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

# Ce qui est arrivé à chaque topic : combien de fois recréé, quand ; messages perdus.
_ACCIDENTS: Final = """
SELECT t.topic, count(*) - 1, CASE WHEN count(*) > 1 THEN max(t.enregistre_le) END,
       (SELECT coalesce(sum(p.jusqu_a - p.depuis), 0)::int8 FROM journal.pertes p WHERE p.topic = t.topic)
FROM journal.topics t GROUP BY t.topic
"""


class Place(NamedTuple):
    """Où lire une partition ; `partition` porte l'identifiant sous lequel ses messages sont enregistrés."""

    partition: Partition
    position: int
    arretee: bool


class Arret(NamedTuple):
    """Une partition à l'arrêt ; `topic_id` est celui du topic lui-même."""

    topic_id: UUID
    topic: str
    partition: int
    position: int
    """Où nous en étions."""
    fin: int
    """La fin de la partition, quand on l'a vue en deçà."""
    le: datetime


class Accidents(NamedTuple):
    """Ce que Kafka a fait d'un topic."""

    recree: int
    """Combien de fois."""
    recree_le: datetime | None
    perdus: int
    """Messages effacés avant d'être lus."""


def places(conn: Connection[Any], topic: str, topic_id: UUID, partitions: Sequence[int]) -> dict[int, Place]:
    """La place de chacune de ces partitions, en une requête."""
    lignes = conn.execute(_PLACES, {"partitions": list(partitions), "topic_id": topic_id})
    return {numero: Place(Partition(nom, topic, numero), ou, arretee) for numero, nom, ou, arretee in lignes}


def encounter(conn: Connection[Any], topic: str, topic_id: UUID) -> UUID | None:
    """Note l'identifiant d'un topic ; rend le précédent s'il vient d'être recréé, None sinon."""
    (dernier,) = conn.execute(_DERNIER, (topic,)).fetchone() or (None,)
    if dernier == topic_id:
        return None
    nouveau = conn.execute(_RENCONTRER, (topic, topic_id)).rowcount == 1
    return dernier if nouveau else None


def perdre(conn: Connection[Any], partition: Partition, depuis: int, jusqu_a: int) -> None:
    """Saute des messages que Kafka n'a plus, et garde le compte de la perte. Lève PositionConflict."""
    valeurs = (partition.topic_id, partition.topic, partition.partition, depuis, jusqu_a)
    try:
        conn.execute(_SAUTER, valeurs)
    except UniqueViolation as violation:
        raise traduire(violation) from violation
    conn.execute(_PERDRE, valeurs)


def arreter(conn: Connection[Any], partition: Partition, position: int, fin: int) -> None:
    """Arrête une partition jusqu'à ce qu'une personne décide d'où la reprendre."""
    conn.execute(_ARRETER, (partition.topic_id, partition.topic, partition.partition, position, fin))


def reprendre(conn: Connection[Any], partition: Partition, depuis: int, *, motif: str) -> UUID:
    """Reprend une partition du topic à cette position, sous un identifiant neuf, qui est rendu.

    Les positions et les sorts déjà enregistrés nomment des messages qui n'existent plus aux mêmes places : ceux qui
    viennent ne doivent pas s'y heurter.
    """
    identifiant = uuid4()
    numero = partition.partition
    conn.execute(_REPRENDRE, (partition.topic_id, partition.topic, numero, identifiant, depuis, motif))
    return identifiant


def stopped_partitions(conn: Connection[Any]) -> list[Arret]:
    """Les partitions arrêtées, qu'une personne doit reprendre."""
    return [Arret(*ligne) for ligne in conn.execute(_A_L_ARRET)]


def accidents(conn: Connection[Any]) -> dict[str, Accidents]:
    """Ce qui est arrivé à chaque topic rencontré."""
    return {topic: Accidents(*ligne) for topic, *ligne in conn.execute(_ACCIDENTS)}
