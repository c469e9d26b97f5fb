"""Le sens des imports entre les pièces, et la pureté du domaine : docs et code ne peuvent pas diverger en silence."""

import ast
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outils import RACINE

# Ce que chaque pièce peut importer des autres.
PIECES: dict[str, set[str]] = {
    "domain": set(),
    "engine": set(),
    "kiosque": {"domain"},
    "guichet": {"domain", "engine", "kiosque"},
    "consumers": {"domain", "engine", "kiosque", "guichet"},
    "projections": {"domain", "engine"},
    "publication": {"domain", "engine", "projections"},
    "preuve": {"domain", "engine"},
    "api": {"domain", "engine", "kiosque", "guichet", "projections", "publication", "preuve"},
    "service": {"domain", "engine", "kiosque", "guichet", "consumers", "projections", "publication", "preuve", "api"},
}
# Du domaine vers l'extérieur : rien d'autre que la bibliothèque standard et ces deux-là.
TIERS_DU_DOMAINE = {"eventsourcing.domain", "eventsourcing.utils", "pydantic"}
PAR_LEUR_NOM = {"__import__", "import_module", "resolve_name", "run_module"}
"""Ce qui importe un module par son nom."""
CALCULE = "un module dont le nom se calcule"
# Sous quelque nom que `datetime` soit importé.
HORLOGES = {"now", "utcnow", "today"}
APPELS_IMPURS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
# De la bibliothèque standard, ce qui ne lit ni n'écrit rien : le domaine n'importe que cela.
STANDARD_DU_DOMAINE = {
    *(
        "calendar",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "itertools",
        "re",
        "typing",
        "unicodedata",
    ),
    "zoneinfo",
}
HORS_PIECES = {"bench", "deploy", "docs", "examples", "tests", "requirements", "build", "dist"}


def modules(piece: str) -> list[Path]:
    return sorted((RACINE / piece).rglob("*.py"))


def importes(arbre: ast.AST) -> Iterator[tuple[int, str]]:
    """Chaque module importé, en toutes lettres ; un import relatif reste dans sa pièce."""
    for noeud in ast.walk(arbre):
        match noeud:
            case ast.Import(names=noms):
                yield from ((noeud.lineno, nom.name) for nom in noms)
            case ast.ImportFrom(module=str(module), level=0, names=noms):
                yield noeud.lineno, module
                yield from ((noeud.lineno, CALCULE) for nom in noms if nom.name in PAR_LEUR_NOM and nom.asname)
            case ast.Call(func=ast.Name(id=appel) | ast.Attribute(attr=appel)) if appel in PAR_LEUR_NOM:
                yield noeud.lineno, nomme(noeud)
            case _:
                pass


def nomme(appel: ast.Call) -> str:
    """Le module qu'un tel appel nomme, ou ce qu'il en dit d'abord (`f"service.cli.{nom}"`)."""
    match [*appel.args, *(argument.value for argument in appel.keywords if argument.arg == "name")]:
        case [ast.Constant(value=str(module)), *_] | [
            ast.JoinedStr(values=[ast.Constant(value=str(module)), *_]),
            *_,
        ] if not module.startswith("."):
            return module
        case _:
            return CALCULE


def fautes(piece: str, source: str, fichier: str) -> list[str]:
    """Dit tout ce qu'un module d'une pièce ne devrait pas faire."""
    arbre = ast.parse(source)
    return [
        f"{fichier}:{ligne}: {faute}"
        for ligne, faute in sorted(
            {*fautes_d_import(piece, arbre), *fautes_de_nom(arbre), *fautes_de_purete(piece, arbre)}
        )
    ]


def fautes_d_import(piece: str, arbre: ast.AST) -> Iterator[tuple[int, str]]:
    permises = PIECES[piece] | {piece}
    for ligne, module in importes(arbre):
        tete = module.partition(".")[0].partition(":")[0]
        if module == CALCULE or (tete in PIECES.keys() | HORS_PIECES and tete not in permises):
            yield ligne, f"{piece} ne doit pas importer {module}"
        elif piece == "domain" and {tete, module}.isdisjoint({piece} | STANDARD_DU_DOMAINE | TIERS_DU_DOMAINE):
            yield (
                ligne,
                f"le domaine est pur, il n'importe que {sorted(STANDARD_DU_DOMAINE | TIERS_DU_DOMAINE)} : {module}",
            )


def fautes_de_purete(piece: str, arbre: ast.AST) -> Iterator[tuple[int, str]]:
    if piece != "domain":
        return
    for noeud in ast.walk(arbre):
        match noeud:
            case ast.Attribute(attr=methode) if methode in HORLOGES:
                yield noeud.lineno, f"le temps vient en argument : {methode}"
            case ast.Call(func=ast.Name(id=appel)) if appel in APPELS_IMPURS:
                yield noeud.lineno, f"le domaine est pur : {appel}()"
            case _:
                pass


