"""Le parcours du payeur dans un vrai navigateur, jusqu'à la banque et retour."""

import re
import time
from typing import Any

import pytest

from tests.navigateur.conftest import INACTIVITE, TELEPHONE, Pile, Visiteur
from tests.outils import attendre

MERCI = "Nous vous remercions pour votre paiement, nous le traitons dans les plus brefs délais."
ECHEC = "Votre transaction de paiement a échoué."
NON_OUVERTE = "Cette référence de courrier n'est pas ouverte au paiement en ligne."
INSUFFISANT = (
    "Le montant restant dû pour cette référence de courrier est inférieur au montant minimum de paiement en ligne :"
    " merci d'utiliser un autre moyen de paiement."
)
ACCEPTEE, REFUSEE, AUTHENTIFIEE = "5017 0000 0000 0000", "5017 0000 0000 0005", "5017 0000 0000 3300"


def test_un_paiement_accepte_sur_deux_lignes_se_voit_sur_le_compte_sans_recharger(
    pile: Pile, visiteur: Visiteur
) -> None:
    premiere, seconde = pile.avis(40_00, assure="n-deux"), pile.avis(25_00, assure="n-deux")
    visiteur.entrer("n-deux")
    assert visiteur.lit("Aucun nouveau paiement")
    compte = visiteur.contexte.new_page()
    compte.goto(f"{pile.url}/")
    visiteur.chercher(" ".join(re.findall(".{1,4}", premiere.lower())))
    visiteur.saisir("50", seconde)
    page = visiteur.page
    assert visiteur.lit("2 références sélectionnées")
    assert page.locator("#solde").inner_text() == "65,00\N{NO-BREAK SPACE}€"
    assert page.locator("#partage tbody").inner_text().split() == [
        premiere,
        "40,00",
        "€",
        "0,00",
        "€",
        seconde,
        "10,00",
        "€",
        "15,00",
        "€",
    ]
    assert visiteur.lit("Il resterait 15,00 €")
    visiteur.payer()
    assert visiteur.lit("50,00 €")
    visiteur.carte(AUTHENTIFIEE)
    page.get_by_label("Code reçu").fill("123456")
    page.get_by_role("button", name="Confirmer").click()
    assert visiteur.lit("Votre paiement a été accepté.")
    assert page.get_by_role("button", name="Imprimer le reçu du paiement").is_visible()
    visiteur.continuer()
    revenu = time.monotonic()
    assert visiteur.lit(MERCI)
    assert visiteur.lit("Il est pris en compte sur votre compte")
    # Dans les deux secondes, sur une machine libre : il ne faut ni recharger, ni attendre la tournée suivante.
    assert time.monotonic() - revenu < 15
    compte.locator("main").get_by_text(MERCI).wait_for()  # L'autre onglet l'apprend, sans être rechargé.
    assert page.title().startswith("Paiement accepté")
    assert pile.paiements("n-deux") == [("accepte", "web")]
    visiteur.aller("/creances")
    assert page.locator("article").count() == 2
    page.locator(f"#h-{seconde} summary").click()
    assert "−10,00" in page.locator(f"#h-{seconde}").inner_text()


LIBEREE = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND en_cours = 0"


