"""Un monde où tout est arrivé, et rien n'a été altéré : l'audit n'y trouve aucun écart."""

from typing import Any

import psycopg

from projections.audit import auditer
from projections.audit.structure import tables_du_journal
from tests.consumers.banc import MAINTENANT


def test_chaque_table_porte_quelque_chose(proprietaire: psycopg.Connection[Any]) -> None:
    vides = [
        f"{schema}.{table}"
        for schema, table in proprietaire.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema IN ('journal', 'vues') ORDER BY 1, 2"
        ).fetchall()
        if not proprietaire.execute(f"SELECT EXISTS (SELECT FROM {schema}.{table})").fetchone()[0]  # type: ignore[index]  # noqa: S608
    ]
    assert vides == [
        *("journal.acces", "journal.cosignatures", "journal.jetons_de_point", "journal.noeuds", "journal.notes"),
        "journal.points",
        *("journal.reculs", "journal.refus_de_temoins", "journal.sceaux"),
        "vues.accords",
        # Ce que la veille, les reconstructions, le fil et les audits tiennent de leur propre travail.
        # Tout ce qui est accepté est affiché.
        "vues.affichages_en_attente",
        *("vues.audits", "vues.baux", "vues.differences", "vues.ecartes", "vues.lectures_de_rebuts"),
        *("vues.lectures_du_fil", "vues.parite", "vues.rebuts", "vues.reconstructions"),
        *("vues.releves_de_l_horloge", "vues.releves_de_retard", "vues.soldes_publies", "vues.traces"),
    ]


def test_un_monde_complet_est_net(proprietaire: psycopg.Connection[Any]) -> None:
    rapport = auditer(proprietaire, maintenant=MAINTENANT)
    assert (rapport.ecarts, rapport.illisibles, rapport.non_controles) == ([], {}, [])


def test_les_tables_que_l_audit_connait_sont_celles_de_la_base(proprietaire: psycopg.Connection[Any]) -> None:
    tables = proprietaire.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'journal'::regnamespace AND relkind IN ('r', 'p')"
    ).fetchall()
    assert {f"journal.{nom}" for (nom,) in tables} == set(tables_du_journal())
