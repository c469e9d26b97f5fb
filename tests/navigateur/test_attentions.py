"""Ce qui entoure le parcours : ce qui s'entend, ce qui se garde, ce qui se voit sur un téléphone."""

from typing import Any

import pytest

from tests.navigateur.conftest import TELEPHONE, Pile, Visiteur
from tests.navigateur.montants import ILLISIBLES, LUS
from tests.navigateur.test_accessibilite import infractions
from tests.outils import attendre

pytestmark = pytest.mark.lent

AU_CORPS = "document.activeElement === document.body"


def test_le_partage_s_entend_et_une_touche_ecrit_le_montant(pile: Pile, visiteur: Visiteur) -> None:
    petite, autre = pile.avis(7_00, assure="n-touche"), pile.avis(50_00, assure="n-touche")
    visiteur.entrer("n-touche")
    visiteur.chercher(petite)
    page = visiteur.page
    assert page.locator("#trop-peu").is_visible()
    page.get_by_label(f"Référence {autre}, reste 50,00").check()
    assert not page.locator("#trop-peu").is_visible()
    page.get_by_role("button", name="Le maximum : 50,00").click()
    assert visiteur.lit("Il resterait 7,00 € en tout à cette caisse")
    assert visiteur.lit("payez 41,00 € au plus")
    annonce = page.get_by_role("status")
    annonce.get_by_text("2 références sélectionnées, solde total 57,00").wait_for(state="attached")
    assert "payez 41,00" in annonce.inner_text()
    page.get_by_role("button", name="en gardant un reste payable : 41,00").click()
    assert page.get_by_label("Montant du paiement").input_value() == "41,00"
    assert page.locator("#partage .attention").count() == 0
    visiteur.payer()
    assert visiteur.lit("41,00 €")


