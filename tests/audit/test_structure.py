"""La structure que les migrations font est celle que l'audit attend, sur chaque PostgreSQL que nous servons."""

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from projections.audit import auditer, structure
from projections.audit.structure import FICHIER, en_texte, lire_la_structure
from service.embedded import throwaway_folder
from service.schema import migrate
from tests.vieux_postgresql import ce_qui_manque, vieux_postgresql

ATTENDUE = Path(structure.__file__).with_name(FICHIER)


def test_une_base_neuve_est_celle_que_l_audit_attend(base: Any) -> None:
    """Après une migration : AUDIT_STRUCTURE=ecrire pytest tests/audit/test_structure.py récrit le fichier."""
    with psycopg.connect(base.url_proprietaire) as conn:
        dite = en_texte(lire_la_structure(conn))
    if os.environ.get("AUDIT_STRUCTURE") == "ecrire":
        ATTENDUE.write_text(dite, encoding="utf-8")
    assert dite.splitlines() == ATTENDUE.read_text(encoding="utf-8").splitlines()


@pytest.mark.serveur
def test_le_plus_ancien_postgresql_dit_la_meme() -> None:
    if manque := ce_qui_manque():
        pytest.skip(manque)
    with throwaway_folder() as dossier, vieux_postgresql(dossier) as url:
        migrate(url, "postgres")
        with psycopg.connect(url) as conn:
            assert en_texte(lire_la_structure(conn)).splitlines() == ATTENDUE.read_text(encoding="utf-8").splitlines()


def test_l_horloge_du_journal_avancee_est_dite(base: Any) -> None:
    """Une suite ne se défait pas avec sa transaction : elle n'est pas de la table des altérations."""
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        assert auditer(conn).ecarts == []
        demain = "(extract(epoch FROM now() + interval '1 day') * 1000000)::int8"
        conn.execute(f"SELECT setval('journal.horloge', {demain})".encode())
    with psycopg.connect(base.url, autocommit=True) as conn:
        assert auditer(conn).ecarts == ["garde : l'horloge du journal est en avance"]
