"""Les anomalies et l'audit dans un vrai navigateur : axe en chaque état, et d'un bout à l'autre au clavier seul."""

from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.api.conftest import notification
from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.navigateur.test_support import MOTIF, devenir_agent
from tests.outils import attendre

TABULATIONS_MAX: Final = 120
FOCUS: Final = """() => {
    const e = document.activeElement;
    const nom = e.labels && e.labels.length ? e.labels[0].innerText : '';
    return [nom, e.innerText || '', e.getAttribute('aria-label') || ''].join(' ').trim();
}"""


def orpheline(pile: Pile, transaction: str, montant: int = 20_00) -> str:
    """De l'argent que la banque dit avoir pris pour un paiement inconnu ; le nom de l'anomalie."""
    pile.poster(notification(transaction, montant))
    prise = "SELECT anomalie FROM vues.argent WHERE transaction = %s"
    ((ident,),) = attendre(lambda: pile.lire(prise, transaction), secondes=30, quoi=f"argent de {transaction}")
    return str(ident)


def jusqu_a(page: Page, texte: str) -> None:
    """Tabule jusqu'à ce qui porte ce texte."""
    vus = []
    for _ in range(TABULATIONS_MAX):
        page.keyboard.press("Tab")
        vus.append(page.evaluate(FOCUS))
        if texte in vus[-1]:
            return
    raise AssertionError(f"« {texte} » ne s'atteint pas au clavier : {vus}")


@pytest.mark.lent
def test_chaque_etat_d_une_anomalie_est_accessible(pile: Pile, visiteurs: Any) -> None:
    reference = pile.avis(assure="n-axe-anomalie")
    ident = orpheline(pile, "AXEORPHELINE1")
    claire, paul = visiteurs(), visiteurs()
    devenir_agent(claire)
    devenir_agent(paul, "Paul")
    vues: dict[str, list[str]] = {}

    def voir(venu: Visiteur, nom: str, chemin: str = "", lit: str = "") -> None:
        if chemin:
            venu.aller(chemin)
        if lit:
            venu.page.get_by_text(lit).first.wait_for()
        for detail in venu.page.locator("details").all():
            detail.evaluate("d => d.open = true")
        vues[nom] = infractions(venu.page)

    adresse = f"/support/anomalies/{ident}?motif=essai"
    voir(claire, "à régler, la liste", "/support/anomalies?motif=essai", "À régler")
    voir(claire, "à régler, d'un genre", "/support/anomalies?motif=essai&genre=non_rapprochee")
    voir(claire, "à régler, ouverte, tous ses gestes", adresse, "Ce qui peut en être fait")
    voir(claire, "à régler, dans l'histoire", "/support/paiements/AXEORPHELINE1?motif=essai", "À régler")
    claire.page.get_by_role("button", name="Interroger la banque maintenant").click()
    voir(claire, "la banque interrogée", lit="La banque")
    claire.aller(adresse)
    claire.page.locator("#gestes summary").first.click()
    claire.page.get_by_label("Créance").fill("n'importe quoi")
    claire.page.locator("#raison-rattacher").fill("<b>")
    claire.page.get_by_role("button", name="Proposer : Rattacher").click()
    claire.page.locator("#erreurs").wait_for()
    voir(claire, "à régler, refusée")
    claire.aller(adresse)
    claire.page.locator("#gestes summary").first.click()
    claire.page.get_by_label("Créance").fill(reference)
    claire.page.locator("#raison-rattacher").fill("vu au téléphone avec elle")
    claire.page.get_by_role("button", name="Proposer : Rattacher").click()
    voir(claire, "proposée, vue de qui l'a proposée", lit="une seconde personne doit maintenant l'approuver")
    voir(paul, "proposée, vue d'une autre", adresse, "Proposé par")
    paul.page.get_by_role("button", name="Approuver").click()
    voir(paul, "réglée", lit="Réglé.")
    voir(paul, "réglées, la liste", "/support/anomalies?motif=essai&etat=reglee")
    voir(paul, "inconnue", "/support/anomalies/argent-RIEN-1?motif=essai")
    voir(paul, "une page qui n'existe pas", "/support/anomalies?motif=essai&apres=rien")
    voir(paul, "rien de ce genre", "/support/anomalies?motif=essai&genre=rien_de_tel", "Rien.")
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}
    assert len(vues) == 13


@pytest.mark.lent
def test_les_pages_de_l_audit_sont_accessibles_et_menent_au_rapport(visiteur: Visiteur) -> None:
    devenir_agent(visiteur, "Aline")
    page = visiteur.page
    vues = {}
    visiteur.aller("/support/audit")
    vues["demander"] = infractions(page)
    page.get_by_label("Totaux depuis le").fill("hier")
    page.get_by_role("button", name="Auditer maintenant").click()
    page.locator("#erreurs").wait_for()
    vues["refusé"] = infractions(page)
    page.get_by_label("Totaux depuis le").fill("")
    page.get_by_role("button", name="Auditer maintenant").click()
    page.get_by_role("heading", name="Audit du").wait_for()
    page.get_by_role("heading", name="Hors de portée").wait_for(timeout=60_000)  # La page se relit d'elle-même.
    for detail in page.locator("details").all():
        detail.evaluate("d => d.open = true")
    vues["rapport"] = infractions(page)
    with page.expect_download() as venu:
        page.get_by_role("link", name="Totaux en CSV").click()
    assert venu.value.path().read_text("utf-8").startswith("axe;cle;ouverture_centimes")
    page.get_by_role("link", name="Tous les audits").click()
    vues["la liste"] = infractions(page)
    assert {nom: fautes for nom, fautes in vues.items() if fautes} == {}


def test_proposer_et_approuver_au_clavier_seul_et_sans_script(pile: Pile, visiteurs: Any) -> None:
    reference = pile.avis(assure="n-clavier-anomalie")
    ident = orpheline(pile, "CLAVIERORPHELINE1", 17_35)
    claire, paul = visiteurs(java_script_enabled=True), visiteurs(java_script_enabled=True)
    devenir_agent(claire)
    clavier = claire.page.keyboard
    assert claire.tient("q")  # Le champ prend le focus de lui-même.
    clavier.type("17,35 € aujourd'hui")
    clavier.press("Tab")
    clavier.type(MOTIF)
    clavier.press("Enter")
    claire.lit("CLAVIERORPHELINE1")
    if "/support?" in claire.page.url:
        jusqu_a(claire.page, "CLAVIERORPHELINE1")
        clavier.press("Enter")
    jusqu_a(claire.page, "La banque a pris 17,35")
    clavier.press("Enter")
    claire.lit("Ce qui peut en être fait")
    jusqu_a(claire.page, "Rattacher l'argent")
    clavier.press("Enter")
    jusqu_a(claire.page, "Créance")
    clavier.type(reference)
    jusqu_a(claire.page, "Raison")
    clavier.type("vu au téléphone avec elle")
    jusqu_a(claire.page, "Proposer")
    clavier.press("Enter")
    claire.lit("une seconde personne doit maintenant l'approuver")
    devenir_agent(paul, "Paul")
    paul.aller(f"/support/anomalies/{ident}?motif=essai")
    jusqu_a(paul.page, "Approuver")
    paul.page.keyboard.press("Enter")
    paul.lit("Réglé.")
    solde = "SELECT solde FROM vues.restant_du WHERE reference = %s"
    attendre(lambda: pile.lire(solde, reference) == [(87_09 - 17_35,)], secondes=30)
