"""Lire une table du serveur sans rien qui puisse arrêter l'audit : par lots, et des dates qui se lisent toutes."""

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date
from itertools import count
from struct import unpack
from traceback import clear_frames
from typing import Any, Final

from psycopg import Connection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from engine.outages import describe
from projections.audit.rapport import Rapport

LIGNES_PAR_LECTURE: Final = 2_000
"""Lignes lues à la fois du serveur : l'audit ne charge jamais une table entière."""

_AN_2000_US: Final = 946_684_800_000_000
_AN_2000_JOURS: Final = date(2000, 1, 1).toordinal()
_NUMEROS: Final = count(1)


class _Instant(Loader):
    """Un timestamptz en microsecondes depuis 1970 : `infinity` et l'an 200 000 se lisent comme les autres."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int(unpack("!q", data)[0]) + _AN_2000_US


class _Jour(Loader):
    """Une date par son rang dans le calendrier (`date.toordinal`)."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int(unpack("!i", data)[0]) + _AN_2000_JOURS


def parcourir(
    conn: Connection[Any], requete: str, parametres: Sequence[Any] | Mapping[str, Any] | None = None
) -> Generator[tuple[Any, ...]]:
    """Les lignes d'une requête, lues du serveur par lots, dans la transaction de l'audit."""
    with conn.cursor(name=f"audit_{next(_NUMEROS)}") as curseur:
        curseur.adapters.register_loader("timestamptz", _Instant)
        curseur.adapters.register_loader("date", _Jour)
        curseur.execute(requete, parametres, binary=True)
        while lignes := curseur.fetchmany(LIGNES_PAR_LECTURE):
            yield from lignes


def sans_s_arreter(conn: Connection[Any], rapport: Rapport, quoi: str, lecture: Callable[[], None]) -> bool:
    """Exécute une lecture ; ce qui l'empêche est nommé au rapport, et l'audit continue. Rend Faux en ce cas.

    Une connexion perdue, elle, remonte : il n'y aurait plus rien à lire.
    """
    try:
        with conn.transaction():
            try:
                lecture()
            except Exception as faute:
                # Un curseur resté ouvert se ferme avant que son savepoint ne soit défait : après, il n'existe plus, et
                # le fermer perdrait la transaction de l'audit.
                clear_frames(faute.__traceback__)
                raise
    except Exception as faute:
        if conn.broken or conn.closed:
            raise
        rapport.non_controle(f"{quoi} : {describe(faute)}")
        return False
    return True
