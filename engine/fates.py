"""How many messages had each fate: kept by the recorder with the fates themselves, and read here."""

from typing import Any, Final

from psycopg import Connection

_PAR_TOPIC: Final = "SELECT topic, sort, sum(messages)::int8 FROM vues.sorts GROUP BY topic, sort ORDER BY topic, sort"

# What is kept and what is written, where they differ; reads all the fates.
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
    """How many messages of each topic had each fate; a recreated topic is counted with the former."""
    return {(topic, sort): messages for topic, sort, messages in conn.execute(_PAR_TOPIC)}


def fates_of(conn: Connection[Any], topic: str) -> dict[str, int]:
    """How many messages of this topic had each fate."""
    return {sort: messages for (nom, sort), messages in fates_by_topic(conn).items() if nom == topic}


def ecarts(conn: Connection[Any]) -> list[str]:
    """One sentence for each count that is not that of the fates written."""
    return [
        f"sorts : {topic}/{partition} {sort} vaut {tenu}, le journal dit {ecrit}"
        for topic, partition, sort, tenu, ecrit in conn.execute(_ECARTS)
    ]
