"""Les connexions à PostgreSQL : un petit pool vérifié, des délais bornés, et la transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from engine.outages import is_outage, is_retryable

CONNECT_TIMEOUT_S: Final = 5
"""Au-delà, une connexion qui ne s'ouvre pas est une panne (secondes)."""

POOL_TIMEOUT_S: Final = 5.0
"""Attente d'une connexion libre du pool, au-delà de laquelle la demande échoue (secondes)."""

SILENCE_S: Final = 10
"""How long a peer may stay silent, in a transaction or at the other end of a cable, before it is given up (seconds)."""

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
    # What a role or a database may have been given otherwise, and what our reading of its answers relies on.
    "DateStyle": "ISO,YMD",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "search_path": "pg_catalog,public",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_deferrable": "off",
}

OPTIONS: Final = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
"""What every session is opened with; it prevails over `ALTER ROLE … SET` and `ALTER DATABASE … SET`."""


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


def connect(url: str, *, application: str, **options: Any) -> Connection[Any]:
    """Open a connection apart from the pool (autocommit), for a role that keeps it: a follower, a consumer."""
    return psycopg.connect(url, **(connection_options(application) | options))


class Database:
    """Un pool de connexions vers la base du service ; une connexion morte est remplacée avant d'être prêtée."""

    def __init__(self, url: str, *, application: str = "creances", connexions_max: int = 8) -> None:
        """N'ouvre rien encore : les connexions viennent à la première demande, ou en fond."""
        self.url = url
        self._pool: ConnectionPool[Connection[Any]] = ConnectionPool(
            url,
            min_size=1,
            max_size=connexions_max,
            timeout=POOL_TIMEOUT_S,
            check=ConnectionPool.check_connection,
            kwargs=connection_options(application),
            open=False,
            name=application,
        )

    @contextmanager
    def transaction(self, *, delai_s: float | None = None) -> Iterator[Connection[Any]]:
        """Prête une connexion dans une transaction : validée à la sortie, défaite par une exception.

        `delai_s` : l'attente d'une connexion libre, si `POOL_TIMEOUT_S` est trop. Une connexion qui a connu une
        panne n'est pas rendue : un serveur passé en lecture seule, lui, répondrait encore au contrôle du pool.
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
        """Ferme toutes les connexions."""
        self._pool.close()

    def __enter__(self) -> Self:
        """Pour `with Database(…) as base`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ferme."""
        self.fermer()
