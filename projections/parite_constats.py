"""Ce que la parité trouve, et comment elle le dit."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.shadow import Difference, Rows
from projections.parite_accords import Accord


class Constat(NamedTuple):
    """Une ligne qui ne dit pas ce que dit le journal."""

    cle: str
    """La table et la clé, en un nom."""
    flux: str
    genre: str
    """manque, en_trop, autre ou irrejouable."""
    position: int | None
    phrase: str


class Tranche(NamedTuple):
    """Ce qu'une tranche a comparé."""

    depuis: str
    jusqu_a: str
    """Le dernier flux comparé, compris."""
    finie: bool
    """La table est comparée jusqu'au bout."""
    lignes: int
    combien: int
    """Lignes qui diffèrent."""
    constats: list[Constat]
    """Les premières d'entre elles."""
    accord: Accord | None = None
    """Ce qui s'y dit comme au journal ; None : rien n'en est tenu pour acquis."""


def differe(une: dict[str, Any] | None, autre: dict[str, Any] | None, colonnes: Sequence[str]) -> bool:
    """Dit si deux lignes diffèrent dans ces colonnes."""
    if une is None or autre is None:
        return une is not autre
    return any(une.get(colonne) != autre.get(colonne) for colonne in colonnes)


def colonnes(une: Difference, comparees: Sequence[str], types: dict[str, str]) -> str:
    """Les colonnes qui diffèrent ; leurs valeurs si elles ne disent rien d'une personne."""
    dites = []
    for colonne in comparees:
        vue, journal = (une.right or {}).get(colonne), (une.left or {}).get(colonne)
        if vue != journal:
            chiffre = types[colonne] in {"bigint", "boolean", "integer"}
            dites.append(f"{colonne} (la vue dit {vue}, le journal {journal})" if chiffre else colonne)
    return "la vue ne dit pas ce que dit le journal : " + ", ".join(dites)


def cle_dite(lignes: Rows, cle: str) -> str:
    """La table et la clé, en un nom."""
    return f"{lignes.table}-{cle.replace(',', '_')}"
