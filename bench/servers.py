"""PostgreSQL and the broker that every measurement shares, and a fresh copy of a loaded database for each run.

Both come from CREANCES_DATABASE_URL, CREANCES_OWNER_DATABASE_URL and CREANCES_KAFKA_BOOTSTRAP when they are given;
otherwise they are embedded, with fsync on: a commit that does not reach the disk would flatter single commits most.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from service.embedded import embedded_broker, embedded_postgres, throwaway_folder
from service.schema import migrate
from service.settings import Settings


class Database(NamedTuple):
    """A database: its name, and how the service's role and its owner reach it."""

    name: str
    url: str
    owner_url: str


@dataclass(frozen=True)
class Servers:
    """Where the servers are; `folder` is thrown away at the end."""

    database_url: str
    owner_url: str
    kafka_bootstrap: str
    folder: Path
    embedded: bool

    def settings(self, database: Database, topic_prefix: str, **more: Any) -> Settings:
        """The service's settings on a database and topics; everything else is as in production by default."""
        return Settings(
            _env_file=None,
            database_url=database.url,
            owner_database_url=database.owner_url,
            kafka_bootstrap=self.kafka_bootstrap,
            topic_prefix=topic_prefix,
            data_dir=self.folder,
            **more,
        )

    def database(self, name: str) -> Database:
        """Name a database on this server."""
        return Database(name, _to_database(self.database_url, name), _to_database(self.owner_url, name))

    def create(self, purpose: str, *, migrated: bool = True) -> Database:
        """Create a database, with the service's schema unless told otherwise."""
        database = self.database(f"bench_{purpose}_{secrets.token_hex(4)}")
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.name)))
        if migrated:
            user = psycopg.conninfo.conninfo_to_dict(database.url)["user"]
            migrate(database.owner_url, str(user))
        return database

    @contextmanager
    def copy(self, template: Database) -> Iterator[Database]:
        """A copy of a loaded database, dropped after the run: each run starts from the same bytes."""
        database = self.database(f"{template.name}_{secrets.token_hex(4)}")
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(database.name), sql.Identifier(template.name)
            )
        )
        try:
            yield database
        finally:
            self.drop(database)

    def drop(self, database: Database) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def execute(self, statement: sql.Composed) -> None:
        """Execute one statement as the owner, outside any transaction."""
        with psycopg.connect(self.owner_url, autocommit=True) as conn:
            conn.execute(statement)

    def checkpoint(self) -> None:
        """Write out what earlier runs left dirty, so that no run pays for its predecessor."""
        with psycopg.connect(self.owner_url, autocommit=True) as conn:
            conn.execute("CHECKPOINT")


@contextmanager
def servers() -> Iterator[Servers]:
    """The servers of one whole bench."""
    given = {
        name: os.environ.get(f"CREANCES_{name}") for name in ("DATABASE_URL", "OWNER_DATABASE_URL", "KAFKA_BOOTSTRAP")
    }
    with throwaway_folder() as folder, ExitStack() as stack:
        url, owner = given["DATABASE_URL"], given["OWNER_DATABASE_URL"] or given["DATABASE_URL"]
        if url is None or owner is None:
            postgres = stack.enter_context(embedded_postgres(folder))
            url, owner = postgres.database_url, postgres.owner_database_url
        bootstrap = given["KAFKA_BOOTSTRAP"] or stack.enter_context(embedded_broker(folder)).kafka_bootstrap
        yield Servers(url, owner, bootstrap, folder, embedded=given["DATABASE_URL"] is None)


def _to_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
