"""Les douze situations du payeur, jouées en entier : axe ne reproche rien à aucun état, en clair ni en sombre."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.situations import SITUATIONS, Situation
from tests.navigateur.test_accessibilite import infractions

pytestmark = pytest.mark.lent

LARGEURS = (320, 640)
"""Un petit téléphone, qui est aussi un bureau grossi quatre fois ; un bureau grossi deux fois."""


def debordements(page: Page) -> list[str]:
    """De combien la page déborde à ces largeurs."""
    la_sienne = page.viewport_size
    assert la_sienne is not None
    trouves = []
    for largeur in LARGEURS:
        page.set_viewport_size({"width": largeur, "height": la_sienne["height"]})
        de_trop = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        trouves += [f"déborde de {de_trop} px à {largeur} px"] if de_trop > 0 else []
    page.set_viewport_size(la_sienne)
    return trouves


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda une: une.__name__)
def test_chaque_etat_de_chaque_situation(pile: Pile, visiteurs: Any, situation: Situation) -> None:
    fautes: dict[str, list[str]] = {}

    def noter(visiteur: Visiteur, geste: str, image: str | None = None) -> None:
        del image
        page = visiteur.page
        if not visiteur.script:  # axe en est un.
            assert page.locator("h1").count() == 1, geste
            return
        trouvees = infractions(page)
        if "/paypage" not in page.url:  # La page de la banque n'est pas la nôtre.
            assert page.locator("h1").count() == 1, geste
            trouvees += debordements(page)
            page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # Sans transition à mi-chemin.
            trouvees += [f"sombre : {faute}" for faute in infractions(page, "color-contrast")]
            page.emulate_media(color_scheme="light", reduced_motion="no-preference")
        if trouvees:
            fautes[geste] = trouvees

    situation(pile, visiteurs, noter)
    assert not fautes, "\n".join(f"{geste} : {faute}" for geste, dites in fautes.items() for faute in dites)
