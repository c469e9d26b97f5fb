"""Le parcours du payeur, écrit d'un vrai passage : `docs/parcours.md` et ses écrans. `make screenshots`.

Ne fait pas partie des tests, qui jouent les mêmes situations.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.navigateur.conftest import Pile, Visiteur
from tests.navigateur.situations import SITUATIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOSSIER = DOCS / "ecrans"
COULEURS = 96
TETE = """\
# Le parcours du payeur

Douze situations, et ce que la personne lit à chaque pas. Écrit d'un vrai passage dans un navigateur par
`make screenshots` : ne se corrige pas à la main. Les mêmes situations se jouent dans la suite, où axe (WCAG 2.2 AA)
regarde chaque état, en clair et en sombre (`tests/navigateur/test_situations.py`).
"""
LIRE = """() => {
  const muets = document.querySelectorAll('.invisible, template, noscript, [aria-hidden="true"]');
  const caches = [...muets].filter((un) => un.hidden === false);
  for (const un of caches) un.hidden = true;
  const dialogue = document.querySelector('#veille:not([hidden])');
  const lu = (dialogue ?? document.querySelector('main')).innerText;
  for (const un of caches) un.hidden = false;
  return lu;
}"""


class Parcours:
    """Ce qui est écrit, dans l'ordre."""

    def __init__(self) -> None:
        self.lignes = [TETE]
        self.images: set[str] = set()

    def ouvrir(self, rang: int, titre: str) -> None:
        numero = "" if titre.startswith("Annexe") else f"{rang}. "
        self.lignes.append(f"\n## {numero}{titre}\n")

    def noter(self, visiteur: Visiteur, geste: str, image: str | None = None) -> None:
        self.lignes.append(f"**{geste}.** Titre : « {visiteur.page.title()} ». On lit :\n")
        if image is not None:
            prendre(visiteur, image)
            self.images.add(image)
        lu = visiteur.page.evaluate(LIRE)
        self.lignes += [f"> {ligne.strip()}  " for ligne in lu.splitlines() if ligne.strip()]
        self.lignes.append(f"\n![{geste}](ecrans/{image}.png)\n" if image else "")


@pytest.mark.timeout(400)  # Toutes les situations d'affilée, images comprises.
def test_les_ecrans(pile: Pile, visiteurs: Any) -> None:
    DOSSIER.mkdir(exist_ok=True)
    parcours = Parcours()
    for rang, situation in enumerate(SITUATIONS, start=1):
        parcours.ouvrir(rang, str(situation.__doc__))
        situation(pile, visiteurs, parcours.noter)
    for perime in {chemin.stem for chemin in DOSSIER.glob("*.png")} - parcours.images:
        (DOSSIER / f"{perime}.png").unlink()
    (DOCS / "parcours.md").write_text("\n".join(parcours.lignes).rstrip() + "\n", "utf-8")


def prendre(visiteur: Visiteur, nom: str) -> None:
    """Toute la page, en PNG d'une palette courte : nos pages ont peu de couleurs."""
    visiteur.page.evaluate("scrollTo(0, 0)")
    pris = visiteur.page.screenshot(full_page=True, animations="disabled", caret="hide")
    with Image.open(BytesIO(pris)) as image:
        image.convert("RGB").quantize(COULEURS, dither=Image.Dither.NONE).save(DOSSIER / f"{nom}.png", optimize=True)
