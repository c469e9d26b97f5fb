"""Un montant tapé : lu quand il ne dit qu'une chose, illisible dès qu'il pourrait en dire deux."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.assure.saisie import MontantIllisible, ReferenceMalTapee, adresse_de_la_saisie, lire_montant, lire_saisie
from domain.references import DefautDeReference, ReferenceIllisible
from tests.navigateur.montants import ILLISIBLES, LUS


@pytest.mark.parametrize(("tape", "centimes"), LUS.items())
def test_un_montant_qui_ne_dit_qu_une_chose_se_lit(tape: str, centimes: int) -> None:
    assert lire_montant(tape) == centimes


@pytest.mark.parametrize("tape", ILLISIBLES)
def test_un_montant_qui_fait_doute_ne_se_lit_pas(tape: str) -> None:
    with pytest.raises(MontantIllisible):
        lire_montant(tape)


@given(st.text(max_size=20))
def test_tout_texte_est_un_montant_positif_ou_illisible(tape: str) -> None:
    try:
        assert lire_montant(tape) >= 0
    except MontantIllisible:
        return
    assert any(signe in "0123456789" for signe in tape)


@given(st.integers(0, 10**9))
def test_un_montant_ecrit_se_relit(centimes: int) -> None:
    assert lire_montant(f"{centimes // 100},{centimes % 100:02d}") == centimes


@pytest.mark.parametrize("tape", ["16,50", "16€50", "20 euros"])
def test_ce_qui_est_saisi_passe_la_fin_de_la_session(tape: str) -> None:
    saisie = lire_saisie([("reference", "3811701200010075F"), ("montant", tape)])
    assert adresse_de_la_saisie(saisie).partition("montant=")[2] != ""


@pytest.mark.parametrize("defaut", list(DefautDeReference))
def test_chaque_defaut_d_une_reference_a_sa_phrase(defaut: DefautDeReference) -> None:
    phrase = ReferenceMalTapee(ReferenceIllisible((defaut,), 15, "B")).phrase
    assert phrase.endswith(". Une référence compte 16 chiffres et 1 lettre.")
