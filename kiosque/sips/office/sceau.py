"""Le sceau de Sips Office JSON : HMAC-SHA-256 des seules valeurs, rangées par nom de champ, sous le secret en texte.

`seal`, `keyVersion` et `sealAlgorithm` n'y entrent pas. Un objet est rangé à l'intérieur, à sa place ; une liste garde
son ordre ; une valeur absente est passée.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from kiosque.interface import FormulaireIllisible

Json: TypeAlias = "str | bool | Sequence[Json] | Mapping[str, Json] | None"
"""Une valeur JSON dont les nombres sont restés le texte que la banque a écrit."""

HORS_SCEAU: Final = frozenset({"seal", "keyVersion", "sealAlgorithm"})


def a_sceller(message: Mapping[str, Json], *, sans_casse: bool = False) -> str:
    """Le texte que le sceau couvre ; `sans_casse` range les noms comme le kit Java, les autres suivant l'ASCII."""
    return _objet({nom: valeur for nom, valeur in message.items() if nom not in HORS_SCEAU}, sans_casse=sans_casse)


def sceller_json(message: Mapping[str, Json], secret: bytes, *, sans_casse: bool = False) -> str:
    """Le sceau d'un message : 64 chiffres hexadécimaux minuscules."""
    return hmac.digest(secret, a_sceller(message, sans_casse=sans_casse).encode(), "sha256").hex()


def sceau_tient(message: Mapping[str, Json], sceau: str, secrets: Sequence[bytes]) -> bool:
    """Dit si le sceau est celui du message sous l'un des secrets, noms rangés suivant l'ASCII, sinon sans la casse."""
    if not sceau.isascii():
        return False
    return any(
        hmac.compare_digest(sceller_json(message, secret, sans_casse=sans_casse), sceau)
        for sans_casse in (False, True)
        for secret in secrets
    )


def ecrire_json(message: Mapping[str, Json]) -> bytes:
    """Les octets à envoyer : un accent y est de l'UTF-8, jamais un échappement (règle du dictionnaire de Sips)."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def lire_json(corps: bytes | str) -> dict[str, Json]:
    """L'objet JSON, ses nombres en texte ; lève `FormulaireIllisible` (autre chose, clé répétée, trop profond)."""
    try:
        texte = corps.decode("utf-8") if isinstance(corps, bytes) else corps
        lu = json.loads(
            texte, parse_int=str, parse_float=str, parse_constant=_refuser, object_pairs_hook=_sans_repetition
        )
        # Un demi-caractère (`\ud800` seul) n'a pas d'octets : ni sceau, ni message du topic ne pourrait le porter.
        json.dumps(lu, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise FormulaireIllisible("la réponse n'est pas un objet JSON en UTF-8") from None
    if not isinstance(lu, dict) or _profondeur(lu) > PROFONDEUR_MAX:
        raise FormulaireIllisible("la réponse n'est pas un objet JSON simple")
    return lu


PROFONDEUR_MAX: Final = 8
"""Objets et listes emboîtés, au plus ; les réponses d'Office en emboîtent deux."""


def _profondeur(valeur: Json) -> int:
    """La profondeur, comptée sans récursion et pas au-delà de ce qui se refuse."""
    niveau, profondeur = [valeur], 0
    while niveau and profondeur <= PROFONDEUR_MAX:
        suivants: list[Json] = []
        for element in niveau:
            if isinstance(element, Mapping):
                suivants += element.values()
            elif isinstance(element, Sequence) and not isinstance(element, str):
                suivants += element
        niveau, profondeur = suivants, profondeur + 1
    return profondeur


def _objet(valeurs: Mapping[str, Json], *, sans_casse: bool) -> str:
    noms = sorted(valeurs, key=lambda nom: (nom.lower(), nom) if sans_casse else (nom, nom))
    return "".join(_valeur(valeurs[nom], sans_casse=sans_casse) for nom in noms)


def _valeur(valeur: Json, *, sans_casse: bool) -> str:
    match valeur:
        case None:
            return ""
        case bool():
            return "true" if valeur else "false"
        case str():
            return valeur
        case Mapping():
            return _objet(valeur, sans_casse=sans_casse)
        case _:
            return "".join(_valeur(element, sans_casse=sans_casse) for element in valeur)


def _sans_repetition(paires: list[tuple[str, Json]]) -> dict[str, Json]:
    lues = dict(paires)
    if len(lues) != len(paires):
        raise ValueError("une clé est répétée")
    return lues


def _refuser(constante: str) -> Json:
    raise ValueError(constante)
