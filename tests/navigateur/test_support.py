"""Les pages du support dans un vrai navigateur : axe n'y trouve rien, et tout s'y fait au clavier."""

from typing import Any

import pytest

from tests.api.conftest import notification
from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.outils import attendre

pytestmark = pytest.mark.lent

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
    visiteur.aller("/support/anomalies?motif=essai")
    vues["anomalies"] = infractions(page)
    visiteur.contexte.clear_cookies()
    devenir_agent(visiteur, "Aline")
    vues["accès"] = infractions(page)
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}


def test_de_la_recherche_a_la_reponse_au_clavier_seul_et_sans_script(pile: Pile, visiteurs: object) -> None:
    _, transaction = payer(pile, visiteurs(), "n-support-clavier")  # type: ignore[operator]
    venu: Visiteur = visiteurs(java_script_enabled=False)  # type: ignore[operator]
    devenir_agent(venu)
    clavier = venu.page.keyboard
    assert venu.tient("q")  # Le champ prend le focus de lui-même.
    clavier.type("20 € aujourd'hui")
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


def test_une_somme_orpheline_va_a_sa_creance_par_deux_personnes(pile: Pile, visiteurs: Any) -> None:
    """« Refusé, mais ma banque l'a pris » : de l'appel au solde, à deux, sans script pour le support."""
    assure = "n-support-orphelin"
    payeur: Visiteur = visiteurs()
    reference = pile.avis(assure=assure)
    pile.consigne(orpheline=True)
    payeur.entrer(assure)
    payeur.chercher(reference)
    payeur.saisir("20")
    payeur.payer()
    payeur.carte("5017 0000 0000 0000")
    prise = "SELECT transaction FROM vues.argent WHERE transaction LIKE 'ORPHELINE%%' AND reste > 0"
    ((transaction,),) = attendre(lambda: pile.lire(prise), secondes=30)
    claire, paul = visiteurs(java_script_enabled=False), visiteurs(java_script_enabled=False)
    devenir_agent(claire)
    claire.aller(f"/support/anomalies/argent-{transaction}-1?motif=essai")
    claire.page.locator("#gestes summary").first.click()
    claire.page.get_by_label("Créance").fill(reference)
    claire.page.locator("#raison-rattacher").fill("vu au téléphone avec elle")
    claire.page.get_by_role("button", name="Proposer : Rattacher").click()
    claire.lit("une seconde personne doit maintenant l'approuver")
    devenir_agent(paul, "Paul")
    paul.aller(f"/support/anomalies/argent-{transaction}-1?motif=essai")
    paul.page.get_by_role("button", name="Approuver").click()
    paul.lit("Réglé.")
    solde = "SELECT solde FROM vues.restant_du WHERE reference = %s"
    attendre(lambda: pile.lire(solde, reference) == [(67_09,)], secondes=30)
    paul.aller(f"/support/creances/{reference}?motif=essai")
    paul.lit("Il reste 67,09")


@pytest.mark.parametrize("largeur", [1280, 320])
def test_rien_ne_deborde_de_l_ecran(pile: Pile, visiteurs: object, largeur: int) -> None:
    venu: Visiteur = visiteurs(viewport={"width": largeur, "height": 800})  # type: ignore[operator]
    reference = pile.avis(assure=f"n-support-{largeur}")
    devenir_agent(venu)
    pile.poster(notification(f"DEBORDE{largeur}", 23_00 + largeur))
    prise = "SELECT 1 FROM vues.argent WHERE transaction = %s"
    attendre(lambda: pile.lire(prise, f"DEBORDE{largeur}"), secondes=30)
    venu.aller(f"/support/creances/{reference}?motif=essai")
    venu.page.get_by_label("Ajouter une note").fill("W" * 500)
    venu.page.get_by_role("button", name="Noter").click()
    venu.page.locator(".note").wait_for()

    def tient() -> bool:
        return venu.largeur() <= largeur

    assert tient(), "une note d'un seul mot"
    # Le message se dit par sa place dans Kafka, d'un seul mot.
    for chemin in ("/support", "/support/anomalies?motif=essai", f"/support?q=DEBORDE{largeur}&motif=essai"):
        venu.aller(chemin)
        assert tient(), chemin
    venu.aller(f"/support?q={(23_00 + largeur) // 100},{(23_00 + largeur) % 100:02d}+€&motif=essai")
    assert tient(), "les résultats"


@pytest.mark.parametrize("largeur", [1280, 320])
def test_la_reponse_de_la_banque_ne_deborde_pas(pile: Pile, visiteurs: Any, largeur: int) -> None:
    _, transaction = payer(pile, visiteurs(), f"n-reponse-{largeur}")
    venu: Visiteur = visiteurs(viewport={"width": largeur, "height": 800})
    devenir_agent(venu)
    venu.aller(f"/support/paiements/{transaction}?motif=essai")
    venu.page.get_by_role("button", name="Interroger la banque maintenant").click()
    venu.lit("La banque dit comme nous")
    assert venu.largeur() <= largeur
    assert infractions(venu.page) == []


def test_la_note_se_lit_aussi_en_sombre(pile: Pile, visiteurs: Any) -> None:
    venu: Visiteur = visiteurs(color_scheme="dark")
    reference = pile.avis(assure="n-support-sombre")
    devenir_agent(venu)
    venu.aller(f"/support/creances/{reference}?motif=essai")
    venu.page.locator("#texte").fill("Rappeler demain.")
    assert infractions(venu.page, "color-contrast") == []
