"""PostgreSQL and a Kafka-protocol broker from wheels, for the demo and the tests; production brings its own.

Both stop with whoever started them, also when that process is killed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded.broker import EmbeddedBroker, embedded_broker
from service.embedded.child import Child, EmbeddedError
from service.embedded.folder import FolderInUseError, throwaway_folder
from service.embedded.postgres import EmbeddedPostgres, embedded_postgres

__all__ = [
    "EmbeddedBroker",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedStack",
    "FolderInUseError",
    "embedded_broker",
    "embedded_postgres",
    "embedded_stack",
    "throwaway_folder",
]


@dataclass(frozen=True)
class EmbeddedStack:
    """Both servers, running."""

    owner_database_url: str
    database_url: str
    kafka_bootstrap: str
    servers: tuple[Child, ...]

    def ensure_running(self) -> None:
        """Check that both servers still run; EmbeddedError tells which one does not, with its output."""
        for server in self.servers:
            server.ensure_running()


@contextmanager
def embedded_stack(data_dir: Path) -> Iterator[EmbeddedStack]:
    """Run both servers on a folder (created if missing) until the block ends.

    Raises:
        FolderInUseError: another process uses this folder.
        EmbeddedError: a server cannot start.
    """
    with embedded_postgres(data_dir) as postgres, embedded_broker(data_dir) as broker:
        yield EmbeddedStack(
            postgres.owner_database_url,
            postgres.database_url,
            broker.kafka_bootstrap,
            (postgres.server, broker.server),
        )
