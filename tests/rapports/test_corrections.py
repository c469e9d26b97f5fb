"""Un rapport corrigé : le dernier qui parle d'une opération est ce que la banque en dit ; les autres restent gardés."""

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest

from domain.ecart import GenreEcart
from projections.audit import auditer
from tests.rapports.banc import Banc, Ligne, banc, impayes, operations, rapport


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


def test_un_rapport_corrige_le_meme_jour_ferme_l_ecart_qu_il_avait_ouvert(b: Banc) -> None:
    b.payer("T1")
    faux = b.rapprocher(rapport([Ligne("T1", 21_00, autorisation="761208")]))
    assert [(e.montant_banque, e.montant_chez_nous) for e in faux.ecarts] == [(21_00, 20_00)]
    juste = b.rapprocher(rapport([Ligne("T1", 20_00, autorisation="761208")]))
    assert (juste.ecarts, juste.leves, b.ouverts()) == ([], 1, [])
    [somme] = juste.sommes.values()
    assert (somme.banque_pris, somme.nous_pris) == (20_00, 20_00)
    assert b.conn.execute("SELECT count(*) FROM journal.lignes_de_rapport").fetchone() == (2,), "rien n'est effacé"
    assert [ecart for ecart in auditer(b.conn).ecarts if "rapport" in ecart or "remboursements" in ecart] == []


JUSTE, FAUX = Ligne("T1", 20_00, autorisation="761208"), Ligne("T1", 21_00, autorisation="761208")
SUITE = [
    rapport([FAUX], genere="20260602"),
    rapport([JUSTE, Ligne("T2", 16_00)], genere="2026-06-02T04:00:00+02:00"),
    rapport([FAUX, Ligne("T2", 17_00)], genere="20260603"),
    rapport([JUSTE], genere="20260604"),
]


@pytest.mark.parametrize("ordre", list(permutations(range(4))))
def test_ni_l_ordre_de_lecture_ni_les_relectures_ne_changent_ce_qui_reste_ouvert(
    b: Banc, ordre: tuple[int, ...]
) -> None:
    b.payer("T1")
    b.payer("T2", 16_00)
    for rang in (*ordre, ordre[0], ordre[2]):
        b.rapprocher(SUITE[rang])
    reste = b.conn.execute("SELECT genre, transaction, montant_banque FROM vues.ecarts_ouverts").fetchall()
    assert reste == [("autre_montant", "T2", 17_00)]
    assert b.conn.execute("SELECT count(*) FROM journal.lignes_de_rapport").fetchone() == (6,)


def test_un_rapport_ancien_lu_apres_sa_correction_dit_que_ses_lignes_sont_depassees(b: Banc) -> None:
    b.payer("T1")
    premier = b.rapprocher(SUITE[1])
    ancien = b.rapprocher(SUITE[0])
    assert (premier.corrigees, premier.depassees) == (0, 0)
    assert (ancien.corrigees, ancien.depassees, ancien.nouvelles, ancien.sommes) == (0, 1, 1, {})
    assert (ancien.ecarts, b.ouverts()) == ([], [("manque_ici", "T2")])
    assert b.rapprocher(SUITE[3]).corrigees == 1


def test_un_remboursement_corrige_ne_se_compte_qu_une_fois(b: Banc) -> None:
    """L'audit, qui recompte de son côté, dit la même chose."""
    b.payer("T1")
    remise = ("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED")
    b.rapprocher(operations([remise, ("T1", "CREDIT_CAPTURE", 6_00, "CREDITED")]))
    [ecart] = b.rapprocher(operations([remise, ("T1", "CREDIT_CAPTURE", 5_00, "CREDITED")], genere="20260603")).ecarts
    assert (ecart.montant, ecart.montant_banque) == (5_00, 5_00)
    assert b.ouverts() == [("remboursement", "T1")]
    b.rapprocher(operations([remise, ("T1", "CREDIT_CAPTURE", 0, "CREDITED")], genere="20260604"))
    assert b.ouverts() == []
    assert [ecart for ecart in auditer(b.conn).ecarts if "remboursements" in ecart] == []


def test_l_etat_d_une_transaction_est_celui_du_dernier_rapport(b: Banc) -> None:
    b.payer("T1")
    b.rapprocher(operations([("T1", "DEBIT_CAPTURE", 20_00, "CANCELLED")]))
    assert b.ouverts() == [("autre_etat", "T1")]
    b.rapprocher(operations([("T1", "DEBIT_CAPTURE", 20_00, "CAPTURED")], genere="20260603"))
    assert b.ouverts() == []


def test_une_copie_du_rapport_fautif_au_meme_instant_ne_defait_pas_la_correction(b: Banc) -> None:
    """Le fichier d'avant, renvoyé sous d'autres fins de ligne : rien de plus n'y est dit."""
    b.payer("T1")
    fautif = rapport([FAUX])
    b.rapprocher(fautif)
    assert b.rapprocher(rapport([JUSTE])).ecarts == []
    copie = b.rapprocher(fautif.replace(b"\n", b"\r\n"))
    assert (copie.deja_lu, copie.depassees, copie.ecarts, b.ouverts()) == (False, 1, [], [])


@pytest.mark.parametrize("ecrire", [impayes, None], ids=["impayé", "remboursement"])
def test_ce_qu_une_personne_a_contre_passe_et_que_la_banque_ne_dit_plus_rendu_est_un_ecart(
    b: Banc, ecrire: Callable[..., bytes] | None
) -> None:
    """Sans lui, la personne devrait de nouveau un argent que la banque garde, et rien ne le dirait."""

    def rendu(montant: int, genere: str) -> bytes:
        if ecrire is not None:
            return ecrire([("T1", montant)], genere=genere)
        return operations([("T1", "CREDIT_CAPTURE", montant, "CREDITED")], genere=genere)

    b.payer("T1")
    b.rapprocher(rendu(20_00, "20260602"))
    b.contrepasser("T1", 20_00)
    assert b.rapprocher(rendu(20_00, "20260603")).ecarts == []
    [ecart] = b.rapprocher(rendu(5_00, "20260604")).ecarts
    assert (ecart.genre, ecart.montant, ecart.montant_banque, ecart.montant_chez_nous) == (
        GenreEcart.AUTRE_MONTANT, 15_00, 5_00, 20_00
    )  # fmt: skip
    assert b.ouverts() == [("autre_montant", "T1")]
    b.rapprocher(rendu(20_00, "20260605"))
    assert b.ouverts() == []
