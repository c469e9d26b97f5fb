"""Ce que la banque dit deux fois dans ses rapports : la même ligne, dont une fois une case manque.

Absent n'est pas différent : deux lignes dont rien de présent ne diffère sont la même, redite. Ce qui en est compté ne
dépend ni de leur ordre, ni du nombre de fois où elles sont dites.
Et ce qu'elle corrige : la même opération, dite autrement par un rapport plus tardif, remplace ce que les précédents en
disaient (docs/adr/0059). Un rapport plus tardif est celui que la banque a fait plus tard, dans quelque ordre qu'ils
soient lus ; ce que disent deux rapports du même instant se départage par sa première lecture.
Minuit juste, à Paris, est un jour dont l'heure est absente (`domain.delai.precede`).
"""

from collections.abc import Iterable
from datetime import datetime, time
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from domain.autorisation import meme_forme
from domain.delai import PARIS, jour_de_paris

TRANSACTIONS: Final = "transactions"
"""Le genre dont l'instant ne distingue rien : une transaction n'y est qu'une fois, datée plus ou moins finement."""

_Facultatifs: TypeAlias = tuple[str | int | datetime | None, ...]


class Dite(NamedTuple):
    """Une ligne de la banque ; ses champs portent les noms des colonnes de `journal.lignes_de_rapport`.

    Et `genere_le`, celui de `journal.rapports` : l'instant où la banque a fait le rapport qui la porte.
    """

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
    rapport: int
    genere_le: datetime

    @property
    def tour(self) -> tuple[datetime, int]:
        """Ce qui range les rapports du plus ancien au plus tardif."""
        return self.genere_le, self.rapport


class Affirmee(NamedTuple):
    """Ce que la banque affirme une fois, et les rangs des lignes qui le disent, parmi celles données."""

    dite: Dite
    """Sous le dernier rapport qui le dit ; de plusieurs du même instant, le premier lu."""
    rangs: tuple[int, ...]
    rapports: frozenset[int]


class Retenues(NamedTuple):
    """Ce que la banque affirme, et ce qu'elle a remplacé depuis."""

    affirmees: list[Affirmee]
    remplacees: list[Affirmee]


def affirmees(dites: Iterable[Dite]) -> list[Affirmee]:
    """Ce que ces lignes affirment, chaque chose une fois, complétée de tout ce qu'une redite en précise."""
    return retenir(dites).affirmees


def retenir(dites: Iterable[Dite]) -> Retenues:
    """Ce que ces lignes affirment, et ce que d'autres, de rapports plus tardifs, y remplacent."""
    possibles: dict[tuple[object, ...], list[tuple[int, Dite]]] = {}
    for rang, dite in enumerate(dites):
        jour = None if dite.genre == TRANSACTIONS else jour_de_paris(dite.survenu_le)
        possibles.setdefault((dite.genre, dite.transaction, dite.montant, jour), []).append((rang, dite))
    toutes = [affirmee for ensemble in possibles.values() for affirmee in _separer(ensemble)]
    retenues = Retenues([], [])
    for ensemble in _par_transaction(toutes):
        _corriger(ensemble, retenues)
    return retenues


def _par_transaction(toutes: list[Affirmee]) -> Iterable[list[Affirmee]]:
    ensembles: dict[tuple[str, str], list[Affirmee]] = {}
    for affirmee in toutes:
        ensembles.setdefault((affirmee.dite.genre, affirmee.dite.transaction), []).append(affirmee)
    return ensembles.values()


class _Operation(NamedTuple):
    """Une opération de la banque : ce qu'elle en dit en dernier, et tout ce qui la nomme depuis qu'elle en parle."""

    nommee: Dite
    rapports: frozenset[int]
    derniere: Affirmee


def _corriger(ensemble: list[Affirmee], retenues: Retenues) -> None:
    """Range dans `retenues` ce qui reste dit d'une transaction, rapport après rapport.

    Une ligne corrige une opération au plus : celle qui pourrait en corriger deux ne fait pas oublier l'autre.
    """
    if len(ensemble) == 1:
        retenues.affirmees.append(ensemble[0])
        return
    operations: list[_Operation] = []
    ensemble = sorted(ensemble, key=lambda affirmee: (affirmee.dite.tour, _ordre(affirmee.dite)))
    for _, du_tour in groupby(ensemble, key=lambda affirmee: affirmee.dite.tour):
        anciennes = list(operations)
        for affirmee in du_tour:
            possibles = [operation for operation in anciennes if _meme_operation(operation, affirmee)]
            if not possibles:
                operations.append(_Operation(affirmee.dite, affirmee.rapports, affirmee))
                continue
            corrigee = min(possibles, key=lambda operation: _proximite(operation, affirmee))
            anciennes.remove(corrigee)
            operations[operations.index(corrigee)] = _Operation(
                _nommer(corrigee.nommee, affirmee.dite), corrigee.rapports | affirmee.rapports, affirmee
            )
            retenues.remplacees.append(corrigee.derniere)
    retenues.affirmees.extend(operation.derniere for operation in operations)


