"""Des rapports bien formés et pourtant faux : d'un autre, de l'avenir, redits autrement, sous un autre marchand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from domain.geste import IdAnomalie
from domain.monnaie import Centimes, Somme
from domain.paiement import Acceptation, Fin, Paiement
from domain.references import ReferenceTransaction
from domain.sort import Sort
from engine.batch import Batch
from engine.recorder import collect
from guichet.rapprocher import Interrogation, demander_a_la_banque, rapports_attendus, rapprocher
from kiosque.rapports import RapportRefuse
from tests.rapports.banc import (
    AUTRE_MARCHAND,
    JOUR,
    MARCHAND,
    REGLAGES,
    Banc,
    Ligne,
    banc,
    impayes,
    operations,
    rapport,
)
from tests.rapports.test_rapprocher import creances

ETRANGER = "002001000000009"
ANOMALIE = IdAnomalie("impaye-T1")


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


def rien_n_est_inscrit(b: Banc) -> bool:
    comptes = "SELECT (SELECT count(*) FROM journal.rapports) + (SELECT count(*) FROM journal.lignes_de_rapport)"
    return b.conn.execute(comptes).fetchone() == (0,)


# --- Un rapport qui n'est pas le nôtre, ou pas de ce jour ------------------------------------------------------------


def test_un_rapport_date_de_l_avenir_est_refuse_et_ne_fait_taire_aucune_attente(b: Banc) -> None:
    b.payer("T1")
    with pytest.raises(RapportRefuse, match="ligne 1 : le rapport est daté de l'avenir"):
        b.rapprocher(rapport([Ligne("T1")], genere="20620602"))
    assert rien_n_est_inscrit(b)
    assert rapports_attendus(b.conn, [MARCHAND], datetime(2026, 6, 2, 10, tzinfo=UTC)) == [MARCHAND]


def test_un_rapport_dont_aucun_marchand_n_est_le_notre_est_refuse(b: Banc) -> None:
    with pytest.raises(RapportRefuse, match="ligne 3 : aucun des marchands"):
        b.rapprocher(rapport([Ligne("T1", marchand=ETRANGER), Ligne("T2", marchand=ETRANGER)]))
    assert rien_n_est_inscrit(b)


def test_un_marchand_retire_est_encore_le_notre(b: Banc) -> None:
    b.payer("T1", marchand=ETRANGER)
    regles = replace(REGLAGES, retires=(ETRANGER,))
    bilan = rapprocher(b.guichet, BytesIO(rapport([Ligne("T1", marchand=ETRANGER)])), "jt", regles)
    assert (bilan.accordees, bilan.ecarts) == (1, [])


def test_des_lignes_d_un_autre_ne_sont_pas_demandees_et_ne_retiennent_pas_les_notres(b: Banc) -> None:
    autres = [Ligne(f"A{n}", marchand=ETRANGER) for n in range(5)]
    bilan = b.rapprocher(rapport([*autres, Ligne("NOTRE")]))
    posees = []

    def demander(transaction: str, _marchand: str) -> Interrogation:
        posees.append(transaction)
        return Interrogation.TRANSMISE

    demander_a_la_banque(bilan, REGLAGES, demander)
    assert (posees, bilan.transmises, bilan.sans_reponse) == (["NOTRE"], 1, 5)


def test_une_ligne_sans_marchand_se_demande_sous_chacun_des_notres_retires_compris(b: Banc) -> None:
    contenu = rapport([Ligne("T1")]).replace(MARCHAND.encode(), b"")
    regles = replace(REGLAGES, retires=(ETRANGER,))
    bilan = rapprocher(b.guichet, BytesIO(contenu), "jt", regles)
    poses = []

    def demander(_transaction: str, marchand: str) -> Interrogation:
        poses.append(marchand)
        return Interrogation.TRANSMISE if marchand == ETRANGER else Interrogation.INCONNUE

    demander_a_la_banque(bilan, regles, demander)
    assert (poses, bilan.transmises, bilan.inconnues) == ([MARCHAND, AUTRE_MARCHAND, ETRANGER], 1, 0)


# --- Sous un autre marchand que le paiement --------------------------------------------------------------------------


def test_l_argent_pris_sous_un_autre_marchand_n_est_pas_celui_du_paiement(b: Banc) -> None:
    b.payer("T1")
    bilan = b.rapprocher(rapport([Ligne("T1", marchand=AUTRE_MARCHAND)]))
    [ecart] = bilan.ecarts
    assert (ecart.genre.value, ecart.marchand, ecart.montant, ecart.a_demander) == (
        "manque_ici", AUTRE_MARCHAND, 20_00, True
    )  # fmt: skip
    assert {m: (s.banque_pris, s.nous_pris) for (m, _), s in bilan.sommes.items()} == {AUTRE_MARCHAND: (20_00, 0)}

    _encaisser_sous(b, "T1", AUTRE_MARCHAND)
    suivant = b.rapprocher(rapport([Ligne("T1")], genere="20260603"))
    assert (suivant.ecarts, suivant.leves, b.ouverts()) == ([], 1, [])
    assert {m: (s.banque_pris, s.nous_pris) for (m, _), s in suivant.sommes.items()} == {MARCHAND: (20_00, 20_00)}


def test_chaque_marchand_a_sa_part_des_sommes(b: Banc) -> None:
    b.payer("T1")
    _encaisser_sous(b, "T1", AUTRE_MARCHAND)
    bilan = b.rapprocher(rapport([Ligne("T1"), Ligne("T1", 20_00, marchand=AUTRE_MARCHAND)]))
    jour = date(2026, 6, 1)
    assert bilan.ecarts == []
    assert {cle: (s.banque_pris, s.nous_pris) for cle, s in bilan.sommes.items()} == {
        (MARCHAND, jour): (20_00, 20_00), (AUTRE_MARCHAND, jour): (20_00, 20_00)
    }  # fmt: skip


def _encaisser_sous(b: Banc, transaction: str, marchand: str) -> None:
    """Ce que le chemin ordinaire enregistre d'une acceptation sous un autre de nos marchands."""
    with b.guichet.base.transaction() as conn:
        paiement = b.guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        assert isinstance(paiement, Paiement)
        acceptation = Acceptation(marchand, Centimes(20_00), None, JOUR, depart_presume=False)
        assert paiement.encaisser_sans_imputer(acceptation, Sort.NON_RAPPROCHEE, maintenant=JOUR)
        b.guichet.recorder.record(conn, Batch(entries=collect([paiement], "test")))


