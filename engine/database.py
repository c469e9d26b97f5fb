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

OPTIONS: Final = "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
"""Aucune attente sans borne : un verrou, une instruction ou une transaction oubliée finit en erreur visible."""


def connection_options(application: str) -> dict[str, Any]:
    """What every pooled connection is opened with, whether its pool is synchronous or not."""
    return {
        "autocommit": True,
        "application_name": application,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "options": OPTIONS,
    }


def connect(url: str, *, application: str, **options: Any) -> Connection[Any]:
    """Ouvre une connexion à part du pool (autocommit), pour un rôle qui la garde : un suiveur, un consommateur."""
    return psycopg.connect(
        url,
        autocommit=True,
        application_name=application,
        connect_timeout=CONNECT_TIMEOUT_S,
        options=OPTIONS,
        **options,
    )


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
