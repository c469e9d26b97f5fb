"""La page de sûreté ne nomme que des essais qui existent, et chaque menace a le sien."""

import re

from tests.outils import RACINE

PAGE = (RACINE / "docs/security.md").read_text("utf-8")
MENACES = PAGE[PAGE.index("## The doors") : PAGE.index("## Turning a key")]


def test_chaque_menace_a_un_essai_qui_existe() -> None:
    lignes = [ligne for ligne in MENACES.splitlines() if ligne.startswith("| ") and "| threat |" not in ligne]
    assert len(lignes) > 30
    for ligne in lignes:
        nommes = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", ligne)
        assert nommes, ligne
        for fichier, nom in nommes:
            assert re.search(rf"def {nom}\b", (RACINE / fichier).read_text("utf-8")), (fichier, nom)
