"""The connections to PostgreSQL: a small pool that is checked, bounded waits, and the transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg_pool import ConnectionPool

from engine import arrays, instants, pooler  # noqa: F401  (how lists are sent, and times read)
from engine.outages import is_outage, is_retryable

CONNECT_TIMEOUT_S: Final = 5
"""Beyond, a connection that does not open is an outage (seconds)."""

POOL_TIMEOUT_S: Final = 5.0
"""How long to wait for a free connection of the pool before the request fails (seconds)."""

SILENCE_S: Final = 10
"""How long a peer may stay silent, in a transaction or at the other end of a cable, before it is given up (seconds)."""

_READING: Final = {
    # What a role or a database may have been given otherwise, and what our words to it and its answers rely on.
    "DateStyle": "ISO,YMD",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "search_path": "pg_catalog,public",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "bytea_output": "hex",
}

_SESSION: Final = {
    # No wait without a bound: a lock, a statement or a forgotten transaction ends in an error that is seen.
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    # Seen from the server: a client whose machine is gone.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{SILENCE_S}s",
    **_READING,
}

_OWNER: Final = (
    _READING
    | {name: _SESSION[name] for name in _SESSION if name.startswith("tcp_")}
    | {
        "search_path": "public",
        # It takes the time it takes; frozen, in a transaction or between two, it gives back the lock of all migrations.
        "idle_in_transaction_session_timeout": "60s",
        "idle_session_timeout": "60s",
    }
)
"""What a migration is run with."""


def _options(session: Mapping[str, str]) -> str:
    escaped = {name: value.replace(" ", r"\ ") for name, value in session.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


OPTIONS: Final = _options(_SESSION)
"""What every session is opened with; it prevails over `ALTER ROLE … SET` and `ALTER DATABASE … SET`."""

_SILENCE: Final = "SELECT set_config('idle_in_transaction_session_timeout', %b, false)"


def connection_options(application: str) -> dict[str, Any]:
    """What every connection is opened with, in a pool or apart, synchronous or not."""
    return {
        "autocommit": True,
        "application_name": application,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "client_encoding": "UTF8",
        # Seen from here: a server whose machine is gone. Without effect on a Unix socket.
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_S * 1000,
        "options": OPTIONS,
    }


def connect(url: str, *, application: str, silence_s: float | None = None, **options: Any) -> Connection[Any]:
    """Open a connection apart from the pool (autocommit), for a role that keeps it: a follower, a consumer.

    `silence_s`: how long it may stay silent in the midst of a transaction before PostgreSQL ends it (seconds), if the
    ordinary bound is too long. Raises psycopg.Error, or TransactionPooling.
    """
    conn = psycopg.connect(url, **(connection_options(application) | options))
    try:
        pooler.prepare(conn, _SESSION)
        if silence_s is not None:
            conn.execute(_SILENCE, (f"{round(silence_s * 1000)}ms",))
    except BaseException:
        conn.close()
        raise
    return conn


def connect_owner(url: str) -> Connection[Any]:
    """Open a connection of the schema's owner (autocommit), with a bound on its silence and none on its statements.

    Raises psycopg.Error, or TransactionPooling.
    """
    conn = psycopg.connect(url, **(connection_options("migrations") | {"options": _options(_OWNER)}))
    try:
        pooler.prepare(conn, _OWNER)
    except BaseException:
        conn.close()
        raise
    return conn


def prepare(conn: Connection[Any]) -> None:
    """What a new connection of a pool is prepared with. Raises TransactionPooling."""
    pooler.prepare(conn, _SESSION)


async def prepare_async(conn: AsyncConnection[Any]) -> None:
    """The same, for an asynchronous pool."""
    await pooler.prepare_async(conn, _SESSION)


class Database:
    """A pool of connections to the service's database; a dead one is replaced before it is lent."""

    def __init__(self, url: str, *, application: str = "engine", connexions_max: int = 8) -> None:
        """Open nothing yet: connections come with the first request, or in the background."""
        self.url = url
        self._pool: ConnectionPool[Connection[Any]] = ConnectionPool(
            url,
            min_size=1,
            max_size=connexions_max,
            timeout=POOL_TIMEOUT_S,
            check=ConnectionPool.check_connection,
            configure=prepare,
            kwargs=connection_options(application),
            open=False,
            name=application,
        )

    @contextmanager
    def transaction(self, *, delai_s: float | None = None) -> Iterator[Connection[Any]]:
        """Lend a connection in a transaction: committed on leaving, rolled back by an exception.

        `delai_s`: how long to wait for a free connection, if `POOL_TIMEOUT_S` is too long. A connection that has known
        an outage is not given back: a server gone read-only would still answer the pool's check.
        """
        self._pool.open()
        with self._pool.connection(timeout=delai_s) as conn:
            try:
                with conn.transaction():
                    yield conn
            except psycopg.Error as erreur:
                if is_outage(erreur) and not is_retryable(erreur):
                    conn.close()
                raise

    def fermer(self) -> None:
        """Close all connections."""
        self._pool.close()

    def __enter__(self) -> Self:
        """For `with Database(…) as base`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.fermer()
