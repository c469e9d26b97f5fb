"""Une session finit avant un envoi : rien de ce qui est tapé n'est perdu, et l'on revient où l'on était."""

from typing import Any

import pytest

from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.test_support import MOTIF, devenir_agent
from tests.outils import attendre

pytestmark = pytest.mark.lent

ADRESSE = "camille.durand@exemple.fr"


def payeur(pile: Pile, venu: Visiteur, assure: str, canal: str = "web") -> str:
    """Une personne qui a payé 20,00 ; sa transaction, et son accusé est arrivé."""
    reference = pile.avis(assure=assure)
    venu.entrer(assure, canal)
    venu.chercher(reference)
    venu.saisir("20")
    venu.payer()
    venu.carte("5017 0000 0000 0000")
    venu.continuer()
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure))
    return venu.page.url.rsplit("/", 1)[1]


def se_reconnecter(venu: Visiteur, assure: str) -> None:
    venu.page.get_by_role("link", name="Se connecter").click()
    venu.page.get_by_label("Un autre assuré").fill(assure)
    venu.page.locator(".autre-assure button").click()


@pytest.mark.parametrize("suivante", ["n-fin-courriel", "n-fin-une-autre"])
def test_l_adresse_du_recu_est_encore_la_pour_elle_seule(pile: Pile, visiteur: Visiteur, suivante: str) -> None:
    page = visiteur.page
    transaction = payeur(pile, visiteur, "n-fin-courriel")
    visiteur.aller(f"/paiements/{transaction}/courriel")
    page.get_by_label("Adresse de courriel").fill(ADRESSE)
    visiteur.contexte.clear_cookies()
    page.get_by_role("button", name="Envoyer le reçu").click()
    visiteur.lit("le reçu n'est pas parti")
    se_reconnecter(visiteur, suivante)
    page.wait_for_url("**/courriel")
    if suivante != "n-fin-courriel":
        assert visiteur.lit("Paiement introuvable")
        assert page.evaluate("Object.values(sessionStorage).join()").count(ADRESSE) == 0
        return
    assert page.get_by_label("Adresse de courriel").input_value() == ADRESSE
    page.get_by_role("button", name="Envoyer le reçu").click()
    assert visiteur.lit("Le reçu est parti")
    assert page.evaluate("Object.values(sessionStorage).join()").count(ADRESSE) == 0
    visiteur.aller(f"/paiements/{transaction}/courriel")
    assert page.get_by_label("Adresse de courriel").input_value() == ""


@pytest.mark.parametrize("script", ["avec", "sans"])
def test_l_adresse_d_une_page_d_avant_la_reconnexion_est_gardee(pile: Pile, visiteurs: Any, script: str) -> None:
    assure = f"n-fin-jeton-{script}"
    transaction = payeur(pile, visiteurs(), assure)
    venu: Visiteur = visiteurs(java_script_enabled=script == "avec")
    venu.entrer(assure)
    venu.aller(f"/paiements/{transaction}/courriel")
    venu.contexte.clear_cookies()
    ailleurs, venu.page = venu.page, venu.contexte.new_page()
    venu.entrer(assure)
    venu.page = ailleurs
    venu.page.get_by_label("Adresse de courriel").fill(ADRESSE)
    venu.page.get_by_role("button", name="Envoyer le reçu").click()
    assert venu.lit("Ce formulaire a expiré")
    assert venu.page.get_by_label("Adresse de courriel").input_value() == ADRESSE
    venu.page.get_by_role("button", name="Envoyer le reçu").click()
    assert venu.lit("Le reçu est parti")


@pytest.mark.parametrize("script", ["avec", "sans"])
def test_supprimer_un_message_revient_a_lui(pile: Pile, visiteurs: Any, script: str) -> None:
    assure = f"n-fin-message-{script}"
    transaction = payeur(pile, visiteurs(), assure)
    venu: Visiteur = visiteurs(java_script_enabled=script == "avec")
    venu.entrer(assure)
    venu.aller(f"/messagerie/{transaction}/suppression")
    venu.contexte.clear_cookies()
    venu.page.get_by_role("button", name="Supprimer").click()
    assert venu.lit("rien n'a été supprimé")
    se_reconnecter(venu, assure)
    venu.page.wait_for_url("**/suppression")
    venu.contexte.clear_cookies()
    ailleurs, venu.page = venu.page, venu.contexte.new_page()
    venu.entrer(assure)
    venu.page = ailleurs
    venu.page.get_by_role("button", name="Supprimer").click()
    assert venu.lit("Ce formulaire a expiré")
    venu.page.get_by_role("button", name="Supprimer").click()
    assert venu.lit("Vous n'avez pas de message")


def test_la_note_d_un_agent_est_encore_la(pile: Pile, visiteur: Visiteur) -> None:
    reference, page = pile.avis(assure="n-fin-note"), visiteur.page
    devenir_agent(visiteur)
    visiteur.aller(f"/support/creances/{reference}?motif={MOTIF}")
    page.locator("#texte").fill("Rappelle demain matin.")
    visiteur.contexte.clear_cookies()
    page.get_by_role("button", name="Noter").click()
    visiteur.lit("rien n'a été enregistré")
    page.get_by_role("link", name="Se connecter").click()
    page.get_by_role("button", name="Claire").click()
    page.wait_for_url(f"**/support/creances/{reference}?motif=*")
    assert page.locator("#texte").input_value() == "Rappelle demain matin."
    page.get_by_role("button", name="Noter").click()
    page.wait_for_url("**#notes")
    assert page.locator("#texte").input_value() == ""
