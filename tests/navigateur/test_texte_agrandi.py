"""Le texte agrandi du double sur 320 pixels, et les espacements que WCAG laisse régler : rien ne déborde."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.consumers.banc import cheque
from tests.navigateur.conftest import TELEPHONE, Pile, Visiteur
from tests.navigateur.test_exploitation import devenir_exploitant
from tests.navigateur.test_support import MOTIF, devenir_agent
from tests.outils import attendre

pytestmark = pytest.mark.lent

REGLAGES: Final = {
    "aucun réglage": "",
    "texte doublé (1.4.4)": "html { font-size: 212.5% !important }",
    "espacements (1.4.12)": "* { line-height: 1.5 !important; letter-spacing: .12em !important;"
    " word-spacing: .16em !important } p { margin-bottom: 2em !important }",
}
POSER: Final = (
    "regles => { const une = new CSSStyleSheet(); une.replaceSync(regles); document.adoptedStyleSheets = [une] }"
)


def debordements(venu: Visiteur, nom: str) -> list[str]:
    """Ce que cette page prend de trop en large, réglage par réglage."""
    trop = []
    venu.page.evaluate("document.querySelectorAll('details').forEach((un) => { un.open = true })")
    for reglage, regles in REGLAGES.items():
        venu.page.evaluate(POSER, regles)
        if (largeur := venu.largeur()) > TELEPHONE["width"]:
            trop.append(f"{nom}, {reglage} : {largeur}")
    venu.page.evaluate(POSER, "")
    return trop


def test_les_pages_de_l_assure_tiennent(pile: Pile, visiteurs: Any) -> None:
    assure = "n-agrandi"
    reference, autre = pile.avis(60_00, assure=assure), pile.avis(50_00, assure=assure)
    ailleurs, trop_payee = pile.avis(45_00, assure=assure, caisse="011"), pile.avis(30_00, assure=assure)
    pile.cheque(trop_payee, 42_00)
    venu: Visiteur = visiteurs(viewport=TELEPHONE)
    venu.aller("/")
    trop = debordements(venu, "choix")
    venu.entrer(assure, "application")
    venu.chercher(reference)
    venu.saisir("30", autre)
    venu.page.get_by_label("Montant du paiement").blur()
    venu.page.locator("#partage table").wait_for()
    trop += debordements(venu, "étape 2, partage")
    venu.payer()
    venu.carte("5017 0000 0000 0000")
    venu.continuer()
    venu.lit("Il est pris en compte")
    trop += debordements(venu, "reçu")
    transaction = venu.page.url.rsplit("/", 1)[1]
    venu.chercher(ailleurs)
    venu.saisir("5")
    venu.page.get_by_role("button", name="Payer", exact=True).click()
    venu.page.locator("#erreurs").wait_for()
    trop += debordements(venu, "étape 2, erreur")
    venu.saisir("20")
    venu.payer()
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure))
    for chemin in (
        "/",
        "/payer",
        "/payer?reference=38126120F",
        f"/payer?reference={ailleurs}",
        f"/payer?reference={trop_payee}",
        "/creances",
        f"/creances/{reference}/preuve",
        "/paiements",
        f"/paiements/{transaction}/courriel",
        "/messagerie",
        f"/messagerie/{transaction}",
        f"/messagerie/{transaction}/suppression",
        "/comprendre",
        "/autres-moyens",
        "/nulle-part",
        "/support",
        "/docs",
        "/demonstration/boite",
        "/inactivite",
    ):
        venu.aller(chemin)
        trop += debordements(venu, chemin)
    assert trop == []


@pytest.mark.parametrize("largeur", [1280, 1121, 1024, 700])
def test_au_bureau_le_tableau_de_l_etape_2_reste_dans_sa_feuille(pile: Pile, visiteurs: Any, largeur: int) -> None:
    """Deux caisses, un paiement en cours, et un chèque qui le fait dépasser : la rangée la plus longue."""
    assure = f"n-feuille-{largeur}"
    reference, autre = pile.avis(60_00, assure=assure), pile.avis(60_00, assure=assure, caisse="631")
    venu: Visiteur = visiteurs(viewport={"width": largeur, "height": 900})
    venu.entrer(assure)
    venu.chercher(autre)
    venu.saisir("50")
    venu.payer()
    pile._emettre(autre, cheque(autre, 30_00, f"feuille-{largeur}", date="2026-02-10"))
    baisse = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND solde = 3000 AND en_cours = 5000"
    attendre(lambda: pile.lire(baisse, autre), secondes=60)
    venu.chercher(reference)
    assert venu.lit("20,00 € de plus que ce restant dû")
    assert venu.largeur() <= largeur
    dehors = """() => [...document.querySelectorAll('.feuille .tableau, .feuille .tableau *')].filter((un) =>
      un.checkVisibility() && !un.closest('.invisible, thead') && un.getBoundingClientRect().right
      > un.closest('.feuille').getBoundingClientRect().right).map((un) => un.outerHTML.slice(0, 80))"""
    assert venu.page.evaluate(dehors) == []


def test_les_pages_du_support_et_de_l_exploitation_tiennent(pile: Pile, visiteurs: Any) -> None:
    assure = "n-agrandi-support"
    reference = pile.avis(30_00, assure=assure)
    pile.cheque(reference, 42_00)
    venu: Visiteur = visiteurs(viewport=TELEPHONE)
    devenir_agent(venu)
    trop = []
    for chemin in chemins_du_support(venu, assure, reference):
        trop += debordements(venu, chemin)
    venu.contexte.clear_cookies()
    devenir_agent(venu, "Aline")
    trop += debordements(venu, "accès")
    venu.contexte.clear_cookies()
    venu.aller("/")
    devenir_exploitant(venu)
    for chemin in ("?duree=heure", "/horloge?duree=heure", "/anomalies", "/vues", "/arretes"):
        venu.aller(f"/exploitation{chemin}")
        trop += debordements(venu, chemin)
    assert trop == []


def chemins_du_support(venu: Visiteur, assure: str, reference: str) -> Iterator[str]:
    """Mène à chaque page, et la nomme quand elle est là."""
    for chemin in (
        "/support",
        f"/support?q={assure}&motif={MOTIF}",
        f"/support?q=bonjour+madame&motif={MOTIF}",
        f"/support/assures/{assure}?motif={MOTIF}",
        f"/support/creances/{reference}",
        f"/support/creances/{reference}?motif={MOTIF}&entre=1&et=2",
        f"/support/creances/{reference}/preuve?motif={MOTIF}",
        f"/support/anomalies?motif={MOTIF}",
    ):
        venu.aller(chemin)
        yield chemin
    venu.page.locator("tbody a").first.click()
    venu.page.wait_for_url("**/support/anomalies/*")
    yield "anomalie"
