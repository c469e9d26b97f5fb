"""A filled shadow beside the live view: which rows they do not hold alike."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection, IsolationLevel

from engine import shadow
from engine.rebuild_filling import Progress
from engine.shadow import Difference, Rows

TOLD: Final = 1_000
"""Differences and events set aside that are told, at most; all are counted."""

LONG: Final = """
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)
"""
"""For a transaction that reads or writes whole tables, and whom nobody waits for."""

_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = %b"

# The streams that moved between two positions.
_MOVED: Final = """
SELECT DISTINCT flux FROM journal.evenements WHERE position > %b AND position <= %b AND topic = ANY (%b::text[])
"""


def compare(  # noqa: PLR0917  (what is compared, and up to where)
    conn: Connection[Any], name: str, position: int, tables: Sequence[Rows], topics: Sequence[str], progress: Progress
) -> tuple[list[Difference], int, int]:
    """What the live view tells otherwise: the first rows, how many there are, and how many were compared.

    In one snapshot; what moved between the shadow's position and the live one is left out.
    """
    before = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            conn.execute(LONG)
            (live,) = conn.execute(_POSITION, (name,)).fetchone() or (0,)
            span = (min(position, live), max(position, live), list(topics))
            moved = {stream for (stream,) in conn.execute(_MOVED, span)}
            told: list[Difference] = []
            count = compared = 0
            for rows in tables:
                if moved and not rows.prefix:
                    continue  # Counts of many streams: they cannot leave out those that moved.
                progress("comparaison", compared, 0)
                found, different, seen = shadow.differences(conn, rows, shadow.SCHEMA, without=moved, limit=TOLD)
                told += found
                count += different
                compared += seen
            return told[:TOLD], count, compared
    finally:
        conn.isolation_level = before
