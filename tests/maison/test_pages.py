"""Ce que les pages nomment existe : un chemin ou un lien mort est une page fausse."""

import re
from pathlib import Path

import pytest

from tests.maison.gardes import DOSSIERS
from tests.outils import RACINE

DEBUTS = (*DOSSIERS, "bench", "deploy", "docs", "examples", "requirements", "tests", ".ci")
PAGES = sorted([*RACINE.glob("*.md"), *(RACINE / "docs").rglob("*.md")])


def morts(texte: str, dossier: Path) -> list[str]:
    """Les liens, et les chemins entre accents graves, qui ne mènent à rien."""
    liens = [lien for lien in re.findall(r"\]\(([^)#]+)\)", texte) if "://" not in lien]
    chemins = [
        chemin
        for chemin in re.findall(r"`([\w./-]+)`", texte)
        if chemin.partition("/")[0] in DEBUTS and "/" in chemin and "NN" not in chemin
    ]
    return [lien for lien in liens if not (dossier / lien).exists()] + [
        chemin for chemin in chemins if not (RACINE / chemin).exists()
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(RACINE)))
def test_ce_que_nomme_une_page_existe(page: Path) -> None:
    texte = page.read_text("utf-8")
    if page.name.startswith("0022"):
        texte = "\n".join(re.sub(r"^(\|[^|]*\|)[^|]*", r"\1", ligne) for ligne in texte.splitlines())
    assert morts(texte, page.parent) == []


def test_un_lien_et_un_chemin_morts_sont_vus() -> None:
    assert morts("[x](absent.md) et `engine/absent.py`", RACINE) == ["absent.md", "engine/absent.py"]
