"""L'audit et l'histoire survivent à un événement illisible : il est nommé, et tout le reste est dit."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import service.cli  # noqa: F401 (inscrit ses commandes)
from domain.avis import Avis, Mode, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance
from engine.database import Database
from engine.follower import Follower
from engine.recorder import Recorder, collect
from projections.audit import auditer
from projections.lectures.historique import historique
from projections.vues import VUES
from service.cli.application import app
from tests.audit.monde import lot_recu, rencontrer
from tests.mapper import MAPPER

T0 = datetime(2026, 6, 1, 10, tzinfo=UTC)
MOTIF = ["--motif", "essai"]
SAINE, GATEE = "3811701200010075F", "3811701200010076F"


@pytest.fixture
def conn(base: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    monkeypatch.setenv("CREANCES_DATABASE_URL", base.url)
    monkeypatch.setenv("CREANCES_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    with Database(base.url) as ouverte, psycopg.connect(base.url, autocommit=True) as directe:
        recorder = Recorder(ouverte, MAPPER)
        creances = []
        for reference in (SAINE, GATEE):
            avis = Avis(
                ReferenceCreance(reference),
                Pseudonyme("a-1"),
                CodeCaisse("381"),
                "PF/FR",
                Centimes(100_00),
                Centimes(100_00),
                date(2026, 5, 12),
                Mode.PAPIER,
            )
            creances.append(Créance.ouvrir(avis, Politique(), maintenant=T0))
            creances[-1].encaisser("m1", Centimes(12_00), Moyen.CHEQUE, date(2026, 6, 2), maintenant=T0)
        with ouverte.transaction() as ecriture:
            rencontrer(ecriture)
            recorder.record(ecriture, lot_recu(collect(creances, "")))
        directe.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES"
            " (%s, 3, 'creance.EncaissementRecu', 'rien de lisible', 'kafka:creances.avis/0@3'),"
            " (%s, 4, 'creance.PaiementEchoue', %s, 'kafka:creances.avis/0@3')",
            (
                Créance.flux(GATEE),
                Créance.flux(GATEE),
                b'{"timestamp":"2026-06-01T10:00:00Z","transaction":"ABSENTE","part_liberee":1,"cause":"x"}',
            ),
        )
        for vue in VUES.values():
            Follower(base.url, vue.construire(recorder), derriere=vue.derriere, mapper=MAPPER).catch_up()
        yield directe


def test_l_audit_nomme_le_flux_illisible_et_compare_le_reste(conn: psycopg.Connection[Any]) -> None:
    rapport = auditer(conn)
    assert list(rapport.illisibles) == [Créance.flux(GATEE)]
    assert "v3" in rapport.illisibles[Créance.flux(GATEE)]
    assert (rapport.creances, rapport.restant_du_total) == (1, 88_00)
    assert all(GATEE in ecart and "écarté" in ecart for ecart in rapport.ecarts)
    conn.execute("UPDATE vues.restant_du SET solde = solde - 1 WHERE reference = %s", (SAINE,))
    assert any(SAINE in ecart for ecart in auditer(conn).ecarts)


def test_l_histoire_dit_ce_qui_se_lit_et_nomme_le_reste(conn: psycopg.Connection[Any], base: Any) -> None:
    with Database(base.url) as ouverte:
        histoire = historique(conn, Recorder(ouverte, MAPPER), GATEE)
    assert [(etape.version, etape.solde) for etape in histoire.etapes] == [(1, 100_00), (2, 88_00)]
    assert [(fautif.version, fautif.topic) for fautif in histoire.illisibles] == [
        (3, "creance.EncaissementRecu"),
        (4, "creance.PaiementEchoue"),
    ]


@pytest.mark.parametrize(
    ("gater", "commande", "code"),
    [
        ("DELETE FROM vues.ecartes", ["audit"], 3),
        ("DELETE FROM vues.ecartes", ["audit", SAINE], 0),
        ("UPDATE vues.restant_du SET solde = 0", ["audit"], 1),
        ("DELETE FROM vues.ecartes", ["history", GATEE, *MOTIF], 3),
        ("DELETE FROM vues.ecartes", ["history", GATEE, "--json", *MOTIF], 3),
        ("DELETE FROM vues.ecartes", ["history", SAINE, *MOTIF], 0),
    ],
    ids=lambda valeur: " ".join(valeur) if isinstance(valeur, list) else None,
)
def test_le_code_de_sortie_distingue_un_ecart_de_ce_qui_n_a_pu_se_lire(
    conn: psycopg.Connection[Any], gater: Any, commande: list[str], code: int
) -> None:
    conn.execute(gater)
    fini = CliRunner().invoke(app, commande)
    assert fini.exit_code == code, fini.output
    if code == 3:
        assert GATEE in fini.output or "illisible" in fini.output.lower()