def test_le_script_et_le_serveur_lisent_les_memes_montants(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-lire")
    visiteur.entrer("n-lire")
    visiteur.chercher(reference)
    lus = visiteur.page.evaluate("tapes => tapes.map(centimes)", [*LUS, *ILLISIBLES])
    assert dict(zip([*LUS, *ILLISIBLES], lus, strict=True)) == LUS | dict.fromkeys(ILLISIBLES)


def test_cinquante_lignes_sur_un_telephone_gardent_le_total_et_payer_sous_les_yeux(pile: Pile, visiteurs: Any) -> None:
    references = [pile.avis(20_00, assure="n-cinquante") for _ in range(50)]
    venu: Visiteur = visiteurs(viewport=TELEPHONE, has_touch=True)
    venu.entrer("n-cinquante", "application")
    venu.chercher(references[0])
    page = venu.page
    page.evaluate("document.querySelectorAll('input[name=references]:not(:checked)').forEach((une) => une.click())")
    page.get_by_label("Montant du paiement").fill("30")
    assert venu.lit("48 autres références ne reçoivent rien.")
    assert page.locator("#partage tbody tr").count() == 2
    page.evaluate("scrollTo(0, 0)")
    boite = page.get_by_role("button", name="Payer", exact=True).bounding_box()
    assert boite is not None
    assert boite["y"] + boite["height"] <= TELEPHONE["height"]
    assert page.get_by_text("Vous payez 30,00").is_visible()
    assert "1 000,00" in page.locator("#solde-barre").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert venu.largeur() <= TELEPHONE["width"]
    assert infractions(page) == []


def test_au_dela_de_cinquante_lignes_ce_qui_est_coche_suit_de_page_en_page(pile: Pile, visiteurs: Any) -> None:
    references = [pile.avis(20_00, assure="n-pages", attendu=rang == 53) for rang in range(54)]
    venu: Visiteur = visiteurs(viewport=TELEPHONE, has_touch=True)
    venu.entrer("n-pages", "application")
    venu.chercher(references[0])
    page, cases = venu.page, venu.page.locator("input[name=references]")
    assert cases.count() == 51
    ici = cases.nth(7).get_attribute("value")
    venu.saisir("45", str(ici))
    page.get_by_role("button", name="Page suivante").click()
    page.get_by_role("heading", name="Page 2 sur 2").wait_for()
    assert [case.get_attribute("value") for case in cases.all()[:2]] == [references[0], ici]
    assert cases.count() == 2 + 3
    assert page.get_by_label("Montant du paiement").input_value() == "45"
    assert infractions(page) == []
    la_bas = cases.nth(3).get_attribute("value")
    page.locator(f"#r-{la_bas}").check()
    assert venu.lit("3 références sélectionnées")
    assert "60,00" in page.locator("#solde-barre").inner_text()
    assert venu.largeur() <= TELEPHONE["width"]
    venu.chercher(references[0])  # Un rechargement, ou le retour d'un paiement refusé : rien n'est perdu.
    page.get_by_role("heading", name="Cochées sur une autre page").wait_for()
    assert page.locator(f"#r-{la_bas}").is_checked()
    assert venu.lit("3 références sélectionnées")
    page.get_by_label("Montant du paiement").press("Enter")  # La touche Entrée paie ; elle ne tourne pas la page.
    page.wait_for_url("**/paypage")


def test_une_touche_ne_coche_pas_plus_de_lignes_qu_un_paiement_n_en_regle(pile: Pile, visiteur: Visiteur) -> None:
    references = [pile.avis(12_00, assure="n-trop", attendu=rang == 51) for rang in range(52)]
    visiteur.entrer("n-trop")
    visiteur.chercher(references[-1])
    page = visiteur.page
    page.get_by_role("button", name="Cocher les autres et payer : 50,00").click()
    assert page.locator("input[name=references]:checked").count() == 50
    assert page.locator(f"#r-{references[-1]}").is_checked()
    visiteur.payer()


def test_le_menu_se_ferme_par_echap_et_par_un_toucher_dehors_et_tient_a_320_pixels(pile: Pile, visiteurs: Any) -> None:
    pile.avis(assure="n-menu")
    venu: Visiteur = visiteurs(viewport=TELEPHONE, has_touch=True)
    venu.entrer("n-menu", "application")
    page = venu.page
    resume = page.locator(".menu summary")
    resume.click()
    assert venu.largeur() <= TELEPHONE["width"]
    assert infractions(page) == []
    page.keyboard.press("Escape")
    assert not page.locator(".menu[open]").count()
    assert resume.evaluate("un => un === document.activeElement")
    resume.click()
    page.locator("main").click(position={"x": 10, "y": 350})
    assert not page.locator(".menu[open]").count()


def test_une_mise_a_jour_s_entend_et_le_focus_ne_tombe_pas_au_corps(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-entendre")
    visiteur.entrer("n-entendre")
    visiteur.chercher(reference)
    visiteur.saisir("20")
    visiteur.payer()
    page = visiteur.contexte.new_page()
    page.goto(f"{pile.url}/")
    page.get_by_role("link", name="reprendre au kiosque bancaire").focus()
    visiteur.carte("5017 0000 0000 0000")
    page.get_by_role("status").get_by_text("Nous vous remercions pour votre paiement").wait_for(state="attached")
    assert not page.evaluate(AU_CORPS)
    assert page.get_by_role("status").count() == 1


def test_le_preavis_de_la_borne_tient_le_focus(pile: Pile, visiteur: Visiteur) -> None:
    pile.avis(assure="n-preavis")
    visiteur.entrer("n-preavis", "bms")
    page = visiteur.page
    page.get_by_role("alertdialog").wait_for()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "veille-rester"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    page.get_by_role("alertdialog").wait_for(state="hidden")
    assert not page.evaluate(AU_CORPS)


def test_deux_minutes_avant_la_fin_chaque_canal_propose_de_rester_connecte(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-rester")
    visiteur.page.clock.install()
    visiteur.entrer("n-rester")
    visiteur.chercher(reference)
    repos = float(visiteur.page.locator("#veille").get_attribute("data-inactivite-s") or 0)
    visiteur.page.clock.fast_forward(int(repos - 130) * 1000)
    assert not visiteur.page.get_by_role("alertdialog").is_visible()
    visiteur.page.clock.fast_forward(15_000)
    visiteur.page.get_by_role("alertdialog").wait_for()
    assert infractions(visiteur.page) == []
    with visiteur.page.expect_response("**/presence") as reponse:
        visiteur.page.get_by_role("button", name="Rester connecté").click()
    assert reponse.value.status == 204


def test_ce_qui_est_coche_et_saisi_attend_le_retour(pile: Pile, visiteur: Visiteur) -> None:
    reference, autre = pile.avis(assure="n-garde"), pile.avis(assure="n-garde")
    visiteur.entrer("n-garde")
    visiteur.chercher(reference)
    visiteur.saisir("33,50", autre)
    page = visiteur.page
    page.reload()
    assert page.locator(f"#r-{autre}").is_checked()
    assert page.get_by_label("Montant du paiement").input_value() == "33,50"
    visiteur.contexte.clear_cookies()  # La session est finie.
    visiteur.entrer("n-garde")
    visiteur.chercher(reference)
    assert page.locator(f"#r-{autre}").is_checked()
    visiteur.payer()
    visiteur.carte("5017 0000 0000 0005")
    assert visiteur.lit("Votre paiement n'a pas abouti.")
    visiteur.continuer()
    page.get_by_role("button", name="Recommencer").click()
    assert page.get_by_label("Montant du paiement").input_value() == "33,50"
    with page.expect_navigation():
        page.get_by_role("button", name="Se déconnecter").click()
    attendre(lambda: page.evaluate("sessionStorage.length") == 0, quoi="l'onglet vidé")


def test_ce_qui_vient_d_etre_paye_ne_se_propose_plus(pile: Pile, visiteur: Visiteur) -> None:
    reference, autre = pile.avis(assure="n-oubli"), pile.avis(assure="n-oubli")
    visiteur.entrer("n-oubli")
    visiteur.chercher(reference)
    visiteur.saisir("33,50", autre)
    visiteur.payer()
    visiteur.carte("5017 0000 0000 0000")
    visiteur.continuer()
    assert visiteur.lit("Il est pris en compte")
    visiteur.chercher(reference)
    assert visiteur.page.get_by_label("Montant du paiement").input_value() == ""
    assert not visiteur.page.locator(f"#r-{autre}").is_checked()


def test_les_pages_de_recu_et_des_autres_moyens_n_enfreignent_pas_wcag(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(60_00, assure="n-recu")
    visiteur.entrer("n-recu")
    page = visiteur.page
    visiteur.aller("/autres-moyens")
    assert visiteur.lit("Je ne peux pas payer")
    assert infractions(page) == []
    visiteur.chercher(reference)
    visiteur.saisir("20")
    visiteur.payer()
    visiteur.carte("5017 0000 0000 0000")
    assert visiteur.lit("Votre paiement a été accepté.")
    visiteur.continuer()
    assert visiteur.lit("Reçu de votre paiement")
    assert "#" in page.locator("main").inner_text()  # La carte, masquée.
    page.get_by_role("link", name="Tous mes paiements").last.click()
    page.get_by_role("link", name="Reçu du paiement").wait_for()
    assert page.locator("h1").count() == 1
    assert infractions(page) == []
