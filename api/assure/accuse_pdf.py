"""L'accusé de réception en PDF accessible (PDF/UA-1) : une page, balisée, en français, polices incluses."""

import json
from datetime import UTC
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

import typst

from domain.accuse import EXPEDITEUR, OBJET, Accuse

_GABARIT: Final = Path(__file__).parent / "gabarits" / "accuse.typ"
_NORME: Final = "ua-1"
"""typst refuse alors de composer ce qui n'y satisfait pas : un document sans titre ou sans langue, par exemple."""

_UN_A_LA_FOIS: Final = Lock()


def accuse_en_pdf(accuse: Accuse) -> bytes:
    """Le PDF de ce message : toujours les mêmes octets. Bloquant, quelques millisecondes."""
    valeurs = {
        "objet": OBJET,
        "expediteur": EXPEDITEUR,
        "date": accuse.horodatage,
        "echeance": f"{accuse.echeance:%d/%m/%Y}",
        "transaction": accuse.transaction,
        "paragraphes": accuse.paragraphes,
        "signature": accuse.signature,
        "note": accuse.note,
    }
    # Les valeurs sont des données du document, jamais du code : rien de ce qu'elles portent n'est interprété.
    with _UN_A_LA_FOIS:
        octets = _compositeur().compile(
            _gabarit(),
            format="pdf",
            sys_inputs={"accuse": json.dumps(valeurs)},
            pdf_standards=_NORME,
            timestamp=accuse.accepte_le.astimezone(UTC),
        )
    if not isinstance(octets, bytes):
        raise TypeError("typst n'a pas rendu un document")
    return octets


@cache
def _gabarit() -> bytes:
    return _GABARIT.read_bytes()


@cache
def _compositeur() -> typst.Compiler:
    """Un seul compositeur, sur les polices que typst apporte : le rendu ne dépend pas de la machine."""
    return typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False), ignore_system_fonts=True)
