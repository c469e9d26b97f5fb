"""Ce que la banque dit avoir rendu par carte, face à ce que le journal en dit."""

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from domain.geste import Geste, Voie
from guichet.rapprocher import rapprocher
from projections.audit import auditer
from tests.guichet.reglement.banc import Banc, banc
from tests.rapports.banc import REGLAGES, operations


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    """Un paiement débité deux fois, dont la seconde est rendue par carte."""
    with banc(base.url) as b:
        b.ouvrir_creance(1)
        b.payer("T1", 20_00, 1)
        for autorisation in ("A", "B"):
            b.repondre("T1", 20_00, autorisation=autorisation)
        (ligne,) = b.ouvertes()
        b.proposer(ligne.id, Geste.RENDRE, voie=Voie.CARTE)
        b.approuver(ligne.id)
        b.projeter()
        yield b


def lire(b: Banc, jour: int, *lignes: tuple[str, str, int, str]) -> None:
    """Les opérations de la veille de ce jour de juin."""
    contenu = operations(lignes, genere=f"202606{jour:02d}")
    rapprocher(b.guichet, io.BytesIO(contenu), f"operations-{jour}.csv", REGLAGES)


def des_remboursements(b: Banc) -> list[str]:
    rapport = auditer(b.conn)
    assert rapport.non_controles == []
    assert [ecart for ecart in rapport.ecarts if not ecart.startswith("remboursements")] == []
    return rapport.ecarts


def test_un_remboursement_que_la_banque_montre_s_accorde(b: Banc) -> None:
    assert des_remboursements(b) == []
    for jour in range(2, 12):
        lire(b, jour, *[("T1", "CREDIT_CAPTURE", 20_00, "CREDITED")][: jour == 4])
    assert des_remboursements(b) == []


def test_un_remboursement_que_la_banque_tait_se_voit_une_fois_la_semaine_couverte(b: Banc) -> None:
    for jour in range(2, 9):
        lire(b, jour)
    assert des_remboursements(b) == [], "il peut encore venir"
    for jour in range(9, 12):
        lire(b, jour)
    (ecart,) = des_remboursements(b)
    assert ecart == ("remboursements : 2000 centimes de T1 rendus par carte, les opérations de la banque en disent 0")


def test_un_rapport_qui_manque_ne_fait_pas_dire_que_la_banque_se_tait(b: Banc) -> None:
    for jour in (2, 3, 4, 5, 8, 9, 10, 11):
        lire(b, jour)
    assert des_remboursements(b) == []


def test_ce_que_la_banque_rend_sans_nous_a_toujours_son_ecart(b: Banc, base: Any) -> None:
    lire(b, 3, ("T1", "CREDIT_CAPTURE", 20_00, "CREDITED"), ("T1", "CREDIT_CAPTURE", 5_00, "CREDITED"))
    assert des_remboursements(b) == [], "il attend une personne : ce n'est pas un écart de l'audit"
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.ecarts_de_rapport DISABLE TRIGGER ajout_seul")
        proprietaire.execute("DELETE FROM journal.ecarts_de_rapport")
        proprietaire.execute("ALTER TABLE journal.ecarts_de_rapport ENABLE TRIGGER ajout_seul")
    (ecart,) = des_remboursements(b)
    assert ecart.startswith("remboursements : la banque dit avoir rendu 2500 centimes de T1, le journal 2000")
