"""La page du moteur : chaque garantie nomme un test qui existe, et chaque module du moteur y est dit."""

import ast
import re

from tests.outils import RACINE

PAGE = (RACINE / "docs/engine.md").read_text("utf-8")


def test_chaque_garantie_nomme_un_test_qui_existe() -> None:
    nommes = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)
    assert len(nommes) > 20
    connus = {fichier: _fonctions(fichier) for fichier, _ in nommes}
    for fichier, nom in nommes:
        assert nom in connus[fichier], (fichier, nom)


def _fonctions(fichier: str) -> set[str]:
    arbre = ast.parse((RACINE / fichier).read_text("utf-8"))
    return {noeud.name for noeud in ast.walk(arbre) if isinstance(noeud, ast.FunctionDef)}


def test_chaque_ligne_d_une_garantie_a_son_test() -> None:
    lignes = [ligne for ligne in PAGE.splitlines() if ligne.startswith("| ")]
    garanties = [ligne for ligne in lignes[lignes.index("| guarantee | shown by |") :] if "shown by" not in ligne]
    assert [ligne for ligne in garanties if "::test_" not in ligne] == []


def test_chaque_module_du_moteur_y_est_dit() -> None:
    modules = {fichier.stem for fichier in (RACINE / "engine").glob("*.py")} - {"__init__"}
    assert modules - set(re.findall(r"`([a-z_]+)`", PAGE)) == set()