# --- La même chose, dite autrement -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ecrites", [("", "761208"), ("761208", ""), ("0761208", "761208"), ("", "null"), ("0", "000")])
@pytest.mark.parametrize("ensemble", [True, False], ids=["un fichier", "deux fichiers"])
def test_une_autorisation_absente_ou_sans_ses_zeros_n_est_pas_une_autre_acceptation(
    b: Banc, ecrites: tuple[str, str], *, ensemble: bool
) -> None:
    b.payer("T1")
    lignes = [Ligne("T1", autorisation=ecrite) for ecrite in ecrites]
    fichiers = [lignes] if ensemble else [[ligne] for ligne in lignes]
    for rang, fichier in enumerate(fichiers):
        bilan = b.rapprocher(rapport(fichier, genere=f"2026060{2 + rang}"))
        assert (bilan.accordees, bilan.ecarts) == (1, [])
        assert all(somme.banque_pris in {0, 20_00} for somme in bilan.sommes.values())
    assert b.ouverts() == []


def test_deux_autorisations_presentes_et_differentes_sont_deux_acceptations(b: Banc) -> None:
    b.payer("T1")
    lignes = [Ligne("T1", autorisation=a) for a in ("761208", "761209", "", "0761209")]
    [ecart] = b.rapprocher(rapport(lignes)).ecarts
    assert (ecart.genre.value, ecart.montant_banque, ecart.montant_chez_nous) == ("autre_montant", 40_00, 20_00)


def test_deux_remboursements_partiels_pareils_restent_deux(b: Banc) -> None:
    b.payer("T1")
    contenu = operations([("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED"), ("T1", "CREDIT_CAPTURE", 5_00, "CREDITED")])
    derniere = b"OPERATION;" + MARCHAND.encode() + b";T1;CREDIT_CAPTURE;2026-06-01T22:10:09+02:00;500;CREDITED\nEND"
    [ecart] = b.rapprocher(contenu.replace(b"END", derniere)).ecarts
    assert (ecart.genre.value, ecart.montant) == ("remboursement", 10_00)


def test_un_paiement_de_la_seconde_heure_du_changement_d_heure_est_le_sien(b: Banc) -> None:
    """2 h 30 vient deux fois le 25 octobre 2026 ; la banque date celui de la seconde sans dire laquelle."""
    b.payer("T1", a=datetime(2026, 10, 25, 1, 25, tzinfo=UTC))
    regles = replace(REGLAGES, horloge=lambda: datetime(2026, 10, 26, 9, tzinfo=UTC))
    contenu = rapport([Ligne("T1", le="2026-10-25 02:30:00")], genere="20261026")
    assert rapprocher(b.guichet, BytesIO(contenu), "jt", regles).ecarts == []


# --- Ce qui est rendu ------------------------------------------------------------------------------------------------


