"""La page du voyage d'un euro est celle du code : chaque fait, chaque sort et chaque écart y est."""

from docs import argent
from domain.creance import FAITS_DE_CREANCE
from domain.ecart import GenreEcart
from domain.geste import A_DEUX, GESTES
from domain.paiement import FAITS_DE_PAIEMENT
from domain.sort import Sort


def test_la_page_est_a_jour() -> None:
    texte = argent.PAGE.read_text("utf-8")
    assert argent.page(texte) == texte, "python docs/argent.py l'écrit de nouveau"


def test_chaque_fait_chaque_sort_et_chaque_ecart_a_sa_place() -> None:
    assert {fait.__name__ for fait in (*FAITS_DE_PAIEMENT, *FAITS_DE_CREANCE)} <= argent.ETAPES.keys()
    assert {sort.value for sort in Sort} <= argent.SORTS.keys()
    assert set(GenreEcart) == argent.ECARTS.keys()


def test_chaque_etat_se_gagne_et_se_quitte_par_un_passage_sauf_les_deux_derniers() -> None:
    passages = [*argent.SANS_FAIT, *(p for etape in argent.ETAPES.values() for p in etape.passages)]
    connus = {*argent.ETATS, argent.DEHORS}
    assert {passage.vers for passage in passages} == connus
    assert {passage.de for passage in passages} == connus - {"Rendu"}
    assert all("c'est fini" in argent.ETATS[nom].qui for nom in ("Affiche", "Rendu"))


def test_chaque_sort_laisse_l_argent_dans_un_etat_et_chaque_anomalie_d_argent_en_montre_un() -> None:
    assert {sort for etat in argent.ETATS.values() for sort in etat.sorts} == set(Sort)
    d_argent = {source for source, gestes in GESTES.items() if gestes & A_DEUX}
    assert d_argent <= {source for etat in argent.ETATS.values() for source in etat.anomalies}


def test_une_page_en_retard_se_voit() -> None:
    texte = argent.PAGE.read_text("utf-8")
    assert argent.page(texte.replace("PaiementContrepassé", "Autre")) == texte
