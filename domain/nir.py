"""Le NIR (numéro de sécurité sociale) : reconnu pour être refusé, car aucun événement ne doit en porter."""

import re
import unicodedata
from typing import Final

_PARTIES: Final = ("[12]", "[0-9]{2}", "(?:0[1-9]|1[0-2]|[2-9][0-9])", "(?:[0-9]{2}|2[AB])", "[0-9]{3}", "[0-9]{3}")
"""Le sexe, l'année, le mois, le département, la commune, l'ordre ; la clé, de deux chiffres, manque parfois."""

_ENTRE: Final = r"[\s.,/_\-\u00ad\u00b7\u200b-\u200d\u2010-\u2015\u2060\ufeff]{0,3}"
"""Ce que l'on met entre elles, ou qu'un texte collé y apporte sans que rien ne s'en voie."""


def _motif(entre: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9]){entre.join(_PARTIES)}(?:{entre}[0-9]{{2}})?(?![0-9])")


_CONTENU: Final = _motif("")
_PONCTUE: Final = _motif(_ENTRE)

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
    # Ponctué à sa façon, un nombre devant lui ne le cache pas ; ponctué autrement, ses chiffres se suivent.
    return bool(_PONCTUE.search(texte.upper()) or _CONTENU.search(_PONCTUATION.sub("", texte).upper()))
