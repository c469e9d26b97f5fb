"""A pooler between us and PostgreSQL: recognised, given what it let fall, and refused if it shares out sessions.

PgBouncer in session mode serves us like PostgreSQL itself, once it is told to let our `options` pass unread
(`ignore_startup_parameters = options`); what they would have set is then set here. In transaction mode a session's
settings, its LISTEN and its locks would go to whoever comes next: nothing that we rely on would hold, and nothing would
say so.

A pooler gives a client a process number of its own making. Whether it shares sessions is seen from two connections:
while the first is open and idle, the second gets the server process of the first.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import make_conninfo

from engine.outages import Outage

PROBES: Final = 3
"""How many times the two are compared: a busy pooler may have lent the first's process to somebody else."""

_PROCESS: Final = "SELECT pg_backend_pid()"
_SET: Final = "SELECT set_config(name, value, false) FROM unnest(%b::text[], %b::text[]) AS s (name, value)"


class TransactionPooling(Outage):
    """The pooler lends sessions for one transaction at a time."""

    def __init__(self) -> None:
        """Say what to do, in the operator's language."""
        super().__init__(
            "PostgreSQL est joint par un pooler en mode transaction (ou statement) : les réglages de session, LISTEN et"
            " les délais n'y tiennent pas. Le mettre en mode session (PgBouncer : `pool_mode = session`), ou le"
            " contourner."
        )


def prepare(conn: Connection[Any], settings: Mapping[str, str]) -> None:
    """Give a new connection these settings if a pooler stands between. Raises TransactionPooling."""
    (process,) = conn.execute(_PROCESS).fetchone() or (0,)
    if process != conn.info.backend_pid:
        _require_own_session(conn)
        conn.execute(_SET, (list(settings), list(settings.values())))


async def prepare_async(conn: AsyncConnection[Any], settings: Mapping[str, str]) -> None:
    """The same, for an asynchronous connection; the pooler's mode is found out by the synchronous ones."""
    (process,) = await (await conn.execute(_PROCESS)).fetchone() or (0,)
    if process != conn.info.backend_pid:
        await conn.execute(_SET, (list(settings), list(settings.values())))


def _require_own_session(conn: Connection[Any]) -> None:
    address = make_conninfo(conn.info.dsn, password=conn.info.password)
    with closing(psycopg.connect(address, autocommit=True)) as other:
        for _ in range(PROBES):
            if conn.execute(_PROCESS).fetchone() == other.execute(_PROCESS).fetchone():
                raise TransactionPooling
