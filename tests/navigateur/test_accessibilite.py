"""Aucune page n'enfreint WCAG 2.1 AA, à ce qu'axe-core sait voir."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.navigateur.conftest import LARGE, TÉLÉPHONE, Pile, Visiteur
from tests.outils import attendre

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RÈGLES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
MISES_EN_PAGE_ÉTROITES = {"accueil", "étape 1, erreur", "étape 2, erreur", "étape 2, partage", "état", "créances"}
"""Les pages que l'écran étroit dispose autrement ; les autres n'y changent que de largeur."""


def infractions(page: Page) -> list[str]:
    """Ce qu'axe reproche à la page : la règle, et où."""
    page.evaluate(AXE)
    trouvées = page.evaluate("règles => axe.run(document, règles)", RÈGLES)["violations"]
    return [f"{t['id']} : {nœud['html'][:160]}" for t in trouvées for nœud in t["nodes"]]


@pytest.mark.parametrize(("écran", "canal"), [(LARGE, "web"), (TÉLÉPHONE, "application")])
def test_aucune_page_n_enfreint_wcag(pile: Pile, visiteurs: Any, écran: dict[str, int], canal: str) -> None:
    assuré = f"n-axe-{canal}"
    référence, autre = pile.avis(60_00, assuré=assuré), pile.avis(assuré=assuré)
    petite, ailleurs = pile.avis(7_00, assuré=assuré), pile.avis(assuré=assuré, caisse="011")
    venu: Visiteur = visiteurs(viewport=écran)
    vues: dict[str, list[str]] = {}
    for nom in (
        *jusqu_au_montant(venu, canal, assuré, petite),
        *jusqu_au_reçu(venu, référence, autre, ailleurs),
        *par_la_messagerie(venu, assuré),
    ):
        vues[nom] = infractions(venu.page) if écran is LARGE or nom in MISES_EN_PAGE_ÉTROITES else []
    assert len(vues) == 21
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}


def jusqu_au_montant(venu: Visiteur, canal: str, assuré: str, petite: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    venu.aller(f"/?canal={canal}")
    yield "choix"
    venu.entrer(assuré, canal)
    yield "accueil"
    venu.aller("/payer")
    venu.page.get_by_text("Où trouver la référence").click()
    yield "étape 1"
    venu.chercher("x")
    yield "étape 1, erreur"
    venu.chercher(petite)
    yield "étape 2, restant insuffisant"
    venu.aller("/nulle-part")
    yield "introuvable"


def jusqu_au_reçu(venu: Visiteur, référence: str, autre: str, ailleurs: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    page = venu.page
    venu.chercher(référence)
    venu.saisir("5", autre, ailleurs)
    page.get_by_role("button", name="Payer", exact=True).click()
    page.locator("#erreurs").wait_for()
    yield "étape 2, erreur"
    page.locator(f"#r-{ailleurs}").uncheck()
    venu.saisir("50")
    yield "étape 2, partage"
    venu.payer()
    yield "kiosque"
    page.get_by_role("button", name="Valider").click()
    page.get_by_role("alert").wait_for()
    yield "kiosque, erreur"
    venu.aller("/")
    yield "accueil, à reprendre"
    page.get_by_role("link", name="voir où il en est").click()
    venu.lit("nous attendons la réponse")
    yield "en attente"
    page.route("**/depart.js", lambda route: route.abort())
    page.get_by_role("link", name="reprendre ce paiement").click()
    page.wait_for_url("**/kiosque")
    yield "étape 3"
    page.unroute("**/depart.js")
    venu.aller("/")
    page.get_by_role("link", name="reprendre au kiosque bancaire").click()
    page.wait_for_url("**/paypage")
    venu.carte("5017 0000 0000 3300")
    page.get_by_label("Code reçu").wait_for()
    yield "authentification"
    page.get_by_label("Code reçu").fill("123456")
    page.get_by_role("button", name="Confirmer").click()
    page.get_by_text("Votre paiement a été accepté.").wait_for()
    yield "accepté"
    venu.continuer()
    venu.lit("Il est pris en compte")
    yield "état"
    venu.aller("/creances")
    page.locator(f"#h-{référence} summary").click()
    yield "créances"
    venu.aller("/paiements/inconnu")
    yield "paiement inconnu"


def par_la_messagerie(venu: Visiteur, assuré: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    page = venu.page
    attendre(lambda: venu.pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assuré))
    venu.aller("/messagerie")
    page.get_by_role("link", name="Accusé de réception").wait_for()
    yield "messagerie"
    page.get_by_role("link", name="Accusé de réception").click()
    page.get_by_role("link", name="Supprimer").wait_for()
    yield "message"
    page.get_by_role("link", name="Supprimer").click()
    page.get_by_role("button", name="Supprimer").wait_for()
    yield "suppression"


def test_le_préavis_de_la_borne_et_sa_fin_n_enfreignent_pas_wcag(pile: Pile, visiteur: Visiteur) -> None:
    pile.avis(assuré="n-axe-bms")
    visiteur.entrer("n-axe-bms", "bms")
    visiteur.page.get_by_role("alertdialog").wait_for()
    assert infractions(visiteur.page) == []
    visiteur.page.wait_for_url("**/inactivite")
    assert infractions(visiteur.page) == []
