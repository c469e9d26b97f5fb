"""Le journal tel que l'audit le lit : flux par flux, et ceux qu'il ne sait pas lire sont nommés au rapport."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.agregats import AGREGATS
from domain.creance import Créance, FaitDeCreance, est_de_creance
from domain.faits import Fait
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from engine.mapper import EventMapper
from projections.audit.rapport import Rapport

LIGNES_PAR_LECTURE: Final = 2_000
"""Lignes lues à la fois du serveur : l'audit ne charge jamais le journal entier."""

# Les flux d'un préfixe, jusqu'à une position.
_FLUX: Final = """
SELECT flux, version, topic, etat FROM journal.evenements
WHERE flux >= %s AND flux < %s AND position <= %s ORDER BY flux, version
"""

# L'octet qui suit tous ceux d'un nom de flux (ASCII).
_APRES: Final = "\x7f"


class CreanceLue(NamedTuple):
    """Une créance rejouée, et les faits dont elle vient."""

    creance: Créance
    faits: list[FaitDeCreance]


class Journal:
    """Lit les agrégats du journal, dans l'ordre de leurs flux ; un flux illisible est sauté et nommé."""

    def __init__(self, conn: Connection[Any], rapport: Rapport) -> None:
        """`conn` est dans la transaction de l'audit."""
        self._conn = conn
        self._rapport = rapport
        self._mapper = EventMapper(AGREGATS)
        self._lectures = 0

    def creances(self, jusqu_a: int, reference: str | None = None) -> Iterator[CreanceLue]:
        """Les créances à cette position, ou une seule."""
        debut = Créance.flux(reference or "")
        for flux, lignes in self._flux(debut, debut + ("\x01" if reference else _APRES), jusqu_a):
            if (lu := self._rejouer(flux, lignes)) is None:
                continue
            creance, faits = lu
            siens = [fait for fait in faits if est_de_creance(fait)]
            if isinstance(creance, Créance) and len(siens) == len(faits):
                yield CreanceLue(creance, siens)
            else:
                self._rapport.illisibles[flux] = "porte des faits d'un autre agrégat"

    def paiements(self, jusqu_a: int) -> Iterator[Paiement]:
        """Les paiements à cette position."""
        debut = Paiement.flux("")
        for flux, lignes in self._flux(debut, debut + _APRES, jusqu_a):
            if (lu := self._rejouer(flux, lignes)) is not None:
                yield lu[0]

    def messageries(self, jusqu_a: int) -> Iterator[Messagerie]:
        """Les messageries à cette position."""
        debut = Messagerie.flux("")
        for flux, lignes in self._flux(debut, debut + _APRES, jusqu_a):
            if (lu := self._rejouer(flux, lignes)) is not None:
                yield lu[0]

    def illisible(self, flux: str) -> bool:
        """Dit si ce flux n'a pas pu être lu : rien ne peut en être comparé."""
        return flux in self._rapport.illisibles

    def _flux(self, debut: str, fin: str, jusqu_a: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        self._lectures += 1
        with self._conn.cursor(name=f"audit_{self._lectures}") as curseur:
            curseur.itersize = LIGNES_PAR_LECTURE
            curseur.execute(_FLUX, (debut, fin, jusqu_a))
            for flux, lignes in groupby(curseur, key=lambda ligne: str(ligne[0])):
                yield flux, list(lignes)

    def _rejouer(self, flux: str, lignes: Iterable[tuple[Any, ...]]) -> tuple[Any, list[Fait]] | None:
        """L'agrégat d'un flux et ses faits ; None, et le flux est nommé au rapport, s'il ne se lit pas."""
        agregat: Any = None
        faits: list[Fait] = []
        try:
            for nom, version, topic, etat in lignes:
                fait = self._mapper.lire(nom, version, topic, etat)
                agregat = fait.mutate(agregat)
                faits.append(fait)
        except MapperDeserialisationError as illisible:
            self._rapport.illisibles[flux] = str(illisible)
            return None
        except Exception as refus:  # noqa: BLE001 (un flux qui ne se rejoue pas ne doit pas taire les autres)
            self._rapport.illisibles[flux] = f"ne se rejoue pas après {len(faits)} faits : {refus!r}"
            return None
        return agregat, faits
