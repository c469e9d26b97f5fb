"""Les relevés d'un mois : le retard de chaque rôle et l'horloge des 24 h, une ligne par minute, sans Prometheus."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb

from engine.instants import age_s

GARDE: Final = timedelta(days=31)
"""Au-delà, un relevé est effacé : la table ne grandit plus."""

PAS: Final = timedelta(minutes=1)

_NOTER_RETARDS: Final = """
INSERT INTO vues.releves_de_retard (role, releve_le, evenements, secondes)
SELECT role, %s, evenements, secondes
FROM unnest(%s::text[], %s::int8[], %s::float8[]) AS r (role, evenements, secondes)
ON CONFLICT (role, releve_le) DO UPDATE SET evenements = excluded.evenements, secondes = excluded.secondes
"""

_NOTER_HORLOGE: Final = """
INSERT INTO vues.releves_de_l_horloge (releve_le, affiches, en_attente, plus_ancien_secondes, depasses,
                                       depasses_affiches, presumes, par_caisse)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (releve_le) DO NOTHING
"""

_PURGER: Final = (
    "DELETE FROM vues.releves_de_retard WHERE releve_le < %s",
    "DELETE FROM vues.releves_de_l_horloge WHERE releve_le < %s",
)

# Le pire de chaque intervalle, par rôle.
_RETARDS: Final = """
SELECT role, date_bin(%s::interval, releve_le, 'epoch') AS le, max(evenements), max(secondes)
FROM vues.releves_de_retard WHERE releve_le > %s GROUP BY role, le ORDER BY role, le
"""

# Le pire de chaque intervalle.
_HORLOGE: Final = """
SELECT date_bin(%s::interval, releve_le, 'epoch') AS le, max(affiches), max(en_attente), max(plus_ancien_secondes),
       max(depasses), max(depasses_affiches), max(presumes)
FROM vues.releves_de_l_horloge WHERE releve_le > %s GROUP BY le ORDER BY le
"""

_DERNIER: Final = f"""
SELECT releve_le, affiches, en_attente, plus_ancien_secondes, depasses, depasses_affiches, presumes, par_caisse,
       {age_s("releve_le")}
FROM vues.releves_de_l_horloge ORDER BY releve_le DESC LIMIT 1
"""  # noqa: S608


class PointDeRetard(NamedTuple):
    """Le retard d'un rôle dans un intervalle, au pire."""

    le: datetime
    evenements: int
    secondes: float


class PointDHorloge(NamedTuple):
    """L'horloge dans un intervalle, au pire."""

    le: datetime
    affiches: int
    en_attente: int
    plus_ancien_s: float
    depasses: int
    """En attente, hors délai."""
    depasses_affiches: int
    presumes: int


class DernierReleve(NamedTuple):
    """Le dernier relevé de l'horloge, et son âge (secondes)."""

    le: datetime
    affiches: int
    en_attente: int
    plus_ancien_s: float
    depasses: int
    depasses_affiches: int
    presumes: int
    par_caisse: dict[str, tuple[int, float]]
    age_s: float


def noter_les_retards(conn: Connection[Any], le: datetime, retards: Mapping[str, tuple[int, float]]) -> None:
    """Le retard de chaque rôle, (événements, secondes), à cette minute."""
    if retards:
        comptes, ages = zip(*retards.values(), strict=True)
        conn.execute(_NOTER_RETARDS, (le, list(retards), list(comptes), list(ages)))


def noter_l_horloge(conn: Connection[Any], point: PointDHorloge, par_caisse: Mapping[str, tuple[int, float]]) -> None:
    """L'horloge à cette minute ; `par_caisse` : combien attendent, et l'âge du plus ancien (secondes)."""
    le, affiches, en_attente, plus_ancien_s, depasses, tardifs, presumes = point
    conn.execute(
        _NOTER_HORLOGE, (le, affiches, en_attente, plus_ancien_s, depasses, tardifs, presumes, Jsonb(dict(par_caisse)))
    )


def effacer_les_vieux(conn: Connection[Any], maintenant: datetime) -> None:
    """Ce qui a plus d'un mois."""
    for requete in _PURGER:
        conn.execute(requete.encode(), (maintenant - GARDE,))


def retards_depuis(conn: Connection[Any], depuis: datetime, pas: timedelta = PAS) -> dict[str, list[PointDeRetard]]:
    """Le retard de chaque rôle depuis cet instant, un point par intervalle."""
    par_role: dict[str, list[PointDeRetard]] = {}
    for role, *point in conn.execute(_RETARDS, (pas, depuis)):
        par_role.setdefault(role, []).append(PointDeRetard(*point))
    return par_role


def horloge_depuis(conn: Connection[Any], depuis: datetime, pas: timedelta = PAS) -> Sequence[PointDHorloge]:
    """L'horloge depuis cet instant, un point par intervalle."""
    return [PointDHorloge(*point) for point in conn.execute(_HORLOGE, (pas, depuis))]


def dernier_releve(conn: Connection[Any]) -> DernierReleve | None:
    """Le dernier relevé de l'horloge ; None s'il n'y en a pas."""
    ligne = conn.execute(_DERNIER).fetchone()
    if ligne is None:
        return None
    lu = DernierReleve(*ligne)
    return lu._replace(par_caisse={caisse: (int(n), float(age)) for caisse, (n, age) in lu.par_caisse.items()})
