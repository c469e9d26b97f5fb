"""L'accusé de réception, d'un paiement accepté jusqu'à sa suppression, dans un vrai navigateur."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.navigateur.conftest import LARGE, TELEPHONE, Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.outils import attendre

pytestmark = pytest.mark.lent

OBJET = "Accusé de réception de votre paiement de créance"


def payer(pile: Pile, venu: Visiteur, assure: str) -> None:
    """Un paiement que la banque accepte, et son message arrivé."""
    reference = pile.avis(60_00, assure=assure)
    venu.entrer(assure)
    venu.chercher(reference)
    venu.saisir("20")
    venu.payer()
    venu.carte("5017 0000 0000 0000")
    venu.page.get_by_text("Votre paiement a été accepté.").wait_for()
    attendre(lambda: pile.lire("SELECT 1 FROM vues.messagerie WHERE assure = %s", assure), quoi="le message")


def non_lus(page: Page) -> str:
    return " ".join(page.get_by_role("region", name="Ma messagerie").inner_text().split())


@pytest.mark.parametrize(("ecran", "script"), [(LARGE, True), (TELEPHONE, False)], ids=["script", "sans script"])
def test_l_accuse_se_lit_se_telecharge_et_se_supprime(
    pile: Pile, visiteurs: Any, ecran: dict[str, int], *, script: bool
) -> None:
    assure = f"n-courrier-{script}"
    payer(pile, visiteurs(), assure)
    venu: Visiteur = visiteurs(viewport=ecran, java_script_enabled=script)
    page, fautes = venu.page, dict[str, list[str]]()
    venu.entrer(assure)
    assert "1 non lu" in non_lus(page)

    page.get_by_role("link", name="Ouvrir ma messagerie").click()
    if script:
        fautes["liste"] = infractions(page)
    page.get_by_role("link", name=OBJET).click()
    page.get_by_role("heading", name=OBJET).wait_for()
    if script:
        fautes["message"] = infractions(page)
    with page.expect_download() as telechargement:
        page.get_by_role("link", name="Télécharger en PDF").click()
    assert telechargement.value.suggested_filename.startswith("accuse-de-reception-PCLCB")
    montre = page.request.get(f"{page.url}/accuse.pdf")
    assert montre.headers["content-disposition"].startswith("inline")
    assert montre.body().startswith(b"%PDF-")

    page.get_by_role("link", name="Retour").click()
    assert "non lu" not in page.get_by_role("listitem").filter(has_text=OBJET).inner_text()
    page.get_by_role("link", name=OBJET).click()
    page.get_by_role("link", name="Supprimer").click()
    page.get_by_role("heading", name="Supprimer ce message ?").wait_for()
    if script:
        fautes["suppression"] = infractions(page)
    page.get_by_role("button", name="Supprimer").press("Enter")
    page.get_by_text("Vous n'avez pas de message.").wait_for()
    if script:
        fautes["vide"] = infractions(page)
    venu.aller("/")
    assert "non lu" not in non_lus(page)
    assert {nom: trouvees for nom, trouvees in fautes.items() if trouvees} == {}
    assert venu.plaintes == []
