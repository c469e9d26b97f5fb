"""Le NIR (numéro de sécurité sociale) et le NIA, qui l'attend : reconnus pour être refusés, ou masqués.

Aucun événement ne doit en porter. Le NIA d'une personne en cours d'immatriculation a la même forme, sous un premier
chiffre à lui (3, 4, 7 ou 8), et devient souvent son NIR : il se traite comme lui.
"""

import re
import unicodedata
from typing import Final

_PARTIES: Final = ("[0-9]{2}", "(?:0[1-9]|1[0-2]|[2-9][0-9])", "(?:[0-9]{2}|2[AB])", "[0-9]{3}", "[0-9]{3}")
"""L'année, le mois, le département, la commune, l'ordre ; la clé, de deux chiffres, manque parfois."""

_DEFINITIF: Final = "[12]"
_TOUT: Final = "[1-478]"
"""Le premier chiffre : celui d'un NIR, celui d'un NIR ou d'un NIA."""

_ENTRE: Final = r"(?:[\s.,/_\-+:;|()\u00b7\u2010-\u2015]|%20|%c2%a0|&nbsp;){0,3}"
"""Ce que l'on met entre elles, ou ce qu'une adresse et une page écrivent à la place d'un blanc."""

_INVISIBLES: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Ce qu'un texte collé apporte, n'importe où, sans que rien ne s'en voie (Unicode : Default_Ignorable_Code_Point)."""


def _motif(premier: str, entre: str) -> re.Pattern[str]:
    corps = entre.join((premier, *_PARTIES))
    return re.compile(rf"(?<![0-9]){corps}(?:{entre}[0-9]{{2}})?(?![0-9])", re.IGNORECASE)


_CONTENU: Final = {premier: _motif(premier, "") for premier in (_DEFINITIF, _TOUT)}
_PONCTUE: Final = {premier: _motif(premier, _ENTRE) for premier in (_DEFINITIF, _TOUT)}

SIGNES_MIN: Final = 13
"""Le NIR sans sa clé ni ponctuation : rien de plus court ne peut en contenir un."""

_PONCTUATION: Final = re.compile(r"[\s._\-\u2010-\u2015]+")
_SUITE: Final = re.compile(r"[0-9](?:[\s._\-\u2010-\u2015]*(?:[0-9]|(?<=2)[AB]))+", re.IGNORECASE)
"""Des chiffres qui se suivent, leur ponctuation ôtée : tout ce que `_CONTENU` pourrait y lire."""

_CHIFFRE: Final = re.compile(r"\d")

_HEXA: Final = "[0-9a-f]"
_OPAQUE: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_HEXA}{{8}}-(?:{_HEXA}{{4}}-){{3}}{_HEXA}{{12}}|{_HEXA}{{32}}|{_HEXA}{{40}}|{_HEXA}{{64}})"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_LETTRES_MIN: Final = 3
"""Lettres différentes, au moins, de ce que le hasard ou une empreinte a tiré ; un NIR rempli d'un signe en a deux (2A).

À quatre, un UUID honnête sur mille était refusé ; à trois, un sur dix mille.
"""


def contient_un_nir(texte: str) -> bool:
    """Dit si le texte est ou contient un NIR ou un NIA, avec ou sans sa clé, juste ou non, ponctué ou non.

    Seule une suite entière de 13 ou 15 chiffres compte : un identifiant plus long n'est pas un NIR parce qu'une part
    de ses chiffres en a la forme. De même, un UUID ou une empreinte n'en est pas un par hasard.
    """
    return _contient(texte, _TOUT)


def contient_un_nir_definitif(texte: str) -> bool:
    """La même question sans les NIA : ce qui est inscrit depuis longtemps doit pouvoir se relire."""
    return _contient(texte, _DEFINITIF)


def masquer_les_nir(texte: str, masque: str) -> str:
    """Le texte, `masque` à la place de ce que `contient_un_nir` y reconnaît ; tel quel s'il n'y a rien."""
    if not contient_un_nir(texte):
        return texte
    gardes: list[str] = []

    def garder(trouve: re.Match[str]) -> str:
        if not _est_tire(trouve[0]):
            return trouve[0]
        gardes.append(trouve[0])
        return "\0"

    reste = _OPAQUE.sub(garder, _lisible(texte))
    reste = _PONCTUE[_TOUT].sub(masque, reste)
    reste = _SUITE.sub(lambda suite: masque if _CONTENU[_TOUT].search(_serrer(suite[0])) else suite[0], reste)
    return re.sub("\0", lambda _: gardes.pop(0), reste)


def _contient(texte: str, premier: str) -> bool:
    if len(texte) < SIGNES_MIN and texte.isascii():  # Le plus souvent : chaque avis relu passe par ici.
        return False
    texte = _lisible(texte)
    # Ponctué à sa façon, un nombre devant lui ne le cache pas ; ponctué autrement, ses chiffres se suivent.
    if not (_PONCTUE[premier].search(texte) or _CONTENU[premier].search(_serrer(texte))):
        return False
    reste = _OPAQUE.sub(lambda trouve: "\0" if _est_tire(trouve[0]) else trouve[0], texte)
    return bool(_PONCTUE[premier].search(reste) or _CONTENU[premier].search(_serrer(reste)))


def _lisible(texte: str) -> str:
    # Les chiffres d'ailleurs se lisent comme les autres ; le zéro binaire tient lieu de ce qui est mis de côté.
    if not texte.isascii():
        texte = _INVISIBLES.sub("", unicodedata.normalize("NFKC", texte))
        texte = _CHIFFRE.sub(lambda chiffre: str(unicodedata.decimal(chiffre[0])), texte)
    return texte.replace("\0", " ")


def _serrer(texte: str) -> str:
    return _PONCTUATION.sub("", texte)


def _est_tire(mot: str) -> bool:
    return len(set(mot.lower()) & set("abcdef")) >= _LETTRES_MIN
