"""Une docstring ne nomme que ce qui existe (exceptions levées, classes accentuées), et nul ne la lit à l'écran."""

import ast
import builtins
import re
from collections.abc import Iterator
from typing import Final

from tests.maison import gardes
from tests.outils import RACINE

_NOM: Final = r"[A-ZÀ-Þ][a-zà-ÿ]+(?:[A-ZÀ-Þ]\w*)*"
_DITES: Final = re.compile(rf"\b(?:[Ll]ève(?:nt)?|[Rr]aises?)\s+((?:{_NOM})(?:(?:, | ou | or |, or )(?:{_NOM}))*)")
_ACCENTUEE: Final = re.compile(r"\b(?=\w*[À-ÿ])[A-ZÀ-Þ][a-zà-ÿ]+(?:[A-ZÀ-Þ][a-zà-ÿ]*)+\b")


def connues(arbres: list[ast.Module]) -> set[str]:
    """Les classes déclarées ou importées quelque part, et celles du langage."""
    noms = set(vars(builtins))
    for arbre in arbres:
        for noeud in ast.walk(arbre):
            if isinstance(noeud, ast.ClassDef):
                noms.add(noeud.name)
            elif isinstance(noeud, ast.ImportFrom):
                noms |= {importe.asname or importe.name for importe in noeud.names}
    return noms


def nommees(arbre: ast.Module) -> Iterator[tuple[int, str]]:
    """Ce que les docstrings nomment ainsi, celles des attributs comprises."""
    for noeud in ast.walk(arbre):
        if isinstance(noeud, ast.Expr) and isinstance(noeud.value, ast.Constant) and isinstance(noeud.value.value, str):
            texte = " ".join(noeud.value.value.split())
            for liste in _DITES.findall(texte):
                yield from ((noeud.lineno, nom) for nom in re.findall(_NOM, liste))
            yield from ((noeud.lineno, nom) for nom in _ACCENTUEE.findall(texte))


def test_une_docstring_ne_nomme_que_ce_qui_existe() -> None:
    arbres = {fichier: ast.parse(fichier.read_text("utf-8")) for fichier in gardes.sources(*gardes.DOSSIERS)}
    existent = connues([*arbres.values()])
    assert [
        f"{fichier.relative_to(RACINE)}:{ligne} {nom}"
        for fichier, arbre in arbres.items()
        for ligne, nom in nommees(arbre)
        if nom not in existent
    ] == []


LISENT_UNE_DOCSTRING: Final = {
    "publication/contenu.py": "la description d'un schéma publié est celle de sa classe",
    "publication/etat.py": "de même",
    "preuve/verificateur.py": "un fichier seul, dont elle est la notice",
}


def test_ce_qu_une_personne_lit_ne_vient_pas_d_une_docstring() -> None:
    """`python -OO` les ôte."""
    lues = {
        str(fichier.relative_to(RACINE))
        for fichier in gardes.sources(*gardes.DOSSIERS)
        if "__doc__" in fichier.read_text("utf-8")
    }
    assert lues == set(LISENT_UNE_DOCSTRING)


def test_un_nom_qui_n_existe_pas_se_voit() -> None:
    faux = ast.parse('def f():\n    """Lève Absente ou ValueError ; voir RéférencePerdue. Raises Gone."""\n')
    assert {nom for _, nom in nommees(faux)} - connues([faux]) == {"Absente", "RéférencePerdue", "Gone"}
