"""Un PostgreSQL à soi, qui archive son WAL, et que l'on arrête et redémarre sur le même dossier."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

from service.embedded import EmbeddedPostgres, embedded_postgres, throwaway_folder
from service.schema import migrate


class PostgresqlArchive:
    """Un PostgreSQL à soi, qui archive son WAL, et que l'on arrête et redémarre sur le même dossier."""

    def __init__(self, dossier: Path) -> None:
        self.dossier = dossier
        self.archives = dossier / "wal"
        self._pile = ExitStack()
        self.servi: EmbeddedPostgres

    def demarrer(self) -> None:
        self.servi = self._pile.enter_context(embedded_postgres(self.dossier))

    def arreter(self) -> None:
        self._pile.close()

    def preparer(self) -> None:
        """Le démarre, le fait archiver, et y met le schéma."""
        self.demarrer()
        self.archives.mkdir()
        pgdata = self.dossier / "postgres"
        shutil.chown(self.archives, pgdata.stat().st_uid, pgdata.stat().st_gid)
        with closing(psycopg.connect(self.servi.owner_database_url, autocommit=True)) as conn:
            conn.execute("ALTER SYSTEM SET archive_mode = on")
            commande = f"test ! -f {self.archives}/%f && cp %p {self.archives}/%f"
            conn.execute(f"ALTER SYSTEM SET archive_command = '{commande}'".encode())
        self.arreter()
        self.demarrer()
        migrate(self.servi.owner_database_url, "creances")


@contextmanager
def postgresql_archive() -> Iterator[PostgresqlArchive]:
    with throwaway_folder() as dossier:
        dossier.chmod(0o755)  # L'utilisateur de PostgreSQL y passe.
        servi = PostgresqlArchive(dossier)
        servi.preparer()
        try:
            yield servi
        finally:
            servi.arreter()
