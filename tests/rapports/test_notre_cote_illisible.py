"""Un paiement ou une créance de chez nous qui ne se lit plus n'arrête ni un rapport, ni ceux qui suivent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import service.cli  # noqa: F401 (inscrit ses commandes)
from service.cli.application import app
from tests.consumers.test_attentes import abimer
from tests.rapports.banc import REFERENCE, Banc, Ligne, banc, operations, rapport


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


@pytest.fixture
def proprietaire(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        yield conn


def test_elle_seule_n_est_pas_jugee_et_l_est_une_fois_reparee(b: Banc, proprietaire: Any) -> None:
    for transaction in ("T1", "T2", "T3"):
        b.payer(transaction)
    bon = abimer(proprietaire, "paiement-T2", b"{}")
    lu = rapport([Ligne("T1"), Ligne("T2", 21_00), Ligne("T3", 22_00)])
    bilan = b.rapprocher(lu)
    assert (bilan.transactions, bilan.accordees, list(bilan.illisibles)) == (2, 1, ["T2"])
    assert b.ouverts() == [("autre_montant", "T3")]
    abimer(proprietaire, "paiement-T2", bon)
    assert b.rapprocher(lu).illisibles == {}
    assert b.ouverts() == [("autre_montant", "T2"), ("autre_montant", "T3")]


def test_un_ecart_ancien_dont_le_paiement_ne_se_lit_plus_reste_ouvert(b: Banc, proprietaire: Any) -> None:
    b.payer("T1")
    b.rapprocher(rapport([Ligne("T1", 21_00)]))
    abimer(proprietaire, "paiement-T1", b"null")
    bilan = b.rapprocher(rapport([], genere="20260603"))
    assert (list(bilan.illisibles), bilan.ouverts, bilan.leves) == (["T1"], 0, 0)
    assert b.ouverts() == [("autre_montant", "T1")]


def test_une_creance_illisible_ne_tait_que_les_transactions_qui_lui_sont_contre_passees(
    b: Banc, proprietaire: Any
) -> None:
    b.payer("T1")
    b.payer("T2", reference="3811701200000002F")
    proprietaire.execute(
        "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
        " VALUES (%s, 1, 'creance.AvisEmis', '{}', 'planté')",
        (f"creance-{REFERENCE}",),
    )
    bilan = b.rapprocher(operations([(t, "CREDIT_CAPTURE", 20_00, "CREDITED") for t in ("T1", "T2")]))
    assert list(bilan.illisibles) == ["T1"]
    assert [transaction for _, transaction in b.ouverts()] == ["T2"]


def test_la_commande_la_nomme_et_sort_avec_3(
    b: Banc, base: Any, proprietaire: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    b.payer("T1")
    abimer(proprietaire, "paiement-T1", b"{}")
    fichier = tmp_path / "rapport.csv"
    fichier.write_bytes(rapport([Ligne("T1"), Ligne("T9")]))
    monkeypatch.setenv("CREANCES_DATABASE_URL", base.url)
    fini = CliRunner().invoke(app, ["rapprocher", "--no-ask", str(fichier)])
    assert fini.exit_code == 3, fini.output
    assert "Non jugée : T1" in fini.output
    assert "relire ce rapport" in fini.output