def fautes_de_nom(arbre: ast.AST) -> Iterator[tuple[int, str]]:
    """Python ramène les identifiants à NFKC, mais la chaîne "Créance" en NFD n'égalerait pas le nom de la classe."""
    for noeud in ast.walk(arbre):
        match noeud:
            case ast.ClassDef(name=nom) | ast.FunctionDef(name=nom) | ast.AsyncFunctionDef(name=nom):
                if not unicodedata.is_normalized("NFC", nom):
                    yield noeud.lineno, f"nom en NFD : {nom}"
            case ast.Constant(value=str(texte)) if not unicodedata.is_normalized("NFC", texte):
                yield noeud.lineno, f"texte en NFD : {texte!r}"
            case _:
                pass


def pieces_inconnues(racine: Path) -> list[str]:
    """Ce qui est du Python à la racine sans être une pièce ni un dossier connu : un dossier, ou un module seul."""
    return sorted(
        un.name
        for un in racine.iterdir()
        if not un.name.startswith((".", "__"))
        and un.name not in PIECES.keys() | HORS_PIECES
        and (any(un.rglob("*.py")) if un.is_dir() else un.suffix == ".py")
    )


@pytest.mark.parametrize("piece", PIECES)
def test_chaque_piece_n_importe_que_ce_qu_elle_peut(piece: str) -> None:
    if not (RACINE / piece).exists():
        pytest.skip(f"{piece}/ n'existe pas encore")
    trouvees = [
        faute
        for fichier in modules(piece)
        for faute in fautes(piece, fichier.read_text("utf-8"), str(fichier.relative_to(RACINE)))
    ]
    assert trouvees == []


def test_aucune_piece_inconnue_a_la_racine() -> None:
    assert pieces_inconnues(RACINE) == []


def test_une_piece_inconnue_est_vue(tmp_path: Path) -> None:
    (tmp_path / "divers" / "fond").mkdir(parents=True)
    (tmp_path / "divers" / "fond" / "utils.py").touch()
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "x.py").touch()
    (tmp_path / "outils.py").touch()
    assert pieces_inconnues(tmp_path) == ["divers", "outils.py"]


def test_les_noms_de_fichiers_sont_en_ascii() -> None:
    assert [str(f) for piece in [*PIECES, "tests"] for f in (RACINE / piece).rglob("*") if not f.name.isascii()] == []


@pytest.mark.parametrize(
    ("piece", "source"),
    [
        ("domain", "import engine"),
        ("domain", "from service.settings import Settings"),
        ("domain", "import psycopg"),
        ("domain", "import structlog.stdlib"),
        ("domain", "import random"),
        ("domain", "from time import time"),
        ("domain", "from datetime import datetime\nx = datetime.now()"),
        ("domain", "import datetime as d\nimport datetime\nx = datetime.datetime.utcnow()"),
        ("domain", "x = lambda: __import__('journal')"),
        ("domain", "print('bonjour')"),
        ("domain", "from uuid import uuid4\nx = uuid4()"),
        ("domain", "from datetime import datetime as d\nx = d.now()"),
        ("domain", "import io"),
        ("domain", "import urllib.request"),
        ("domain", "exec('x')"),
        ("engine", "def f():\n    from api import application"),
        ("kiosque", "import engine.recorder"),
        ("guichet", "from api import app"),
        ("consumers", "import projections"),
        ("projections", "from guichet.avis import prendre"),
        ("publication", "from guichet import prendre_avis"),
        ("publication", "import importlib\nimportlib.import_module('api')"),
        ("engine", "import importlib\nimportlib.import_module(name='api')"),
        ("engine", "import importlib\nimportlib.import_module(f'api.{x}')"),
        ("engine", "import importlib\nimportlib.import_module('a' + 'pi')"),
        ("engine", "from importlib import import_module as lire\nlire('api')"),
        ("engine", "import pkgutil\npkgutil.resolve_name('api:x')"),
        ("engine", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from api import x"),
        ("domain", "from eventsourcing.postgres import x"),
        ("api", "import consumers"),
        ("api", "import service"),
        ("service", "from tests.outils import attendre"),
        ("guichet", unicodedata.normalize("NFD", 'x = "PaiementAccepté"')),
    ],
)
def test_une_violation_plantee_est_vue(piece: str, source: str) -> None:
    assert fautes(piece, source, f"{piece}/planté.py") != []


@pytest.mark.parametrize(
    ("piece", "source"),
    [
        (
            "domain",
            "from datetime import datetime\nfrom pydantic import BaseModel\nfrom domain import monnaie",
        ),
        ("domain", "from . import monnaie"),
        ("service", "import api\nimport time\nx = time.time()"),
        ("service", "import importlib\nimportlib.import_module(f'service.cli.{x}')"),
        ("consumers", "from guichet import notification\nfrom kafka import KafkaConsumer"),
    ],
)
def test_ce_qui_est_permis_passe(piece: str, source: str) -> None:
    assert fautes(piece, source, f"{piece}/permis.py") == []
