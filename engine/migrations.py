"""The schema of the database: numbered SQL files, applied in order, once, under a lock."""

import hashlib
import re
from importlib.resources.abc import Traversable
from typing import Any, Final

import psycopg
from psycopg import sql

from engine.database import connect_owner

MIGRATION_LOCK: Final = 0x637265616E636573
"""Advisory lock key (the service's name in ASCII): two `migrate` at once run one after the other."""

SERVICE_ROLE_NAME: Final = "creances_service"
"""Group role that may INSERT and SELECT in `journal` and owns `vues`; the service's login is made a member of it."""

RIGHTS: Final = "rights.sql"
"""Applied whole after the numbered files, when one of them is new or it changed itself: what every role may do."""

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


SERVER_MIN: Final = 150_000
"""The oldest PostgreSQL that is served, as it numbers itself: 15."""

ENCODING: Final = "UTF8"


class DatabaseRefused(Exception):
    """This database cannot hold the schema; the sentence says why, and what to do."""


class MigrationChanged(Exception):
    """A migration that this database has already applied was changed since: write a new one instead."""


def migrate_schema(owner_url: str, service_user: str, folder: Traversable) -> list[str]:
    """Creates or upgrades the schema; returns the names of the migrations applied now (none if up to date).

    `owner_url` connects as the owner of the schema (in practice a role with CREATEROLE, or a superuser).
    `service_user` is the login role of the service, which receives the rights; it may be the owner itself.
    `folder` holds the files, `0001_name.sql` and so on, and `rights.sql`. Safe to run twice, at once, from two places.
    Raises MigrationChanged, DatabaseRefused, or TransactionPooling; nothing is written then.
    """
    with connect_owner(owner_url) as conn:
        require_suitable(conn.info.server_version, conn.info.parameter_status("server_encoding") or "")
        conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        applied = _applied(conn)
        new: list[str] = []
        for name, text in _files(folder):
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name in applied:
                if applied[name] != digest:
                    raise MigrationChanged(name)
                continue
            with conn.transaction():
                conn.execute(text.encode())
                conn.execute("INSERT INTO public.creances_migrations (nom, empreinte) VALUES (%s, %s)", (name, digest))
                if not new and not applied:
                    conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(SERVICE_ROLE_NAME)))
            new.append(name)
        _give_rights(conn, folder, applied.get(RIGHTS) if not new else None)
        (owner,) = conn.execute("SELECT current_user").fetchone() or ("",)
        if service_user != owner:
            conn.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(SERVICE_ROLE_NAME), sql.Identifier(service_user))
            )
    return new


def require_suitable(version: int, encoding: str) -> None:
    """Raise DatabaseRefused for a server that is too old, or a database that is not in UTF-8."""
    if version < SERVER_MIN:
        told, least = version // 10_000, SERVER_MIN // 10_000
        raise DatabaseRefused(f"PostgreSQL {told} est trop ancien : il faut la version {least} au moins.")
    if encoding != ENCODING:
        raise DatabaseRefused(
            f"cette base est codée en {encoding}, et non en {ENCODING} : certains noms ne s'y écriraient pas."
            " En créer une autre : CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


def _applied(conn: psycopg.Connection[Any]) -> dict[str, str]:
    conn.execute(
        "CREATE TABLE IF NOT EXISTS public.creances_migrations ("
        "nom text PRIMARY KEY, empreinte text NOT NULL, appliquee_le timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    return dict(conn.execute("SELECT nom, empreinte FROM public.creances_migrations").fetchall())


def _give_rights(conn: psycopg.Connection[Any], folder: Traversable, given: str | None) -> None:
    """Apply `rights.sql`, unless the same was `given` and no table came since."""
    file = folder.joinpath(RIGHTS)
    if not file.is_file():
        return
    text = file.read_text("utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if digest == given:
        return
    with conn.transaction():
        conn.execute(text.encode())
        conn.execute(
            "INSERT INTO public.creances_migrations (nom, empreinte) VALUES (%s, %s) ON CONFLICT (nom)"
            " DO UPDATE SET empreinte = excluded.empreinte, appliquee_le = clock_timestamp()",
            (RIGHTS, digest),
        )


def _files(folder: Traversable) -> list[tuple[str, str]]:
    return sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if _NAME.fullmatch(file.name))
