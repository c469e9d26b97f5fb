"""The leases of what runs beside `relance`: a row each, made by whoever comes first."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from psycopg import Connection

from engine.database import connect
from engine.lease import Lease


def offer(conn: Connection[Any], name: str) -> None:
    """Make the row that the lease of this name is taken on, unless it is there."""
    conn.execute("INSERT INTO vues.baux (nom) VALUES (%s) ON CONFLICT DO NOTHING", (name,))


@contextmanager
def led(url: str, name: str, lease: Lease) -> Iterator[Connection[Any] | None]:
    """A connection of its own while this process holds the lease, which is renewed meanwhile; None: another holds it.

    Raises psycopg.Error if the database is away; what the body raises passes through, the lease given back.
    """
    with closing(connect(url, application=f"creances-{name}")) as conn:
        offer(conn, name)
        if not lease.take(conn):
            yield None
            return
        try:
            with lease.renewed():
                yield conn
        finally:
            lease.release(conn)
