"""La page du voyage d'un euro est celle du code : chaque fait, chaque sort et chaque écart y est."""

from docs import argent
from domain.creance import FAITS_DE_CREANCE
from domain.paiement import FAITS_DE_PAIEMENT
from domain.sort import Sort
from guichet.rapprochement.ecarts import GenreEcart


def test_la_page_est_a_jour() -> None:
    texte = argent.PAGE.read_text("utf-8")
    assert argent.page(texte) == texte, "python docs/argent.py l'écrit de nouveau"


def test_chaque_fait_chaque_sort_et_chaque_ecart_a_sa_place() -> None:
    assert {fait.__name__ for fait in (*FAITS_DE_PAIEMENT, *FAITS_DE_CREANCE)} <= argent.ETAPES.keys()
    assert {sort.value for sort in Sort} <= argent.SORTS.keys()
    assert set(GenreEcart) == argent.ECARTS.keys()


def test_un_passage_va_d_un_etat_connu_a_un_autre() -> None:
    connus = {*argent.ETATS, argent.DEHORS}
    assert {p for etape in argent.ETAPES.values() for passage in etape.passages for p in passage[:2]} == connus


def test_une_page_en_retard_se_voit() -> None:
    texte = argent.PAGE.read_text("utf-8")
    assert argent.page(texte.replace("PaiementContrepassé", "Autre")) == texte
