"""Les versions publiées d'un événement, le temps que l'ancienne et la nouvelle vivent côte à côte.

Un même message satisfait alors les deux schémas : il garde le `ce_type` de l'ancienne, porte les clés des deux, et
nomme la nouvelle dans `ce_successeur`. Deux messages pour un fait auraient le même `ce_id`, et chaque consommateur en
ignorerait un. Une clé ne change donc jamais de sens : un contenu nouveau prend une clé nouvelle.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from domain.creance import Créance


class Ancienne(NamedTuple):
    """Une version qui se publie encore à côté de la suivante."""

    version: str
    cles: Mapping[str, str]
    """Chaque clé qu'elle seule a, et celle qui porte la même valeur dans la suivante."""
    fin: date
    """Le jour où elle ne sera plus publiée : douze mois au moins après l'annonce."""


ANCIENNES: Final[Mapping[type[BaseModel], Ancienne]] = {
    # `date` porte le nom de son type : une classe écrite d'après lui se cache son propre type.
    Créance.EncaissementReçu: Ancienne("v1", {"date": "encaisse_le"}, date(2027, 12, 31)),
}
"""Les événements qui ont changé ; une fois la fin passée, leur ligne s'en va avec le schéma de l'ancienne version."""

_COURANTES: Final[Mapping[type[BaseModel], str]] = {Créance.EncaissementReçu: "v2"}
"""Les événements dont la version courante n'est pas la première."""


def versions(classe: type[BaseModel]) -> tuple[str, ...]:
    """Les versions qui se publient, de la plus ancienne à la courante."""
    courante = _COURANTES.get(classe, "v1")
    ancienne = ANCIENNES.get(classe)
    return (courante,) if ancienne is None else (ancienne.version, courante)


def avec_anciennes(classe: type[BaseModel], donnees: dict[str, Any]) -> dict[str, Any]:
    """Ces données, avec les clés qu'une version encore publiée attend."""
    ancienne = ANCIENNES.get(classe)
    if ancienne is None:
        return donnees
    return donnees | {cle: donnees[suivante] for cle, suivante in ancienne.cles.items()}
