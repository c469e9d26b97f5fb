"""Avec et sans script : ce qui est en vérification, ce qui s'imprime, ce qui resterait d'une autre personne."""

from typing import Any

import pytest

from tests.api.conftest import notification
from tests.navigateur.conftest import TELEPHONE, Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.outils import attendre

pytestmark = pytest.mark.lent


@pytest.mark.parametrize("script", [True, False], ids=["script", "sans script"])
def test_pendant_une_verification_payer_encore_est_un_choix(pile: Pile, visiteurs: Any, *, script: bool) -> None:
    assure = f"n-verifie-{script}".lower()
    reference, autre = pile.avis(45_00, assure=assure), pile.avis(45_00, assure=assure)
    venu: Visiteur = visiteurs(java_script_enabled=script, viewport=TELEPHONE, has_touch=True)
    page = venu.page
    venu.entrer(assure, "application")
    venu.chercher(reference)
    venu.saisir("20", autre)
    payer_l_etape_2(venu)
    [(transaction,)] = pile.lire("SELECT transaction FROM vues.paiements WHERE assure = %s", assure)
    pile.poster(notification(transaction, 21_00))
    en_verification = "SELECT 1 FROM vues.paiements WHERE transaction = %s AND statut = 'en_verification'"
    attendre(lambda: pile.lire(en_verification, transaction))
    for chemin in ("/", "/creances", "/autres-moyens", f"/payer?reference={reference}"):
        venu.aller(chemin)
        assert venu.lit("ne payez pas une seconde fois")
        assert page.locator("main a.bouton:not(.second)[href^='/payer']").count() == 0
        assert venu.largeur() <= TELEPHONE["width"]
        assert not script or infractions(page) == []
    # Ce que l'onglet gardait du premier essai ne se coche pas de lui-même.
    assert page.locator("input[name=references]:checked").count() == 0
    assert page.locator("#touches button").count() == 0
    payer = page.get_by_role("button", name="Payer quand même")
    assert "second" in str(payer.get_attribute("class"))
    venu.saisir("16", reference)
    assert page.locator("#touches button").count() == 0
    payer.click()
    assert venu.lit("Vérifiez votre paiement")
    assert page.get_by_role("link", name="Attendre, sans payer").is_visible()
    page.get_by_role("button", name="Payer quand même").click()
    page.wait_for_url("**/paypage" if script else "**/kiosque")


def payer_l_etape_2(venu: Visiteur) -> None:
    """« Payer », jusqu'au paiement ouvert."""
    venu.page.get_by_role("button", name="Payer", exact=True).click()
    if venu.script:
        venu.page.wait_for_url("**/paypage")
    else:
        venu.page.get_by_role("button", name="Confirmer et payer").click()
        venu.page.wait_for_url("**/kiosque")


def test_sans_script_le_partage_montre_prend_le_focus_et_une_faute_le_garde(pile: Pile, visiteurs: Any) -> None:
    references = [pile.avis(20_00, assure="n-focus") for _ in range(12)]
    venu: Visiteur = visiteurs(java_script_enabled=False, viewport=TELEPHONE, has_touch=True)
    page = venu.page
    venu.entrer("n-focus", "application")
    venu.chercher(references[0])
    page.get_by_role("button", name="Tout régler : 20,00").click()
    page.get_by_role("table", name="Partage de votre paiement").wait_for()
    assert venu.tient("titre-paiement")
    assert page.evaluate("scrollY") > TELEPHONE["height"]
    page.get_by_label("Montant du paiement").fill("x")
    page.get_by_role("button", name="Voir les totaux et le partage").click()
    page.locator("#erreurs").wait_for()
    assert venu.tient("erreurs")


@pytest.mark.parametrize("script", [True, False], ids=["script", "sans script"])
def test_imprimer_imprime_l_accuse(pile: Pile, visiteurs: Any, *, script: bool) -> None:
    assure = f"n-imprime-{script}".lower()
    reference = pile.avis(assure=assure)
    payeur: Visiteur = visiteurs()
    payeur.entrer(assure)
    payeur.chercher(reference)
    payeur.saisir("20")
    payeur.payer()
    payeur.carte("5017 0000 0000 0000")
    payeur.continuer()
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure))
    venu: Visiteur = visiteurs(java_script_enabled=script)
    page = venu.page
    if script:
        page.add_init_script("window.print = () => { window.imprimee = document.title; }")
    venu.entrer(assure)
    venu.aller("/messagerie")
    page.get_by_role("link", name="Accusé de réception").click()
    if script:
        page.get_by_role("button", name="Imprimer").click()
        assert str(page.evaluate("window.imprimee")).startswith("Accusé de réception")
        assert page.get_by_role("link", name="Imprimer").count() == 0
    else:
        assert page.get_by_role("button", name="Imprimer").count() == 0
        adresse = page.get_by_role("link", name="Imprimer").get_attribute("href")
        assert page.request.get(f"{pile.url}{adresse}").body().startswith(b"%PDF-")


def test_rien_de_ce_que_garde_un_onglet_ne_passe_a_la_personne_suivante(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-premiere")
    pile.avis(assure="n-seconde")
    visiteur.entrer("n-premiere")
    visiteur.chercher(reference)
    visiteur.saisir("33,50")
    gardee = f"sessionStorage.getItem('saisie:{reference}')"
    assert "33,50" in str(visiteur.page.evaluate(gardee))
    visiteur.contexte.clear_cookies()  # Sa session a fini sans qu'elle se déconnecte.
    visiteur.aller("/")
    assert "33,50" in str(visiteur.page.evaluate(gardee))  # Elle peut encore revenir.
    visiteur.entrer("n-seconde")
    assert visiteur.page.evaluate(gardee) is None
    assert "n-seconde" not in str(visiteur.page.evaluate("JSON.stringify(sessionStorage)"))


def test_l_etape_2_ne_demande_a_l_affichage_qu_une_feuille_de_style_et_rien_a_un_tiers(
    pile: Pile, visiteur: Visiteur
) -> None:
    references = [pile.avis(20_00, assure="n-requetes", attendu=rang == 49) for rang in range(50)]
    visiteur.entrer("n-requetes")
    devtools = visiteur.contexte.new_cdp_session(visiteur.page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    vues: list[tuple[str, str]] = []
    devtools.on("Network.requestWillBeSent", lambda vue: vues.append((vue["request"]["url"], vue["type"])))
    bloquantes = "performance.getEntriesByType('resource').filter((une) => une.renderBlockingStatus === 'blocking')"
    visiteur.aller(f"/payer?reference={references[0]}")
    visiteur.page.wait_for_load_state("networkidle")
    assert all(url.startswith((f"{pile.url}/", "data:")) for url, _ in vues)
    assert [url for url, genre in vues if genre == "Document"] == [f"{pile.url}/payer?reference={references[0]}"]
    # Avant de peindre, une seule : les scripts attendent que la page soit lue, et l'icône est celle de l'onglet.
    assert visiteur.page.evaluate(f"{bloquantes}.map((une) => une.name)") == [f"{pile.url}/statique/pages.css"]
    assert {genre for _, genre in vues} <= {"Document", "Stylesheet", "Script", "Other"}
