"""How many bytes an event, a fate and a row of the view take on disk, their indexes included."""

from typing import Any

from psycopg import Connection

# Bytes and rows of a table, with everything that belongs to it.
_SIZE = "SELECT pg_total_relation_size(%s::regclass), (SELECT count(*) FROM {})"


def bytes_each(conn: Connection[Any], table: str) -> float:
    """Bytes on disk for each row of a table."""
    size, rows = conn.execute(_SIZE.format(table), (table,)).fetchone() or (0, 1)
    return float(size) / max(1, rows)