@pytest.mark.lent
def test_chaque_echec_au_kiosque_se_dit_et_rien_ne_change(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-echecs")
    visiteur.entrer("n-echecs")
    page = visiteur.page

    def annuler() -> None:
        page.get_by_role("button", name="Annuler").click()

    def abandonner() -> None:
        pile.consigne(code_force="97")
        visiteur.carte(ACCEPTEE)

    def se_tromper_de_code() -> None:
        visiteur.carte(AUTHENTIFIEE)
        for _ in range(3):
            page.get_by_label("Code reçu").fill("0")
            page.get_by_role("button", name="Confirmer").click()

    echecs = {
        "La banque a refusé ce paiement.": lambda: visiteur.carte(REFUSEE),
        "Vous avez annulé ce paiement.": annuler,
        "Le délai de paiement est passé.": abandonner,
        "demander la raison à votre banque": se_tromper_de_code,
    }
    for motif, echouer in echecs.items():
        visiteur.chercher(reference)
        visiteur.saisir("20")
        visiteur.payer()
        echouer()
        assert visiteur.lit("Votre paiement n'a pas abouti.")
        visiteur.continuer()
        assert visiteur.lit(ECHEC)
        assert visiteur.lit(motif)
        visiteur.aller("/")
        assert visiteur.lit(ECHEC)
        assert visiteur.lit("87,09 €")
        # La part est libérée par une autre vue que celle qui dit l'échec : sans elle, l'étape 2 refuserait la suivante.
        attendre(lambda: pile.lire(LIBEREE, reference), quoi="la part libérée")
    assert [statut for statut, _ in pile.paiements("n-echecs")] == ["echoue"] * len(echecs)


@pytest.mark.lent
def test_le_retour_sans_la_reponse_de_la_banque_ne_dit_jamais_merci(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-perdue")
    visiteur.entrer("n-perdue")
    visiteur.chercher(reference)
    visiteur.saisir("20")
    pile.consigne(retard_s=2.5)
    visiteur.payer()
    visiteur.carte(ACCEPTEE)
    visiteur.continuer()
    assert visiteur.lit("nous attendons sa confirmation ; ne payez pas une seconde fois")
    assert not visiteur.page.get_by_role("link", name="reprendre ce paiement").is_visible()
    assert not visiteur.page.get_by_text(MERCI).is_visible()
    assert visiteur.lit(MERCI)  # Elle vient ensuite, et la page l'apprend d'elle-même.


@pytest.mark.lent
def test_la_reponse_perdue_se_demande_aussitot_a_la_banque(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-demandee")
    visiteur.entrer("n-demandee")
    visiteur.chercher(reference)
    visiteur.saisir("20")
    pile.consigne(perdue=True)
    visiteur.payer()
    visiteur.carte(ACCEPTEE)
    visiteur.continuer()
    assert visiteur.lit("nous attendons sa confirmation")
    visiteur.page.get_by_text(MERCI).first.wait_for(timeout=30_000)  # Sans attendre les vingt minutes de la relance.


@pytest.mark.lent
def test_les_messages_de_l_annexe(pile: Pile, visiteur: Visiteur) -> None:
    petite, autre = pile.avis(7_00, assure="n-annexe"), pile.avis(3_80, assure="n-annexe")
    etrangere = pile.avis(assure="n-quelqu-un")
    visiteur.entrer("n-annexe")
    for inconnue in ("3819999999999999Z", etrangere):
        visiteur.chercher(inconnue)
        assert visiteur.page.locator("#faute-reference").inner_text().strip() == NON_OUVERTE
        assert visiteur.page.get_by_label("Référence de l'avis").input_value() == inconnue
    visiteur.chercher(petite)
    assert visiteur.lit(INSUFFISANT)
    assert visiteur.lit("1 référence trouvée")
    assert visiteur.lit("0 référence sélectionnée")
    assert visiteur.lit("Vous pouvez payer en ligne entre 16 € et 50 € par paiement")
    assert visiteur.page.locator(f"#r-{autre}").is_disabled()


def test_double_clic_et_retour_arriere_n_ouvrent_qu_un_paiement(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-double")
    visiteur.entrer("n-double")
    visiteur.chercher(reference)
    visiteur.saisir("20")
    page = visiteur.page
    page.get_by_role("button", name="Payer", exact=True).dblclick()
    page.wait_for_url("**/paypage")
    attendre(lambda: pile.paiements("n-double"))
    page.go_back()  # L'étape 2 : la page qui mène au kiosque s'est effacée de l'historique.
    assert visiteur.lit("Un paiement de 20,00 € est en cours.")
    assert page.locator(f"#r-{reference}").is_disabled()
    page.reload()
    page.get_by_role("link", name="reprendre au kiosque bancaire").click()
    page.wait_for_url("**/paypage")
    visiteur.carte(ACCEPTEE)
    visiteur.continuer()
    assert visiteur.lit(MERCI)
    page.reload()
    visiteur.aller("/")
    assert visiteur.lit(MERCI)
    assert pile.paiements("n-double") == [("accepte", "web")]


@pytest.mark.lent
def test_deux_assures_paient_dans_deux_onglets_sans_se_meler(pile: Pile, visiteurs: Any) -> None:
    venus = {nom: (visiteurs(), pile.avis(assure=nom)) for nom in ("n-a", "n-b")}
    for nom, (venu, reference) in venus.items():
        venu.entrer(nom)
        venu.chercher(reference)
    for montant, (venu, _) in zip(("17", "18"), venus.values(), strict=True):
        venu.saisir(montant)
        venu.payer()
    for venu, _ in venus.values():
        venu.carte(ACCEPTEE)
    for venu, _ in venus.values():
        venu.continuer()
    for montant, (venu, _) in zip(("17,00", "18,00"), venus.values(), strict=True):
        assert venu.lit(MERCI)
        assert montant in venu.page.locator("main").inner_text()
    adresse = venus["n-a"][0].page.url
    assert venus["n-b"][0].page.goto(adresse).status == 404


@pytest.mark.lent
def test_la_reference_d_un_autre_glissee_dans_le_formulaire_n_ouvre_rien(pile: Pile, visiteur: Visiteur) -> None:
    mienne, sienne = pile.avis(assure="n-curieux"), pile.avis(66_66, assure="n-autre")
    visiteur.entrer("n-curieux")
    visiteur.chercher(mienne)
    visiteur.saisir("20")
    visiteur.page.locator(f"#r-{mienne}").evaluate("(une, autre) => { une.value = autre; }", sienne)
    visiteur.page.get_by_role("button", name="Payer", exact=True).click()
    assert visiteur.lit(NON_OUVERTE)
    assert "66,66" not in visiteur.page.content()
    assert pile.paiements("n-curieux") == []


@pytest.mark.lent
def test_deux_caisses_cochees_ensemble_se_disent_avant_et_apres(pile: Pile, visiteur: Visiteur) -> None:
    ici, ailleurs = pile.avis(assure="n-caisses"), pile.avis(assure="n-caisses", caisse="011")
    visiteur.entrer("n-caisses")
    visiteur.chercher(ici)
    visiteur.saisir("20", ailleurs)
    assert visiteur.page.locator("#caisses").is_visible()
    visiteur.page.get_by_role("button", name="Payer", exact=True).click()
    resume = visiteur.page.locator("#erreurs")
    assert "relèvent de caisses différentes\N{NO-BREAK SPACE}: merci de les payer séparément" in resume.inner_text()
    assert resume.evaluate("un => un === document.activeElement")
    assert visiteur.page.get_by_label("Montant du paiement").input_value() == "20"


@pytest.mark.lent
def test_a_320_pixels_rien_ne_deborde(pile: Pile, visiteurs: Any) -> None:
    reference = pile.avis(assure="n-etroit")
    pile.avis(assure="n-etroit")
    venu: Visiteur = visiteurs(viewport=TELEPHONE, has_touch=True)
    venu.entrer("n-etroit", "application")
    larges = []

    def mesurer(nom: str) -> None:
        largeur = venu.largeur()
        if largeur > TELEPHONE["width"]:
            larges.append((nom, largeur))

    for chemin in ("/", "/payer", "/creances", "/payer?reference=1"):
        venu.aller(chemin)
        mesurer(chemin)
    venu.chercher(reference)
    venu.saisir("48,50")
    mesurer("étape 2")
    venu.payer()
    mesurer("kiosque")
    venu.carte(ACCEPTEE)
    mesurer("reçu")
    venu.continuer()
    assert venu.lit(MERCI)
    mesurer("état")
    assert larges == []
    assert pile.paiements("n-etroit") == [("accepte", "application")]


@pytest.mark.lent
def test_une_borne_laissee_se_ferme_et_ne_montre_plus_rien(pile: Pile, visiteur: Visiteur) -> None:
    reference = pile.avis(assure="n-borne")
    visiteur.entrer("n-borne", "bms")
    visiteur.chercher(reference)
    page = visiteur.page
    page.get_by_role("button", name="Continuer ma démarche").click()  # Le préavis, à mi-délai : on reste.
    hauteur = page.get_by_role("button", name="Payer", exact=True).bounding_box()
    assert hauteur is not None
    assert hauteur["height"] >= 64
    page.wait_for_url("**/inactivite", timeout=4 * INACTIVITE.total_seconds() * 1000)
    assert reference not in page.content()
    assert visiteur.contexte.cookies() == []
    page.go_back()
    attendre(lambda: "Qui êtes-vous" in page.content() or "terminée" in page.content())
    assert "/connexion" in page.url or "/inactivite" in page.url  # La démonstration y montre des exemples de tous.
    assert page.locator("#montant").count() == 0
    page.get_by_role("link").first.wait_for()


@pytest.mark.lent
@pytest.mark.parametrize("partage", [True, False])
def test_tout_le_parcours_se_fait_sans_script(pile: Pile, visiteurs: Any, *, partage: bool) -> None:
    assure = f"n-sans-script-{partage}".lower()
    reference, autre = pile.avis(40_00, assure=assure), pile.avis(assure=assure)
    venu: Visiteur = visiteurs(java_script_enabled=False)
    page = venu.page
    venu.entrer(assure)
    venu.chercher(reference)
    venu.saisir("45", autre)
    if partage:
        page.get_by_role("button", name="Voir les totaux et le partage").click()
        assert venu.lit("2 références sélectionnées")
        assert page.get_by_label("Montant du paiement").input_value() == "45"
    page.get_by_role("button", name="Payer", exact=True).click()
    assert venu.lit("Vérifiez votre paiement")
    assert "40,00" in page.locator("table").inner_text()
    page.get_by_role("button", name="Confirmer et payer").click()
    pile.consigne(retard_s=1)
    page.get_by_role("button", name="Continuer vers le kiosque bancaire").click()
    venu.carte(ACCEPTEE)
    venu.continuer()
    assert venu.lit(MERCI)  # La page se relit d'elle-même.
    assert pile.paiements(assure) == [("accepte", "web")]


@pytest.mark.lent
def test_tout_le_parcours_se_fait_au_clavier_seul(pile: Pile, visiteur: Visiteur) -> None:
    reference, autre = pile.avis(assure="n-clavier"), pile.avis(assure="n-clavier")
    visiteur.entrer("n-clavier")
    page, clavier = visiteur.page, visiteur.page.keyboard

    def atteindre(selecteur: str) -> None:
        for _ in range(40):
            clavier.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selecteur):
                visible = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
                assert page.evaluate(visible), f"le focus de {selecteur} ne se voit pas"
                return
        raise AssertionError(f"{selecteur} ne s'atteint pas au clavier")

    clavier.press("Tab")
    assert page.evaluate("document.activeElement.className") == "evitement"
    atteindre(".menu summary")
    clavier.press("Enter")
    atteindre('.menu a[href="/payer"]')
    clavier.press("Enter")
    page.wait_for_url("**/payer")
    atteindre("#reference")
    clavier.type(reference)
    clavier.press("Enter")
    page.wait_for_url("**/payer?reference=*")
    atteindre(f"#r-{autre}")
    clavier.press("Space")
    atteindre("#montant")
    clavier.type("20")
    atteindre('button[value="payer"]')
    clavier.press("Enter")
    page.wait_for_url("**/paypage")
    for champ, valeur in {"#numero": ACCEPTEE, "#mois": "12", "#annee": "30", "#cryptogramme": "123"}.items():
        atteindre(champ)
        clavier.type(valeur)
    clavier.press("Enter")
    page.get_by_text("Votre paiement a été accepté.").wait_for()
    atteindre('form[action$="/kiosque/retour"] button')
    clavier.press("Enter")
    assert visiteur.lit(MERCI)
