"""Chaque table et chaque colonne se dit elle-même, dans la base ; la page qui en est écrite est à jour."""

from typing import Any

import psycopg

from docs.tables import PAGE, columns, page, unsaid


def test_chaque_schema_table_et_colonne_a_son_commentaire(base: Any) -> None:
    assert unsaid(columns(base.url_proprietaire)) == []


def test_une_table_ou_une_colonne_que_rien_ne_dit_est_vue(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire) as conn:
        conn.execute("CREATE TABLE vues.muette (n int)")
        conn.execute("ALTER TABLE journal.sorts ADD COLUMN muette int")
    assert unsaid(columns(base.url_proprietaire)) == ["journal.sorts.muette", "vues.muette", "vues.muette.n"]


def test_la_page_des_tables_est_a_jour(base: Any) -> None:
    assert PAGE.read_text("utf-8") == page(columns(base.url_proprietaire)), "make tables"
