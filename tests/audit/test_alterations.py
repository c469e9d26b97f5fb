"""Ce que le propriétaire de la base y change est vu de l'audit, ou listé avec sa raison ; rien ne l'arrête."""

from typing import Any

import psycopg
import pytest

from projections.audit import Rapport, auditer
from projections.audit.vues import COLONNES
from tests.audit.alterations import ALTERATIONS, PUIS, Alteration
from tests.consumers.banc import MAINTENANT

HORS_D_AUDIT = [
    *("suiveurs", "ecartes", "rebuts", "lectures_de_rebuts", "acces", "notes"),
    *("reculs", "securite", "soldes_publies", "audits"),
    # Ce que la veille, les reconstructions et le fil tiennent de leur propre travail.
    *("accords", "baux", "differences", "parite", "reconstructions", "releves_de_l_horloge", "releves_de_retard"),
    *("lectures_du_fil", "traces"),
    # Ce que le sceau tient : `creances audit --preuve` le refait en entier (tests/preuve).
    *("sceaux", "noeuds", "points", "cosignatures", "refus_de_temoins"),
]
"""Où en sont les rôles, ce que Kafka seul redit, ce que des agents écrivent, une alerte, qui a fait quoi, et ce que le
journal refait à tout moment, audits compris : ni argent, ni vue du journal."""

GARDES = """
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tgrelid::regclass AS nom FROM pg_trigger WHERE tgname = 'ajout_seul' LOOP
        EXECUTE format('ALTER TABLE %s {} TRIGGER ajout_seul', t.nom);
    END LOOP;
END $$
"""


def altere(conn: psycopg.Connection[Any], sql: str, *valeurs: Any) -> Rapport:
    """L'audit de la base ainsi altérée, ses gardes remises ; elle est rendue telle qu'elle était."""
    with conn.transaction(force_rollback=True):
        conn.execute(GARDES.format("DISABLE"))
        for instruction in sql.split("; "):
            if instruction == PUIS:
                conn.execute(GARDES.format("ENABLE"))
                continue
            fait = conn.execute(instruction, valeurs or None)
            assert fait.rowcount != 0, f"n'altère rien : {instruction}"
        if PUIS not in sql:
            conn.execute(GARDES.format("ENABLE"))
        return auditer(conn, maintenant=MAINTENANT)
    raise AssertionError("la transaction est toujours défaite après l'audit")


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=[a.nom for a in ALTERATIONS])
def test_une_alteration_est_vue_ou_demande_une_preuve(
    proprietaire: psycopg.Connection[Any], alteration: Alteration
) -> None:
    rapport = altere(proprietaire, alteration.sql)
    vue = bool(rapport.ecarts or rapport.illisibles or rapport.non_controles)
    assert vue is (alteration.preuve is None), (rapport.ecarts, rapport.illisibles, rapport.non_controles)


@pytest.mark.parametrize("table", ["journal.evenements", "journal.epoques", "vues.suiveurs", "vues.ecartes"])
def test_une_table_qui_manque_n_arrete_pas_l_audit(proprietaire: psycopg.Connection[Any], table: str) -> None:
    rapport = altere(proprietaire, f"DROP TABLE {table} CASCADE")
    assert any(table in phrase for phrase in rapport.non_controles), rapport.non_controles


@pytest.mark.parametrize(
    ("table", "colonne"),
    [
        ("journal.evenements", "flux"),
        ("journal.evenements", "position"),
        ("journal.evenements", "enregistre_le"),
        ("vues.paiements", "transaction"),
        ("vues.delai_affichage", "reference"),
        ("vues.messagerie", "transaction"),
    ],
)
def test_une_colonne_videe_est_dite_et_n_arrete_pas_l_audit(
    proprietaire: psycopg.Connection[Any], table: str, colonne: str
) -> None:
    """La lecture s'interrompt au milieu d'un curseur : le fermer trop tard perdait la transaction de l'audit."""
    cles = proprietaire.execute(
        "SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I; ', conrelid::regclass, conname) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype IN ('p', 'u')",
        (table,),
    ).fetchall()
    libre = f"ALTER TABLE {table} ALTER {colonne} DROP IDENTITY IF EXISTS, ALTER {colonne} DROP NOT NULL"
    une = f"UPDATE {table} SET {colonne} = NULL WHERE ctid = (SELECT min(ctid) FROM {table})"  # noqa: S608 (nos propres noms)
    rapport = altere(proprietaire, "".join(cle for (cle,) in cles) + f"{libre}; {une}")
    assert rapport.non_controles or rapport.illisibles or rapport.ecarts
    assert rapport.messages > 0, "le reste est audité"


def test_la_table_est_grande_et_ce_qui_echappe_est_rare() -> None:
    assert len(ALTERATIONS) >= 250
    assert len({a.nom for a in ALTERATIONS}) == len(ALTERATIONS) - 1, "echeance a deux lignes"
    assert sum(a.preuve is not None for a in ALTERATIONS) <= 6


def test_chaque_colonne_du_journal_et_des_vues_est_alteree(proprietaire: psycopg.Connection[Any]) -> None:
    tout = " ".join(f"{a.nom} {a.sql}" for a in ALTERATIONS)
    oubliees = [
        f"{schema}.{table}.{colonne}"
        for schema, table, colonne in proprietaire.execute(
            "SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema IN ('journal', 'vues') AND t.table_type = 'BASE TABLE' AND table_name <> ALL (%s)",
            (HORS_D_AUDIT,),
        )
        if colonne not in tout
    ]
    assert oubliees == [], "une colonne que rien n'altère n'est peut-être contrôlée de rien"


def test_l_audit_lit_chaque_colonne_de_chaque_vue(proprietaire: psycopg.Connection[Any]) -> None:
    for nom, lues in COLONNES.items():
        colonnes = proprietaire.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vues' AND table_name = %s", (nom,)
        )
        assert {colonne for (colonne,) in colonnes} == set(lues)
