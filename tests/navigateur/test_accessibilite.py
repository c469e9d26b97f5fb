"""Aucune page n'enfreint WCAG 2.2 AA, à ce qu'axe-core sait voir."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.navigateur.conftest import LARGE, TELEPHONE, Pile, Visiteur
from tests.outils import attendre

pytestmark = pytest.mark.lent

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
WCAG: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
REGLES: Final = [*WCAG, "best-practice"]
COULEURS: Final = ["color-contrast", "link-in-text-block"]
"""Les règles AA qui regardent les couleurs : en couleurs forcées, rien d'autre ne change."""

AUTRES_RENDUS: Final[dict[str, tuple[dict[str, Any], str, list[str]]]] = {
    "couleurs forcées": ({"forced_colors": "active"}, "rule", COULEURS),
    "papier": ({"media": "print"}, "tag", WCAG),
}
MISES_EN_PAGE_ETROITES = {"accueil", "étape 1, erreur", "étape 2, erreur", "étape 2, partage", "état", "créances"}
"""Les pages que l'écran étroit dispose autrement ; les autres n'y changent que de largeur."""


def infractions(page: Page, *regles: str) -> list[str]:
    """Ce qu'axe reproche à la page, à l'écran, en couleurs forcées et sur le papier : la règle, et où.

    `regles` : celles-là seulement, et à l'écran.
    """
    page.wait_for_load_state("load")  # Sans sa feuille de style, elle n'a pas ses tailles.
    page.evaluate(AXE)
    if regles:
        return _reproches(page, "rule", regles)
    trouvees = _reproches(page, "tag", REGLES)
    for nom, (rendu, genre, voulues) in AUTRES_RENDUS.items():
        page.emulate_media(**rendu, reduced_motion="reduce")  # Sans transition à mi-chemin.
        trouvees += [f"{nom} : {faute}" for faute in _reproches(page, genre, voulues)]
        page.emulate_media(media="null", forced_colors="null", reduced_motion="null")
    return trouvees


def _reproches(page: Page, genre: str, voulues: Sequence[str]) -> list[str]:
    voulu = {"runOnly": {"type": genre, "values": list(voulues)}}
    trouvees = page.evaluate("voulu => axe.run(document, voulu)", voulu)["violations"]
    return [f"{t['id']} : {noeud['html'][:160]}" for t in trouvees for noeud in t["nodes"]]


@pytest.mark.parametrize(("ecran", "canal"), [(LARGE, "web"), (TELEPHONE, "application")])
def test_aucune_page_n_enfreint_wcag(pile: Pile, visiteurs: Any, ecran: dict[str, int], canal: str) -> None:
    assure = f"n-axe-{canal}"
    reference, autre = pile.avis(60_00, assure=assure), pile.avis(assure=assure)
    petite, ailleurs = pile.avis(7_00, assure=assure), pile.avis(assure=assure, caisse="011")
    venu: Visiteur = visiteurs(viewport=ecran)
    vues: dict[str, list[str]] = {}
    for nom in (
        *jusqu_au_montant(venu, canal, assure, petite),
        *jusqu_au_recu(venu, reference, autre, ailleurs),
        *par_la_messagerie(venu, assure),
    ):
        vues[nom] = infractions(venu.page) if ecran is LARGE or nom in MISES_EN_PAGE_ETROITES else []
    assert len(vues) == 21
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}


def jusqu_au_montant(venu: Visiteur, canal: str, assure: str, petite: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    venu.aller(f"/?canal={canal}")
    yield "choix"
    venu.entrer(assure, canal)
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


def jusqu_au_recu(venu: Visiteur, reference: str, autre: str, ailleurs: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    page = venu.page
    venu.chercher(reference)
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
    page.locator(f"#h-{reference} summary").click()
    yield "créances"
    venu.aller("/paiements/inconnu")
    yield "paiement inconnu"


def par_la_messagerie(venu: Visiteur, assure: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    page = venu.page
    attendre(lambda: venu.pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure))
    venu.aller("/messagerie")
    page.get_by_role("link", name="Accusé de réception").wait_for()
    yield "messagerie"
    page.get_by_role("link", name="Accusé de réception").click()
    page.get_by_role("link", name="Supprimer").wait_for()
    yield "message"
    page.get_by_role("link", name="Supprimer").click()
    page.get_by_role("button", name="Supprimer").wait_for()
    yield "suppression"


def test_le_preavis_de_la_borne_et_sa_fin_n_enfreignent_pas_wcag(pile: Pile, visiteur: Visiteur) -> None:
    pile.avis(assure="n-axe-bms")
    visiteur.entrer("n-axe-bms", "bms")
    visiteur.page.get_by_role("alertdialog").wait_for()
    assert infractions(visiteur.page) == []
    visiteur.page.wait_for_url("**/inactivite")
    assert infractions(visiteur.page) == []
