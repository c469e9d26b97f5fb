"""Le NIR (numéro de sécurité sociale) : reconnu pour être refusé, car aucun événement ne doit en porter."""

import re
import unicodedata
from typing import Final

_NIR: Final = re.compile(r"([12][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{6})([0-9]{2})")
_CONTENU: Final = re.compile(
    r"(?<![0-9])[12][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{6}(?:[0-9]{2})?(?![0-9])"
)
NIR_SIGNES: Final = 15
"""Le NIR et sa clé, sans ponctuation : rien de plus court ne peut en être un."""

CORPS_SIGNES: Final = 13
"""Le NIR sans sa clé."""

_PONCTUATION: Final = re.compile(r"[\s._-]")
_CORSE: Final = {"2A": "19", "2B": "18"}


def est_un_nir(texte: str) -> bool:
    """Dit si le texte est un NIR avec sa clé juste (97 − n mod 97 ; 2A vaut 19 et 2B vaut 18), ponctué ou non."""
    if len(texte) < NIR_SIGNES:
        return False
    lu = _NIR.fullmatch(_PONCTUATION.sub("", texte).upper())
    if lu is None:
        return False
    corps, cle = lu.groups()
    departement = corps[5:7]
    nombre = int(corps[:5] + _CORSE.get(departement, departement) + corps[7:])
    return int(cle) == 97 - nombre % 97


def contient_un_nir(texte: str) -> bool:
    """Dit si le texte est ou contient un NIR, avec ou sans sa clé, juste ou non, ponctué ou non.

    Seule une suite entière de 13 ou 15 chiffres compte : un identifiant plus long n'est pas un NIR parce qu'une part
    de ses chiffres en a la forme.
    """
    if not texte.isascii():
        texte = unicodedata.normalize("NFKC", texte)  # Les chiffres pleine chasse se lisent comme les autres.
    if len(texte) < CORPS_SIGNES:  # Le plus souvent : chaque avis relu passe par ici.
        return False
    return any(_CONTENU.search(forme) for forme in (texte.upper(), _PONCTUATION.sub("", texte).upper()))
