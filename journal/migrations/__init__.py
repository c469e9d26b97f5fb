"""The schema of the database: numbered SQL files, applied in order, once, under a lock."""

import hashlib
import re
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg import sql

VERROU_DES_MIGRATIONS: Final = 0x637265616E636573
"""Advisory lock key (« creances » in ASCII): two `migrate` at once run one after the other."""

ROLE_DU_SERVICE: Final = "creances_service"
"""Group role that may INSERT and SELECT in `journal` and owns `vues`; the service's login is made a member of it."""

_NOM: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationModifiee(Exception):
    """A migration that this database has already applied was changed since: write a new one instead."""


def migrer(url_proprietaire: str, utilisateur_service: str) -> list[str]:
    """Creates or upgrades the schema; returns the names of the migrations applied now (none if up to date).

    `url_proprietaire` connects as the owner of the schema (in practice a role with CREATEROLE, or a superuser).
    `utilisateur_service` is the login role of the service, which receives the rights; it may be the owner itself.
    Safe to run twice, at once, from two places. Raises MigrationModifiée.
    """
    with psycopg.connect(url_proprietaire, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (VERROU_DES_MIGRATIONS,))
        appliquees = _appliquees(conn)
        nouvelles: list[str] = []
        for nom, texte in _fichiers():
            empreinte = hashlib.sha256(texte.encode()).hexdigest()
            if nom in appliquees:
                if appliquees[nom] != empreinte:
                    raise MigrationModifiee(nom)
                continue
            with conn.transaction():
                conn.execute(texte.encode())
                conn.execute(
                    "INSERT INTO public.creances_migrations (nom, empreinte) VALUES (%s, %s)", (nom, empreinte)
                )
                if not nouvelles and not appliquees:
                    conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(ROLE_DU_SERVICE)))
            nouvelles.append(nom)
        (proprietaire,) = conn.execute("SELECT current_user").fetchone() or ("",)
        if utilisateur_service != proprietaire:
            conn.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE_DU_SERVICE), sql.Identifier(utilisateur_service))
            )
    return nouvelles


def _appliquees(conn: psycopg.Connection[Any]) -> dict[str, str]:
    conn.execute(
        "CREATE TABLE IF NOT EXISTS public.creances_migrations ("
        "nom text PRIMARY KEY, empreinte text NOT NULL, appliquee_le timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    return dict(conn.execute("SELECT nom, empreinte FROM public.creances_migrations").fetchall())


def _fichiers() -> list[tuple[str, str]]:
    dossier = resources.files(__package__)
    return sorted(
        (fichier.name, fichier.read_text(encoding="utf-8"))
        for fichier in dossier.iterdir()
        if _NOM.fullmatch(fichier.name)
    )
