"""Des juges que d'autres ont écrits, construits par Go ; absents, le test est passé et dit pourquoi, jamais en CI."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

FSCK: Final = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
LITEWITNESS: Final = "filippo.io/torchwood/cmd/litewitness@v0.6.1"
PREUVE: Final = "./juge"
"""Le nôtre, de quelques lignes : il juge une preuve par les bibliothèques de Go seules (tests/preuve/juge)."""
CONSTRUIRE_S: Final = 600
"""Deux minutes de calcul, ses modules à chercher d'abord, sur une machine qui fait autre chose."""


@functools.cache
def _construit(module: str, secondes: float) -> str:
    """Le chemin du juge, ou ce qui manque."""
    if shutil.which("go") is None:
        return "il manque Go (Debian : apt-get install golang-go)"
    dossier = tempfile.mkdtemp(prefix="juges-")
    entourage = os.environ | {"GOBIN": dossier, "GOFLAGS": "-buildvcs=false"}
    ici = module.startswith(".")
    try:
        fini = subprocess.run(
            ["go", "install", "." if ici else module],  # noqa: S607
            env=entourage,
            cwd=Path(__file__).parent / module if ici else dossier,
            capture_output=True,
            text=True,
            timeout=secondes,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{module} ne se construit pas en {secondes:g} s"
    construit = Path(dossier) / module.partition("@")[0].rpartition("/")[2]
    return str(construit) if construit.exists() else f"{module} ne se construit pas : {fini.stderr[-400:]}"


def juge(module: str, secondes: float = CONSTRUIRE_S) -> str:
    """Le chemin du programme de ce juge, construit en `secondes` ; sans lui, le test est passé, et échoue en CI."""
    trouve = _construit(module, secondes)
    if Path(trouve).is_absolute():
        return trouve
    if os.environ.get("CI"):
        pytest.fail(trouve)
    pytest.skip(trouve)
