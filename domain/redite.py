"""Ce que la banque dit deux fois dans ses rapports : la même ligne, dont une fois une case manque.

Absent n'est pas différent : deux lignes dont rien de présent ne diffère sont la même, redite. Ce qui en est compté ne
dépend ni de leur ordre, ni des rapports qui les portent, ni du nombre de fois où elles sont dites.
Minuit juste, à Paris, est un jour dont l'heure est absente (`domain.delai.precede`).
"""

from collections.abc import Iterable
from datetime import datetime, time
from typing import Final, NamedTuple, TypeAlias

from domain.autorisation import meme_forme
from domain.delai import PARIS, jour_de_paris

TRANSACTIONS: Final = "transactions"
"""Le genre dont l'instant ne distingue rien : une transaction n'y est qu'une fois, datée plus ou moins finement."""

_Facultatifs: TypeAlias = tuple[str | int | datetime | None, ...]


class Dite(NamedTuple):
    """Une ligne de la banque ; ses champs portent les noms des colonnes de `journal.lignes_de_rapport`."""

    genre: str
    transaction: str
    survenu_le: datetime
    montant: int
    marchand: str | None
    operation: str | None
    sequence: str | None
    frais: int | None
    code: str | None
    autorisation: str | None
    pris: int
    rendu: int


class Affirmee(NamedTuple):
    """Ce que la banque affirme une fois, et les rangs des lignes qui le disent, parmi celles données."""

    dite: Dite
    rangs: tuple[int, ...]


def affirmees(dites: Iterable[Dite]) -> list[Affirmee]:
    """Ce que ces lignes affirment, chaque chose une fois, complétée de tout ce qu'une redite en précise."""
    possibles: dict[tuple[object, ...], list[tuple[int, Dite]]] = {}
    for rang, dite in enumerate(dites):
        jour = None if dite.genre == TRANSACTIONS else jour_de_paris(dite.survenu_le)
        possibles.setdefault((dite.genre, dite.transaction, dite.montant, jour), []).append((rang, dite))
    return [affirmee for ensemble in possibles.values() for affirmee in _separer(ensemble)]


def _separer(ensemble: list[tuple[int, Dite]]) -> list[Affirmee]:
    """Sépare les lignes dont une case présente diffère, des plus complètes aux moins : l'ordre reçu n'y change rien."""
    if len(ensemble) == 1:
        rang, dite = ensemble[0]
        return [Affirmee(dite, (rang,))]
    groupes: list[tuple[_Facultatifs, list[tuple[int, Dite]]]] = []
    for rang, dite in sorted(ensemble, key=lambda portee: _ordre(portee[1])):
        facultatifs = _facultatifs(dite)
        for place, (connus, membres) in enumerate(groupes):
            if _compatibles(connus, facultatifs):
                groupes[place] = (_completer(connus, facultatifs), [*membres, (rang, dite)])
                break
        else:
            groupes.append((facultatifs, [(rang, dite)]))
    return [_affirmee(membres) for _, membres in groupes]


def _affirmee(membres: list[tuple[int, Dite]]) -> Affirmee:
    """La plus complète, ses cases absentes prises aux autres ; son argent, de celle qui nomme l'opération."""
    dites = [dite for _, dite in membres]
    nommee = next((dite for dite in dites if dite.operation is not None), dites[0])
    complete = dites[0]._replace(
        survenu_le=next((dite.survenu_le for dite in dites if _heure(dite) is not None), dites[0].survenu_le),
        marchand=next((dite.marchand for dite in dites if dite.marchand is not None), None),
        operation=nommee.operation,
        sequence=next((dite.sequence for dite in dites if dite.sequence is not None), None),
        frais=next((dite.frais for dite in dites if dite.frais is not None), None),
        code=next((dite.code for dite in dites if dite.code is not None), None),
        autorisation=next((dite.autorisation for dite in dites if dite.autorisation is not None), None),
        pris=nommee.pris,
        rendu=nommee.rendu,
    )
    return Affirmee(complete, tuple(rang for rang, _ in membres))


def _facultatifs(dite: Dite) -> _Facultatifs:
    autorisation = meme_forme(dite.autorisation)
    return (dite.marchand, dite.operation, dite.sequence, dite.frais, dite.code, autorisation, _heure(dite))


def _heure(dite: Dite) -> datetime | None:
    """L'instant qui distingue cette ligne, s'il a une heure."""
    sans_heure = dite.genre == TRANSACTIONS or dite.survenu_le.astimezone(PARIS).time() == time()
    return None if sans_heure else dite.survenu_le


def _ordre(dite: Dite) -> tuple[int, tuple[tuple[bool, str | int | datetime], ...], datetime]:
    facultatifs = _facultatifs(dite)
    cases = tuple((valeur is None, "" if valeur is None else valeur) for valeur in facultatifs)
    return sum(valeur is None for valeur in facultatifs), cases, dite.survenu_le


def _compatibles(une: _Facultatifs, autre: _Facultatifs) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(une, autre, strict=True))


def _completer(une: _Facultatifs, autre: _Facultatifs) -> _Facultatifs:
    return tuple(b if a is None else a for a, b in zip(une, autre, strict=True))
