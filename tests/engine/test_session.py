"""Ce qu'une session rend ne dépend pas de ce qu'un administrateur a réglé pour le rôle ou la base."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from engine.database import Database, connect, connect_owner
from engine.migrations import MIGRATION_LOCK
from service.schema import migrate

REGLES = {
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Tokyo",
    "IntervalStyle": "sql_standard",
    "search_path": "ailleurs",
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "client_encoding": "LATIN1",
}
ATTENDUS = {
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "search_path": "pg_catalog,public",
    "default_transaction_isolation": "read committed",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "array_nulls": "on",
    "transform_null_equals": "off",
}


@pytest.mark.parametrize("nom", ATTENDUS)
def test_une_session_prevaut_sur_les_reglages_du_role(
    base: Any, proprietaire: psycopg.Connection[Any], nom: str
) -> None:
    for regle, valeur in REGLES.items():
        proprietaire.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(base.nom), sql.Identifier(regle), sql.Literal(valeur)
            )
        )
    with Database(base.url) as ouverte, ouverte.transaction() as conn, connect(base.url, application="essai") as seule:
        for vue in (conn, seule):
            (lu,) = vue.execute("SELECT current_setting(%s)", (nom,)).fetchone() or ("",)
            assert lu == ATTENDUS[nom]


def test_qui_migre_et_se_fige_rend_le_verrou_des_migrations(base: Any) -> None:
    with connect_owner(base.url_proprietaire) as conn:
        for borne in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            assert conn.execute("SELECT current_setting(%s)", (borne,)).fetchone() == ("1min",)
        assert conn.execute("SELECT current_setting('statement_timeout')").fetchone() == ("0",)
        conn.execute("SET idle_session_timeout = '1s'")
        conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        # Rien n'est plus dit : PostgreSQL finit cette session, et un autre migre.
        assert migrate(base.url_proprietaire, "creances") == []
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
