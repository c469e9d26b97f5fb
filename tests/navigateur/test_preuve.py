"""La page d'une preuve dans un vrai navigateur : il vérifie lui-même, et ne dit jamais oui à tort."""

import json
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.test_accessibilite import infractions
from tests.navigateur.test_support import devenir_agent
from tests.outils import attendre

pytestmark = pytest.mark.lent

SANS_ED25519 = """crypto.subtle.importKey = async () => { throw new DOMException("Ed25519", "NotSupportedError"); };"""
TOUJOURS_OUI = "crypto.subtle.verify = async () => true;"
RETOURNER = """async ({ preuve, cles, bits }) => {
  const { verifier } = await import("/statique/preuve-verificateur.mjs");
  const acceptes = [];
  for (const bit of bits) {
    const contenu = new TextEncoder().encode(preuve);
    contenu[bit >> 3] ^= 1 << (bit & 7);
    try { acceptes.push([bit, await verifier(contenu, cles)]); } catch { /* refusée */ }
  }
  return acceptes;
}"""


def scellee(pile: Pile, assure: str) -> str:
    """Une créance dont le premier fait est scellé."""
    reference = pile.avis(assure=assure)
    requete = (
        "SELECT 1 FROM journal.evenements e WHERE flux = %s AND position <="
        " (SELECT max(position) FROM journal.sceaux s JOIN journal.points USING (epoque, taille))"
    )
    attendre(lambda: pile.lire(requete, f"creance-{reference}"), secondes=60, quoi="le sceau")
    return reference


def verdict(venu: Visiteur) -> tuple[str, str]:
    """Ce que la page finit par dire."""
    lieu = venu.page.locator("#verdict[data-verdict]")
    lieu.wait_for()
    return str(lieu.get_attribute("data-verdict")), lieu.inner_text()


def test_le_payeur_va_de_son_solde_a_sa_preuve_et_son_navigateur_la_verifie(pile: Pile, visiteur: Visiteur) -> None:
    reference = scellee(pile, "n-preuve-oui")
    visiteur.entrer("n-preuve-oui")
    visiteur.aller("/creances")
    visiteur.page.get_by_role("link", name="Preuve de ce solde").click()
    avis, phrase = verdict(visiteur)
    assert (avis, phrase.startswith(f"Oui : {reference} doit 87,09 €. Complet jusqu'à la version 1")) == ("oui", True)
    assert visiteur.page.locator("[data-pas].tenu").count() == 4
    visiteur.page.locator("details summary").last.click()
    assert infractions(visiteur.page) == []
    for largeur in (1280, 320):
        visiteur.page.set_viewport_size({"width": largeur, "height": 640})
        assert visiteur.largeur() <= largeur

    lue = visiteur.page.locator("#preuve").text_content() or ""
    cles = str(visiteur.page.locator("#verdict").get_attribute("data-cles")).split(" ")
    bits = list(range(3, 8 * len(lue), 8 * len(lue) // 300))
    assert visiteur.page.evaluate(RETOURNER, {"preuve": lue, "cles": cles, "bits": bits}) == []
    assert json.loads(lue)["creance"] == reference


@pytest.mark.parametrize(("empecher", "dit"), [(SANS_ED25519, "ne sait pas"), (TOUJOURS_OUI, "ne sait pas")])
def test_un_navigateur_qui_ne_sait_pas_le_dit_et_ne_dit_pas_oui(
    pile: Pile, visiteur: Visiteur, empecher: str, dit: str
) -> None:
    reference = scellee(pile, "n-preuve-incapable")
    visiteur.contexte.add_init_script(empecher)
    visiteur.entrer("n-preuve-incapable")
    visiteur.aller(f"/creances/{reference}/preuve")
    avis, phrase = verdict(visiteur)
    assert (avis, dit in phrase, "Oui" in phrase) == ("", True, False)


def test_une_preuve_changee_en_chemin_est_refusee_avec_sa_raison(pile: Pile, visiteur: Visiteur) -> None:
    reference = scellee(pile, "n-preuve-fausse")

    def changer(route: Route) -> None:
        rendue = route.fetch()
        route.fulfill(response=rendue, body=rendue.text().replace("centimes&#34;: 8709", "centimes&#34;: 0"))

    visiteur.entrer("n-preuve-fausse")
    visiteur.contexte.route("**/preuve", changer)
    visiteur.aller(f"/creances/{reference}/preuve")
    avis, phrase = verdict(visiteur)
    assert (avis, "« restant_du_centimes » n'est pas ce que disent les faits" in phrase) == ("non", True)


def test_sans_script_les_pas_et_la_commande_sont_la(pile: Pile, visiteurs: Any) -> None:
    reference = scellee(pile, "n-preuve-muette")
    venu: Visiteur = visiteurs(java_script_enabled=False, viewport={"width": 320, "height": 640})
    venu.entrer("n-preuve-muette")
    venu.aller(f"/creances/{reference}/preuve")
    assert "n'a rien vérifié" in venu.page.locator("#verdict").inner_text()
    assert f"python verificateur.py preuve-{reference}.json" in venu.page.locator("pre.commande").inner_text()
    assert venu.page.locator("[data-pas]").count() == 4


def test_le_support_la_verifie_aussi(pile: Pile, visiteur: Visiteur) -> None:
    reference = scellee(pile, "n-preuve-support")
    devenir_agent(visiteur)
    visiteur.aller(f"/support/creances/{reference}?motif=essai")
    visiteur.page.get_by_role("link", name="Preuve de ce solde").click()
    avis, phrase = verdict(visiteur)
    assert (avis, reference in phrase) == ("oui", True)
    assert infractions(visiteur.page) == []
