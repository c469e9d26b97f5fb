"""How many messages had each fate: kept by the recorder with the fates themselves, and read here."""

from typing import Any, Final

from psycopg import Connection

_PAR_TOPIC: Final = "SELECT topic, sort, sum(messages)::int8 FROM vues.sorts GROUP BY topic, sort ORDER BY topic, sort"


def fates_by_topic(conn: Connection[Any]) -> dict[tuple[str, str], int]:
    """How many messages of each topic had each fate; a recreated topic is counted with the former."""
    return {(topic, sort): messages for topic, sort, messages in conn.execute(_PAR_TOPIC)}


def fates_of(conn: Connection[Any], topic: str) -> dict[str, int]:
    """How many messages of this topic had each fate."""
    return {sort: messages for (nom, sort), messages in fates_by_topic(conn).items() if nom == topic}
