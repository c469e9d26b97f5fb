"""Le NIR (numéro de sécurité sociale) : reconnu pour être refusé, car aucun événement ne doit en porter."""

import re
import unicodedata
from typing import Final

_CONTENU: Final = re.compile(
    r"(?<![0-9])[12][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{6}(?:[0-9]{2})?(?![0-9])"
)

SIGNES_MIN: Final = 13
"""Le NIR sans sa clé ni ponctuation : rien de plus court ne peut en contenir un."""

_PONCTUATION: Final = re.compile(r"[\s._-]")


def contient_un_nir(texte: str) -> bool:
    """Dit si le texte est ou contient un NIR, avec ou sans sa clé, juste ou non, ponctué ou non.

    Seule une suite entière de 13 ou 15 chiffres compte : un identifiant plus long n'est pas un NIR parce qu'une part
    de ses chiffres en a la forme.
    """
    if not texte.isascii():
        texte = unicodedata.normalize("NFKC", texte)  # Les chiffres pleine chasse se lisent comme les autres.
    if len(texte) < SIGNES_MIN:  # Le plus souvent : chaque avis relu passe par ici.
        return False
    return any(_CONTENU.search(forme) for forme in (texte.upper(), _PONCTUATION.sub("", texte).upper()))