def _proximite(operation: _Operation, affirmee: Affirmee) -> tuple[object, ...]:
    """De plusieurs opérations possibles, celle que la ligne nomme ; sinon la moindre : l'argent qui reste se voit."""
    a, b = operation.nommee, affirmee.dite
    return (
        not _meme_numero(a, b),
        _bouge(operation.derniere.dite) != _bouge(b),
        a.survenu_le != b.survenu_le,
        operation.derniere.dite.montant,
    )


def _nommer(avant: Dite, apres: Dite) -> Dite:
    """Ce qui nomme l'opération : ce que sa correction omet reste su d'elle."""
    return apres._replace(
        survenu_le=avant.survenu_le if _sans_heure(apres.survenu_le) else apres.survenu_le,
        marchand=apres.marchand or avant.marchand,
        operation=apres.operation or avant.operation,
        sequence=apres.sequence or avant.sequence,
        autorisation=apres.autorisation or avant.autorisation,
    )


def _meme_operation(operation: _Operation, autre: Affirmee) -> bool:
    """Dit si une affirmation d'un rapport plus tardif parle de cette opération, autrement : elle la corrige.

    Un numéro présent des deux côtés la nomme : l'autorisation d'une transaction, le rang d'une opération. Sans lui il y
    faut la même heure (absente, le même jour), et que nul rapport ne dise les deux : il n'en corrigerait aucune. Un
    jour sans heure ne suffit pas à dire que de l'argent pris ne l'a pas été.
    """
    a, b = operation.nommee, autre.dite
    autorisations = meme_forme(a.autorisation), meme_forme(b.autorisation)
    if not _compatibles(
        (a.marchand, a.operation, a.sequence, autorisations[0]), (b.marchand, b.operation, b.sequence, autorisations[1])
    ):
        return False
    if None not in _numeros(a, b):
        return a.genre == TRANSACTIONS or jour_de_paris(a.survenu_le) == jour_de_paris(b.survenu_le)
    if _bouge(operation.derniere.dite) != _bouge(b) and (a.survenu_le != b.survenu_le or _sans_heure(a.survenu_le)):
        return False
    return _meme_heure(a.survenu_le, b.survenu_le) and operation.rapports.isdisjoint(autre.rapports)


def _numeros(a: Dite, b: Dite) -> tuple[str | None, str | None]:
    if a.genre == TRANSACTIONS:
        return meme_forme(a.autorisation), meme_forme(b.autorisation)
    return a.sequence, b.sequence


def _meme_numero(a: Dite, b: Dite) -> bool:
    un, autre = _numeros(a, b)
    return un is not None and un == autre


def _bouge(dite: Dite) -> bool:
    """Dit si de l'argent y bouge."""
    return bool(dite.pris or dite.rendu)


def _meme_heure(un: datetime, autre: datetime) -> bool:
    if un == autre:
        return True
    return _sans_heure(un) != _sans_heure(autre) and jour_de_paris(un) == jour_de_paris(autre)


def _sans_heure(instant: datetime) -> bool:
    return instant.astimezone(PARIS).time() == time()


def _separer(ensemble: list[tuple[int, Dite]]) -> list[Affirmee]:
    """Sépare les lignes dont une case présente diffère, des plus complètes aux moins : l'ordre reçu n'y change rien."""
    if len(ensemble) == 1:
        rang, dite = ensemble[0]
        return [Affirmee(dite, (rang,), frozenset({dite.rapport}))]
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
    # Une copie du même instant n'en fait pas une parole plus tardive.
    derniere = max(dites, key=lambda dite: (dite.genere_le, -dite.rapport))
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
        rapport=derniere.rapport,
        genere_le=derniere.genere_le,
    )
    return Affirmee(complete, tuple(rang for rang, _ in membres), frozenset(dite.rapport for dite in dites))


def _facultatifs(dite: Dite) -> _Facultatifs:
    autorisation = meme_forme(dite.autorisation)
    return (dite.marchand, dite.operation, dite.sequence, dite.frais, dite.code, autorisation, _heure(dite))


def _heure(dite: Dite) -> datetime | None:
    """L'instant qui distingue cette ligne, s'il a une heure."""
    return None if dite.genre == TRANSACTIONS or _sans_heure(dite.survenu_le) else dite.survenu_le


def _ordre(dite: Dite) -> tuple[int, tuple[tuple[bool, str | int | datetime], ...], datetime]:
    facultatifs = _facultatifs(dite)
    cases = tuple((valeur is None, "" if valeur is None else valeur) for valeur in facultatifs)
    return sum(valeur is None for valeur in facultatifs), cases, dite.survenu_le


def _compatibles(une: _Facultatifs, autre: _Facultatifs) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(une, autre, strict=True))


def _completer(une: _Facultatifs, autre: _Facultatifs) -> _Facultatifs:
    return tuple(b if a is None else a for a, b in zip(une, autre, strict=True))
