"""Which database this is: what changes when another one takes its place, or an older copy of it comes back."""

from typing import Any, Final, NamedTuple

from psycopg import Connection

# A server started again, a database created again, a log whose table was made or filled again.
_WHICH: Final = """
SELECT pg_postmaster_start_time()::text, d.oid::int8, pg_relation_filenode('journal.evenements')::int8
FROM pg_database d WHERE d.datname = current_database()
"""


class Incarnation(NamedTuple):
    """The same for as long as the log can only have grown; a restore changes it, and so does a mere restart."""

    server_started: str
    database: int
    log: int


def incarnation(conn: Connection[Any]) -> Incarnation:
    """Which database answers on this connection."""
    return Incarnation(*(conn.execute(_WHICH).fetchone() or ("", 0, 0)))