def _recrediter(b: Banc, transaction: str, montant: int) -> None:
    """Ce que le règlement enregistre d'un remboursement, ou d'une annulation, que la banque a fait."""
    with b.guichet.base.transaction() as conn:
        paiement = b.guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        assert isinstance(paiement, Paiement)
        paiement.demander_remboursement(ANOMALIE, Somme(montant), maintenant=JOUR)
        assert paiement.conclure_remboursement(ANOMALIE, None, maintenant=JOUR)
        b.guichet.recorder.record(conn, Batch(entries=collect([paiement], "test")))


def test_une_annulation_partielle_demandee_ici_diminue_la_remise_sans_ecart(b: Banc) -> None:
    b.payer("T1")
    _recrediter(b, "T1", 5_00)
    bilan = b.rapprocher(operations([("T1", "CANCEL", 5_00, "TO_CAPTURE"), ("T1", "DEBIT_CAPTURE", 15_00, "CAPTURED")]))
    assert (bilan.accordees, bilan.ecarts) == (1, [])
    [somme] = bilan.sommes.values()
    assert (somme.banque_pris, somme.nous_pris) == (15_00, 15_00)
    assert b.rapprocher(rapport([Ligne("T1")])).ecarts == []


def test_une_remise_diminuee_que_personne_n_a_demandee_est_un_autre_montant(b: Banc) -> None:
    b.payer("T1")
    [ecart] = b.rapprocher(operations([("T1", "DEBIT_CAPTURE", 15_00, "CAPTURED")])).ecarts
    assert (ecart.genre.value, ecart.montant) == ("autre_montant", 5_00)


@pytest.mark.parametrize("impaye_d_abord", [False, True])
def test_un_impaye_n_est_jamais_cache_par_le_remboursement_du_meme_paiement(b: Banc, *, impaye_d_abord: bool) -> None:
    b.payer("T1")
    _recrediter(b, "T1", 20_00)
    fichiers = [
        operations([("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED"), ("T1", "CREDIT_CAPTURE", 20_00, "CREDITED")]),
        impayes([("T1", 20_00)]),
    ]
    bilans = [b.rapprocher(fichier) for fichier in (fichiers[::-1] if impaye_d_abord else fichiers)]
    assert bilans[0].ecarts == []
    assert [(e.genre.value, e.montant) for e in bilans[1].ecarts] == [
        ("remboursement" if impaye_d_abord else "impaye", 20_00)
    ]
    b.contrepasser("T1", 20_00)
    suivant = b.rapprocher(impayes([], genere="20260603"))
    assert (suivant.leves, b.ouverts()) == (1, [])


# --- Le fichier lui-même ---------------------------------------------------------------------------------------------


def test_le_meme_fichier_sous_un_autre_nom_ne_compte_qu_une_fois_meme_si_ce_nom_n_est_pas_du_texte(
    base: Any, b: Banc, tmp_path: Path
) -> None:
    b.payer("T1")
    contenu = rapport([Ligne("T1")])
    etrange = Path(str(tmp_path) + "/jt-\udce9.csv")
    etrange.write_bytes(contenu)
    (tmp_path / "copie.csv").write_bytes(contenu)
    code, dits, dit = creances(base, etrange, tmp_path / "copie.csv")
    assert (code, [d["deja_lu"] for d in dits]) == (0, [False, True]), dit
    assert b.conn.execute("SELECT count(*), min(fichier) FROM journal.rapports").fetchone() == (1, "jt-?.csv")


def test_les_memes_lignes_sous_d_autres_fins_de_ligne_ne_comptent_qu_une_fois(b: Banc) -> None:
    b.payer("T1")
    b.payer("T2", fin=Fin.ECHOUE)
    contenu = rapport([Ligne("T1"), Ligne("T2", code="05")])
    assert b.rapprocher(contenu).nouvelles == 2
    redit = b.rapprocher(contenu.replace(b"\n", b"\r\n").replace(b";", b"\t"))
    assert (redit.deja_lu, redit.nouvelles, redit.ecarts) == (False, 0, [])


def test_un_montant_au_plus_grand_que_le_protocole_admet_ne_deborde_de_rien(b: Banc) -> None:
    b.payer("T1")
    lignes = [Ligne("T1", 999_999_999_999, autorisation=f"{n}") for n in range(1, 30)]
    [ecart] = b.rapprocher(rapport(lignes)).ecarts
    assert ecart.montant_banque == 29 * 999_999_999_999


def test_une_transaction_qui_remplit_le_rapport_est_refusee_et_non_comparee_sans_fin(b: Banc) -> None:
    lignes = [Ligne("T1", autorisation=f"{n}a") for n in range(1_001)]
    with pytest.raises(RapportRefuse, match="ligne 1003 : plus de 1000 lignes différentes d'une même transaction"):
        b.rapprocher(rapport(lignes))
    assert rien_n_est_inscrit(b)
    assert b.rapprocher(rapport([Ligne("T1")] * 1_100)).nouvelles == 1, "redite, elle n'est qu'une"
