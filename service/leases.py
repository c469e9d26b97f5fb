"""The leases of what runs beside `relance`: a row each, made by whoever comes first."""

from typing import Any

from psycopg import Connection


def offer(conn: Connection[Any], name: str) -> None:
    """Make the row that the lease of this name is taken on, unless it is there."""
    conn.execute("INSERT INTO vues.baux (nom) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
