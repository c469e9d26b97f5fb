"""L'histoire d'une créance telle que l'assuré la lit, racontée depuis le journal."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.avis import Avis, Canal, Mode, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes, Somme
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.database import Database
from engine.recorder import Recorder, collect
from projections.lectures.mouvements import Mouvement, mouvements
from tests.mapper import MAPPER

T0 = datetime(2026, 6, 1, 10, tzinfo=UTC)
REF = "3811701200010075F"
AVIS = Avis(
    ReferenceCreance(REF),
    Pseudonyme("a-1"),
    CodeCaisse("381"),
    "PF/FR",
    Centimes(100_00),
    Centimes(100_00),
    date(2026, 5, 12),
    Mode.PAPIER,
)
PERSONNES = {"saisi_par": "x", "approuve_par": "y"}


@pytest.fixture
def journal(base: Any) -> Iterator[tuple[Database, Recorder]]:
    with Database(base.url) as ouverte:
        yield ouverte, Recorder(ouverte, MAPPER)


def describe(journal: tuple[Database, Recorder], creance: Créance) -> list[tuple[str, int, str]]:
    base, recorder = journal
    with base.transaction() as conn:
        recorder.record(conn, Batch(entries=collect([creance], "test")))
    with base.transaction() as conn:
        histoires = mouvements(conn, recorder, [REF, "3811701200010076F"])
    assert histoires["3811701200010076F"] == []
    return [resume(ligne) for ligne in histoires[REF]]


def resume(ligne: Mouvement) -> tuple[str, int, str]:
    return ligne.libelle, ligne.montant, ligne.etat


def initier(creance: Créance, transaction: str, part: int) -> None:
    creance.initier_paiement(
        ReferenceTransaction(transaction), Centimes(part), Canal.WEB, T0 + timedelta(minutes=15), maintenant=T0
    )


def test_chaque_paiement_tient_en_une_ligne_qui_dit_sa_fin(journal: tuple[Database, Recorder]) -> None:
    creance = Créance.ouvrir(AVIS, Politique(), maintenant=T0)
    initier(creance, "T1", 20_00)
    creance.constater_echec(ReferenceTransaction("T1"), "refus", maintenant=T0)
    initier(creance, "T2", 30_00)
    creance.accepter_paiement(ReferenceTransaction("T2"), Centimes(30_00), T0, maintenant=T0)
    creance.afficher_paiement(ReferenceTransaction("T2"), maintenant=T0)
    initier(creance, "T3", 16_00)
    assert describe(journal, creance) == [
        ("Paiement en ligne", -16_00, "en_cours"),
        ("Paiement en ligne", -30_00, "accepte"),
        ("Paiement en ligne", -20_00, "echoue"),
        ("Avis de somme à payer", 100_00, "enregistre"),
    ]


def test_une_acceptation_apres_un_echec_est_la_meme_ligne(journal: tuple[Database, Recorder]) -> None:
    creance = Créance.ouvrir(AVIS, Politique(), maintenant=T0)
    initier(creance, "T1", 20_00)
    creance.constater_echec(ReferenceTransaction("T1"), "expiré", maintenant=T0)
    creance.accepter_paiement(ReferenceTransaction("T1"), Centimes(20_00), T0, maintenant=T0)
    creance.accepter_paiement(
        ReferenceTransaction("T9"), Centimes(5_00), T0, maintenant=T0
    )  # Rattachée sans avoir été réservée.
    assert describe(journal, creance)[:2] == [
        ("Paiement en ligne", -5_00, "accepte"),
        ("Paiement en ligne", -20_00, "accepte"),
    ]


def test_ce_que_la_caisse_enregistre_se_lit_aussi_et_la_somme_est_le_solde(
    journal: tuple[Database, Recorder],
) -> None:
    creance = Créance.ouvrir(AVIS, Politique(), maintenant=T0)
    initier(creance, "T1", 20_00)
    creance.accepter_paiement(ReferenceTransaction("T1"), Centimes(20_00), T0, maintenant=T0)
    creance.contrepasser(ReferenceTransaction("T1"), "impayé", maintenant=T0, **PERSONNES)
    creance.encaisser("m1", Centimes(12_00), Moyen.CHEQUE, date(2026, 6, 2), maintenant=T0)
    creance.rectifier("m2", Centimes(90_00), "erreur", maintenant=T0)
    creance.annuler("m3", "erreur", maintenant=T0)
    creance.rembourser("m4", Somme(12_00), saisi_par="x", approuve_par="y", maintenant=T0)
    lignes = describe(journal, creance)
    assert [libelle for libelle, _, _ in lignes] == [
        "Trop-perçu remboursé",
        "Avis annulé par la caisse",
        "Montant rectifié par la caisse",
        "Paiement par chèque",
        "Paiement en ligne repris",
        "Paiement en ligne",
        "Avis de somme à payer",
    ]
    assert sum(montant for _, montant, _ in lignes) == creance.solde == 0
