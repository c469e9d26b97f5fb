"""La caisse d'un flux, lue de son premier fait : elle ne change jamais, et ne dépend d'aucune vue."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.creance import Créance
from domain.paiement import Paiement
from engine.mapper import EventMapper

# Le premier fait de chaque flux.
_PREMIERS: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%b::text[]) AND version = 1
"""


def caisses_des_flux(conn: Connection[Any], mapper: EventMapper, flux: Iterable[str]) -> dict[str, str | None]:
    """La caisse de chacun de ces flux ; None : un paiement que nous n'avons pas ouvert, d'aucune caisse connue.

    Un flux dont le premier fait est illisible n'y est pas : personne ne sait à qui il est.
    """
    caisses: dict[str, str | None] = {}
    for ligne in conn.execute(_PREMIERS, (list(flux),)):
        try:
            premier = mapper.lire(*ligne)
        except MapperDeserialisationError:
            continue
        est_ne = isinstance(premier, (Créance.AvisEmis, Paiement.PaiementOuvert))
        caisses[ligne[0]] = premier.caisse if est_ne else None
    return caisses


def est_pour(caisse: str | None, caisses: Collection[str] | None) -> bool:
    """Dit si ce qui est de cette caisse va à qui a ces caisses ; `caisses` absentes : tout va à tous."""
    return caisses is None or caisse in caisses
