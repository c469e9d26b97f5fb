"""Les pages du support dans un vrai navigateur : axe n'y trouve rien, et tout s'y fait au clavier."""

import pytest

from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.outils import attendre

MOTIF = "Appel de l'assuré"


def devenir_agent(venu: Visiteur, qui: str = "Claire") -> None:
    venu.aller("/")
    venu.page.get_by_role("button", name=qui).click()
    venu.page.wait_for_url("**/support**")


def payer(pile: Pile, venu: Visiteur, assure: str) -> tuple[str, str]:
    """Un paiement de 20,00 accepté sur une créance ; sa référence et sa transaction."""
    reference = pile.avis(assure=assure)
    venu.entrer(assure)
    venu.chercher(reference)
    venu.saisir("20")
    venu.payer()
    venu.carte("5017 0000 0000 0000")
    venu.continuer()
    transaction = venu.page.url.rsplit("/", 1)[1]
    requete = "SELECT 1 FROM vues.paiements WHERE transaction = %s AND statut = 'accepte'"
    attendre(lambda: pile.lire(requete, transaction), secondes=30)
    venu.contexte.clear_cookies()
    return reference, transaction


def test_les_pages_du_support_n_enfreignent_pas_wcag(pile: Pile, visiteur: Visiteur) -> None:
    reference, transaction = payer(pile, visiteur, "n-support-axe")
    page = visiteur.page
    vues = {}
    devenir_agent(visiteur)
    vues["recherche"] = infractions(page)
    page.get_by_label("Ce que la personne vous dit").fill("n-support-axe")
    page.get_by_label("Motif de la lecture").fill(MOTIF)
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("heading", name="3 résultats").wait_for()
    vues["résultats"] = infractions(page)
    page.get_by_role("link", name=f"Créance {reference}").click()
    page.get_by_text("À dire à la personne").wait_for()
    for detail in page.locator("details").all():
        detail.evaluate("d => d.open = true")
    vues["créance"] = infractions(page)
    visiteur.aller(f"/support/paiements/{transaction}")
    vues["motif"] = infractions(page)
    visiteur.aller(f"/support/paiements/{transaction}?motif=essai")
    vues["paiement"] = infractions(page)
    visiteur.aller("/support/assures/n-support-axe?motif=essai")
    vues["assuré"] = infractions(page)
    visiteur.aller(f"/support/creances/{reference}?motif=essai&entre=1&et=3")
    vues["comparaison"] = infractions(page)
    visiteur.aller(f"/support/creances/{reference}?motif=essai&au=2026")
    vues["erreur"] = infractions(page)
    visiteur.aller("/support?q=bonjour+madame&motif=essai")
    vues["recherche, erreur"] = infractions(page)
    visiteur.contexte.clear_cookies()
    devenir_agent(visiteur, "Aline")
    vues["accès"] = infractions(page)
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}


def test_de_la_recherche_a_la_reponse_au_clavier_seul_et_sans_script(pile: Pile, visiteurs: object) -> None:
    _, transaction = payer(pile, visiteurs(), "n-support-clavier")  # type: ignore[operator]
    venu: Visiteur = visiteurs(java_script_enabled=False)  # type: ignore[operator]
    devenir_agent(venu)
    clavier = venu.page.keyboard
    clavier.type("20 € aujourd'hui")  # Le champ a déjà le focus.
    clavier.press("Tab")
    clavier.type(MOTIF)
    clavier.press("Enter")
    venu.page.get_by_text("À dire à la personne").or_(
        venu.page.get_by_role("heading", name="résultat")
    ).first.wait_for()
    if "/support?" in venu.page.url:
        venu.page.get_by_role("link", name=transaction).focus()
        clavier.press("Enter")
    venu.lit("La banque a accepté le paiement le")
    assert transaction in venu.page.url


@pytest.mark.parametrize("largeur", [1280, 320])
def test_rien_ne_deborde_de_l_ecran(pile: Pile, visiteurs: object, largeur: int) -> None:
    venu: Visiteur = visiteurs(viewport={"width": largeur, "height": 800})  # type: ignore[operator]
    reference = pile.avis(assure=f"n-support-{largeur}")
    devenir_agent(venu)
    for chemin in ("/support", f"/support/creances/{reference}?motif=essai"):
        venu.aller(chemin)
        assert venu.page.evaluate("document.documentElement.scrollWidth") <= largeur, chemin
