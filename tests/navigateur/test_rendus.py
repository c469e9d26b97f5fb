"""Sur le papier et en couleurs forcées : rien qui ne serve qu'à l'écran, rien qui ne se voie plus."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.navigateur.conftest import TELEPHONE, Pile, Visiteur
from tests.outils import attendre

pytestmark = pytest.mark.lent

DE_L_ECRAN = """() => [...document.querySelectorAll('button, .bouton, p, nav, summary')].filter((un) => {
  if (!un.checkVisibility()) return false;
  if (un.matches('summary')) return getComputedStyle(un, '::before').content !== 'none';
  if (!un.matches('p')) return true;
  const liens = [...un.querySelectorAll('a')].map((lien) => lien.innerText).join('').trim();
  return liens !== '' && liens === un.innerText.trim();
}).map((un) => un.outerHTML)"""
"""Ce qui se presse, se déplie ou se suit : un bouton, un menu, un paragraphe qui n'est qu'un lien."""


def sur_le_papier(page: Page) -> list[str]:
    page.emulate_media(media="print")
    try:
        contour = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        return [*page.evaluate(DE_L_ECRAN), *([] if contour == "none" else [f"le focus : {contour}"])]
    finally:
        page.emulate_media(media="null")


def test_le_papier_ne_porte_que_ce_qui_s_y_lit(pile: Pile, visiteur: Visiteur) -> None:
    assure, page = "n-papier", visiteur.page
    reference = pile.avis(60_00, assure=assure)
    visiteur.entrer(assure)
    visiteur.chercher(reference)
    visiteur.saisir("30")
    vus = {"étape 2": sur_le_papier(page)}
    visiteur.payer()
    visiteur.carte("5017 0000 0000 0000")
    visiteur.continuer()
    assert visiteur.lit("Il est pris en compte")
    vus["reçu"] = sur_le_papier(page)
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure))
    visiteur.aller("/messagerie")
    page.get_by_role("link", name="Accusé de réception").click()
    page.get_by_role("link", name="Supprimer").wait_for()
    vus["accusé"] = sur_le_papier(page)
    for chemin in ("/", "/creances"):
        visiteur.aller(chemin)
        vus[chemin] = sur_le_papier(page)
    assert {nom: restes for nom, restes in vus.items() if restes} == {}


ESPACEMENTS = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
p { margin-bottom: 2em !important }"""
"""Ce que WCAG 1.4.12 laisse une personne régler."""


def test_la_preuve_tient_a_320_pixels_avec_les_espacements_de_la_personne(pile: Pile, visiteurs: Any) -> None:
    reference = pile.avis(60_00, assure="n-espacements")
    venu: Visiteur = visiteurs(viewport=TELEPHONE)
    venu.entrer("n-espacements")
    page = venu.page
    attendre(lambda: page.goto(f"{pile.url}/creances/{reference}/preuve") and page.locator(".pas").count())
    poser = (
        "regles => { const une = new CSSStyleSheet(); une.replaceSync(regles); document.adoptedStyleSheets = [une] }"
    )
    page.evaluate(poser, ESPACEMENTS)
    assert page.evaluate("document.documentElement.scrollWidth") == TELEPHONE["width"]


def test_imprime_depuis_un_fond_sombre_un_champ_se_lit(visiteurs: Any) -> None:
    venu: Visiteur = visiteurs(color_scheme="dark", reduced_motion="reduce")
    venu.entrer("n-papier-sombre")
    venu.aller("/payer")
    venu.page.emulate_media(media="print", color_scheme="dark")
    champ = venu.page.get_by_label("Référence de l'avis")
    assert champ.evaluate("champ => getComputedStyle(champ).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("fond", ["light", "dark"])
def test_en_couleurs_forcees_le_champ_fautif_se_voit_encore(visiteurs: Any, fond: str) -> None:
    venu: Visiteur = visiteurs(forced_colors="active", color_scheme=fond)
    venu.entrer(f"n-force-{fond}")
    venu.chercher("x")
    venu.page.locator(".champ.fautif").wait_for()
    trait = "getComputedStyle(document.querySelector('.champ.fautif')).borderLeftColor"
    assert venu.page.evaluate(trait) == venu.page.evaluate("getComputedStyle(document.body).color")
