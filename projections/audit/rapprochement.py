"""Comparer deux côtés qui se lisent dans des ordres différents, en une lecture de chacun et en mémoire bornée.

Ce que dit un côté et ce que montre l'autre s'annulent, compartiment par compartiment, sous une empreinte à clé tirée au
hasard à chaque audit : personne ne peut préparer un écart qui n'y paraîtrait pas. Un compartiment qui ne s'annule pas
est relu, et lui seul : ses différences sont alors nommées, valeur par valeur.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from marshal import dumps
from secrets import token_bytes
from typing import Any, Final, Protocol

COMPARTIMENTS: Final = 1 << 14
"""Par relation ; une clé est toujours du même, quel que soit le côté qui la dit."""

_MASQUE: Final = COMPARTIMENTS - 1

_FORME: Final = 2
"""La forme de `marshal` où deux valeurs égales s'écrivent pareil : ni renvois, ni textes internés."""

RELUS_MAX: Final = 512
"""Compartiments relus par relation, au plus ; les autres sont seulement comptés."""

Cle = Any
Valeurs = tuple[Any, ...]
"""Des textes, entiers, booléens, None, et suites de ceux-là, et rien d'autre : leur forme les compare."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Deux côtés qui doivent dire la même chose, et comment en nommer une différence."""

    nom: str
    champs: tuple[str, ...]
    """Le nom de chaque valeur, et comment la dire (voir `_dire`) : `montant`, `conclu_le@instant`."""
    manque: str
    """La phrase d'une clé que seul le journal dit ; `{cle}` et `{dit}` y sont remplacés."""
    seul: str
    """La phrase d'une clé que seul l'autre côté montre ; `{cle}` et `{vu}` y sont remplacés."""
    flux: Callable[[Any], tuple[str, ...]]
    """Les flux dont parle une clé : si l'un ne se lit pas, il est nommé, et elle n'est pas comparée."""
    excuse: Callable[[Valeurs, Valeurs], bool] = field(default=lambda _dit, _vu: False)
    """Dit si une différence n'en est pas une."""
    autre: str = "le journal dit"
    tue_par: str = ""
    """La relation dont une clé absente tait celles d'ici qui commencent par elle : elle dit déjà tout."""


