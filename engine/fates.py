"""Combien de messages ont eu chaque sort : tenu par le recorder avec les sorts eux-mêmes, et ici lu."""

from typing import Any, Final

from psycopg import Connection

_PAR_TOPIC: Final = "SELECT topic, sort, sum(messages)::int8 FROM vues.sorts GROUP BY topic, sort ORDER BY topic, sort"

# Ce qui est tenu et ce qui est écrit, là où ils diffèrent ; lit tous les sorts.
_ECARTS: Final = """
SELECT topic, partition, sort, coalesce(tenu.messages, 0), coalesce(ecrit.messages, 0)
FROM vues.sorts AS tenu
FULL JOIN (
    SELECT topic_id, topic, partition, sort, count(*) AS messages FROM journal.sorts
    GROUP BY topic_id, topic, partition, sort
) AS ecrit USING (topic_id, topic, partition, sort)
WHERE tenu.messages IS DISTINCT FROM ecrit.messages
ORDER BY topic, partition, sort
"""


def fates_by_topic(conn: Connection[Any]) -> dict[tuple[str, str], int]:
    """Le nombre de messages de chaque topic et de chaque sort ; un topic recréé est compté avec l'ancien."""
    return {(topic, sort): messages for topic, sort, messages in conn.execute(_PAR_TOPIC)}


def fates_of(conn: Connection[Any], topic: str) -> dict[str, int]:
    """Le nombre de messages de chaque sort de ce topic."""
    return {sort: messages for (nom, sort), messages in fates_by_topic(conn).items() if nom == topic}


def ecarts(conn: Connection[Any]) -> list[str]:
    """Une phrase par compte qui n'est pas celui des sorts écrits."""
    return [
        f"sorts : {topic}/{partition} {sort} vaut {tenu}, le journal dit {ecrit}"
        for topic, partition, sort, tenu, ecrit in conn.execute(_ECARTS)
    ]
