"""Ce que les pages nomment existe : un chemin ou un lien mort est une page fausse."""

import re
from pathlib import Path

import pytest

from tests.maison.gardes import DOSSIERS, sources
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


def test_la_page_du_courtier_nomme_chaque_module_qui_lit_l_interieur_de_kafka_python() -> None:
    """La page 0009 tient le compte de ce qu'une nouvelle version de kafka-python fait relire."""
    lecteurs = {
        str(fichier.relative_to(RACINE))
        for fichier in sources(*DOSSIERS, "bench", "examples")
        if "SLF001" in (texte := fichier.read_text("utf-8"))
        and re.search(r"^(from|import) kafka\b", texte, re.MULTILINE)
    }
    page = (RACINE / "docs/adr/0009-courtier.md").read_text("utf-8")
    assert "engine/kafka_reader.py" in lecteurs
    assert {nom for nom in lecteurs if f"`{nom}`" not in page and f"`{Path(nom).name}`" not in page} == set()


def test_un_lien_et_un_chemin_morts_sont_vus() -> None:
    assert morts("[x](absent.md) et `engine/absent.py`", RACINE) == ["absent.md", "engine/absent.py"]