class Comptes(Protocol):
    """Ce à quoi chaque côté se dit : la première lecture, ou celle qui nomme."""

    def dit(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """Le journal dit ces valeurs."""

    def vu(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """L'autre côté montre ces valeurs."""


class Sommes:
    """La première lecture : chaque compartiment revient à zéro si les deux côtés disent la même chose.

    L'empreinte est le SipHash de Python (64 bits, à clé), d'un texte qui commence par un secret tiré ici : la prévoir
    demanderait de le connaître, même si PYTHONHASHSEED est fixé.
    """

    def __init__(self) -> None:
        """Sous un secret neuf."""
        self._secret = token_bytes(32)
        self._sommes: dict[str, list[int]] = {}

    def _de(self, relation: Relation) -> list[int]:
        return self._sommes.setdefault(relation.nom, [0] * COMPARTIMENTS)

    def dit(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """Le journal dit ces valeurs."""
        sommes = self._sommes.get(relation.nom) or self._de(relation)
        sommes[hash(cle) & _MASQUE] += hash(self._secret + dumps((cle, valeurs), _FORME))

    def vu(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """L'autre côté montre ces valeurs."""
        sommes = self._sommes.get(relation.nom) or self._de(relation)
        sommes[hash(cle) & _MASQUE] -= hash(self._secret + dumps((cle, valeurs), _FORME))

    def en_defaut(self) -> dict[str, list[int]]:
        """Les compartiments qui ne s'annulent pas, par relation."""
        trouves = {nom: [i for i, somme in enumerate(sommes) if somme] for nom, sommes in self._sommes.items()}
        return {nom: compartiments for nom, compartiments in trouves.items() if compartiments}


class Details:
    """La seconde lecture : garde ce qui est dit dans les compartiments en défaut, et en nomme les différences."""

    def __init__(self, en_defaut: dict[str, list[int]]) -> None:
        """Garde au plus `RELUS_MAX` compartiments par relation."""
        self._choisis = {nom: frozenset(liste[:RELUS_MAX]) for nom, liste in en_defaut.items()}
        self.laisses = {nom: len(liste) - RELUS_MAX for nom, liste in en_defaut.items() if len(liste) > RELUS_MAX}
        """Combien de compartiments en défaut n'ont pas été relus."""
        self._gardes: dict[str, dict[Cle, tuple[list[Valeurs], list[Valeurs]]]] = {}
        self._relations: dict[str, Relation] = {}

    def dit(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """Le journal dit ces valeurs."""
        self._garder(relation, cle, valeurs, 0)

    def vu(self, relation: Relation, cle: Cle, valeurs: Valeurs) -> None:
        """L'autre côté montre ces valeurs."""
        self._garder(relation, cle, valeurs, 1)

    def _garder(self, relation: Relation, cle: Cle, valeurs: Valeurs, cote: int) -> None:
        choisis = self._choisis.get(relation.nom)
        if choisis and (hash(cle) & _MASQUE) in choisis:
            self._relations[relation.nom] = relation
            self._gardes.setdefault(relation.nom, {}).setdefault(cle, ([], []))[cote].append(valeurs)

    def phrases(self, incomparable: Callable[[str, str], bool]) -> list[str]:
        """Une phrase par différence ; `incomparable(relation, flux)` dit qu'un flux n'a rien pu dire."""
        phrases: list[str] = []
        for nom, cles in self._gardes.items():
            relation = self._relations[nom]
            absentes = {cle for cle, (_, vus) in self._gardes.get(relation.tue_par, {}).items() if not vus}
            for cle, (dits, vus) in cles.items():
                if isinstance(cle, tuple) and cle[0] in absentes:
                    continue
                if any(incomparable(nom, flux) for flux in relation.flux(_en_texte(cle))):
                    continue
                phrases += _nommer(relation, cle, _sans(dits, vus), _sans(vus, dits))
        return phrases


def _sans(un: list[Valeurs], autre: list[Valeurs]) -> list[Valeurs]:
    """Ce que `un` a de plus qu'`autre`, chaque valeur autant de fois qu'elle y est."""
    reste = list(autre)
    en_plus = []
    for valeurs in un:
        if valeurs in reste:
            reste.remove(valeurs)
        else:
            en_plus.append(valeurs)
    return en_plus


def _nommer(relation: Relation, cle: Cle, dits: list[Valeurs], vus: list[Valeurs]) -> list[str]:
    nom = _de_cle(cle)
    phrases = []
    for dit, vu in zip(dits, vus, strict=False):
        if relation.excuse(dit, vu):
            continue
        for champ, attendu, trouve in zip(relation.champs, dit, vu, strict=False):
            if attendu != trouve:
                quoi, _, forme = champ.partition("@")
                phrases.append(
                    f"{relation.nom} : {nom} {quoi} vaut {_dire(trouve, forme)},"
                    f" {relation.autre} {_dire(attendu, forme)}"
                )
    ensemble = min(len(dits), len(vus))
    phrases += [relation.manque.format(cle=nom, dit=_dire_tout(relation, dit)) for dit in dits[ensemble:]]
    phrases += [relation.seul.format(cle=nom, vu=_dire_tout(relation, vu)) for vu in vus[ensemble:]]
    return phrases


def _en_texte(cle: Cle) -> Cle:
    """La clé dont un flux tire son nom : une colonne vidée n'en donne pas, et n'arrête rien."""
    return tuple(map(str, cle)) if isinstance(cle, tuple) else str(cle)


def _de_cle(cle: Cle) -> str:
    return " ".join(str(partie) for partie in cle) if isinstance(cle, tuple) else str(cle)


def _dire_tout(relation: Relation, valeurs: Valeurs) -> str:
    dites = (
        f"{champ.partition('@')[0]}={_dire(valeur, champ.partition('@')[2])}"
        for champ, valeur in zip(relation.champs, valeurs, strict=False)
    )
    return "(" + ", ".join(dites) + ")"


def _dire(valeur: Any, forme: str) -> str:
    if forme == "instant" and isinstance(valeur, int):
        return instant_en_clair(valeur)
    if forme == "jour" and isinstance(valeur, int):
        return jour_en_clair(valeur)
    return repr(valeur) if isinstance(valeur, str) else str(valeur)


_EPOQUE: Final = datetime(1970, 1, 1, tzinfo=UTC)


def us(instant: datetime | None) -> int | None:
    """Un instant en microsecondes depuis 1970 : la forme sous laquelle l'audit compare ; None s'il manque."""
    if instant is None:
        return None
    ecart = instant - _EPOQUE
    return (ecart.days * 86_400 + ecart.seconds) * 1_000_000 + ecart.microseconds


def instant_en_clair(microsecondes: int) -> str:
    """L'instant, en ISO 8601 ; le nombre tel quel s'il n'est d'aucun calendrier (`infinity`)."""
    try:
        return datetime.fromtimestamp(microsecondes / 1_000_000, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return f"l'instant {microsecondes}"


def jour_en_clair(ordinal: int) -> str:
    """Le jour, `AAAA-MM-JJ` ; le nombre tel quel s'il n'est d'aucun calendrier."""
    try:
        return datetime.fromordinal(ordinal).date().isoformat()
    except (OverflowError, ValueError):
        return f"le jour {ordinal}"
