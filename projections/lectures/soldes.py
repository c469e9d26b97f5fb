"""Tous les soldes, tels que le journal les disait à un instant : le préfixe de ce qui était alors enregistré."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from psycopg import Connection, IsolationLevel

from domain.agregats import AGREGATS
from domain.creance import Créance
from engine.mapper import EventMapper
from engine.outages import describe

LIGNES_PAR_LECTURE: Final = 2_000

_JUSQU_A: Final = "SELECT max(position) FROM journal.evenements WHERE enregistre_le <= %s"

_FAITS: Final = """
SELECT flux, version, topic, etat, position FROM journal.evenements
WHERE position <= %s AND flux >= %s AND flux < %s ORDER BY flux, version
"""

_DUREES: Final = "SELECT set_config('statement_timeout', '0', true), set_config('cursor_tuple_fraction', '1', true)"

_APRES: Final = "\x7f"
"""Suit tous les signes d'un nom de flux (ASCII)."""


class Solde(NamedTuple):
    """Une créance à cet instant ; les montants sont en centimes."""

    reference: str
    caisse: str
    date_emission: str
    montant_initial: int
    solde: int
    restant_du: int
    trop_percu: int
    en_cours: int
    annulee: bool
    version: int
    position: int
    """Celle de son dernier événement."""


class SoldeIllisible(NamedTuple):
    """Une créance dont un événement ne se lit pas, et pourquoi : son solde n'est pas connu."""

    flux: str
    cause: str


class Releve(NamedTuple):
    """Ce que le journal disait."""

    position: int
    """Le dernier événement enregistré à cet instant."""
    soldes: Iterator[Solde | SoldeIllisible]


@contextmanager
def soldes_au(conn: Connection[Any], au: datetime, caisses: Sequence[str] = ()) -> Iterator[Releve | None]:
    """Tous les soldes à cet instant, dans l'ordre des références ; None si rien n'était encore enregistré.

    `caisses` : ces caisses seulement ; aucune : toutes. `conn` est en autocommit ; tout est lu d'un même instantané,
    sans tenir plus d'une créance en mémoire.
    """
    avant = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            conn.execute(_DUREES)
            (position,) = conn.execute(_JUSQU_A, (au,)).fetchone() or (None,)
            yield None if position is None else Releve(position, _lire(conn, position, frozenset(caisses)))
    finally:
        conn.isolation_level = avant


def _lire(conn: Connection[Any], position: int, caisses: frozenset[str]) -> Iterator[Solde | SoldeIllisible]:
    mapper = EventMapper(AGREGATS)
    debut = Créance.flux("")
    with conn.cursor(name="soldes") as curseur:
        curseur.itersize = LIGNES_PAR_LECTURE
        curseur.execute(_FAITS, (position, debut, debut + _APRES), binary=True)
        for flux, lignes in groupby(curseur, key=itemgetter(0)):
            creance: Any = None
            derniere = 0
            try:
                for nom, version, topic, etat, ou in lignes:
                    creance = mapper.lire(nom, version, topic, etat).mutate(creance)
                    derniere = ou
            except Exception as refus:  # noqa: BLE001 (une créance qui ne se rejoue pas ne tait pas les autres)
                yield SoldeIllisible(flux, describe(refus))
                continue
            if not caisses or creance.avis.caisse in caisses:
                yield _solde(creance, derniere)


def _solde(creance: Créance, position: int) -> Solde:
    avis = creance.avis
    return Solde(
        avis.reference,
        avis.caisse,
        avis.date_emission.isoformat(),
        creance.montant,
        creance.solde,
        creance.restant_du,
        creance.trop_percu,
        creance.reserve,
        creance.annulee,
        creance.version,
        position,
    )
