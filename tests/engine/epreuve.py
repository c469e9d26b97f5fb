"""Un fait et une vue d'épreuve : la vue garde, par flux, la trace de ce qu'elle a appliqué, et une redite s'y voit."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from psycopg import Connection, sql

from domain.agregats import AGREGATS
from domain.faits import Fait
from engine.batch import Batch, Entry
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent, Recorder

T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)

DE_TROP_POUR_LA_TABLE = 1_000_000
"""Une somme que la table refuse : une faute que PostgreSQL constate, et qui défait la transaction."""

# Une ligne par flux ; la trace est la suite des versions appliquées.
CREER = """
CREATE TABLE vues.{nom} (flux text PRIMARY KEY, trace text NOT NULL, somme bigint NOT NULL CHECK (somme < 1000000))
"""

# Prolonge la trace et la somme de chaque flux du lot.
APPLIQUER = """
INSERT INTO vues.{nom} AS v (flux, trace, somme)
SELECT * FROM unnest(%b::text[], %b::text[], %b::int8[])
ON CONFLICT (flux) DO UPDATE SET trace = v.trace || ' ' || excluded.trace, somme = v.somme + excluded.somme
"""


class Pas(Fait):
    """Un pas d'un flux d'épreuve."""

    TOPIC: ClassVar[str] = "epreuve.Pas"
    longueur: int


class Redirection(Fait):
    """Un fait qui ne concerne pas la vue d'épreuve."""

    TOPIC: ClassVar[str] = "epreuve.Ailleurs"


class AncienFait(Fait):
    """Un fait d'épreuve dont la version 1 nommait autrement son montant."""

    TOPIC: ClassVar[str] = "epreuve.AncienFait"
    class_version: ClassVar[int] = 2
    montant: int

    @staticmethod
    def upcast_v1_v2(etat: dict[str, Any]) -> None:
        etat["montant"] = etat.pop("somme")


class Epreuve:
    """Ce qui les tient, comme un agrégat tient les siens."""

    Pas = Pas
    Redirection = Redirection
    AncienFait = AncienFait


MAPPER: Final = EventMapper((*AGREGATS, Epreuve))


def pas(flux: str, version: int, longueur: int = 1) -> Entry:
    return Entry(Pas(originator_id=flux, originator_version=version, timestamp=T0, longueur=longueur), "épreuve")


def ailleurs(flux: str, version: int) -> Entry:
    return Entry(Redirection(originator_id=flux, originator_version=version, timestamp=T0), "épreuve")


def ecrire(recorder: Recorder, *entries: Entry) -> list[int]:
    """Écrit ces faits dans une transaction à eux ; rend leurs positions."""
    with recorder.base.transaction() as conn:
        return recorder.record(conn, Batch(entries=list(entries)))


class Trace:
    """La vue d'épreuve : elle refuse les longueurs dites fautives, jusqu'à ce qu'on la répare."""

    topics = frozenset({Pas.TOPIC})

    def __init__(self, nom: str = "epreuve", fautives: Iterable[int] = ()) -> None:
        self.nom = nom
        self.fautives = set(fautives)
        self.lots: list[int] = []

    def creer(self, conn: Connection[Any]) -> None:
        conn.execute(sql.SQL(CREER).format(nom=sql.Identifier(self.nom)))

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        self.lots.append(len(faits))
        traces: dict[str, list[str]] = {}
        sommes: dict[str, int] = {}
        for lu in faits:
            if not isinstance(lu.event, Pas):
                raise TypeError(lu.event)
            if lu.event.longueur in self.fautives:
                raise ValueError(f"longueur fautive : {lu.event.longueur}")
            flux = lu.event.originator_id
            traces.setdefault(flux, []).append(str(lu.event.originator_version))
            sommes[flux] = sommes.get(flux, 0) + lu.event.longueur
        conn.execute(
            sql.SQL(APPLIQUER).format(nom=sql.Identifier(self.nom)),
            (list(traces), [" ".join(trace) for trace in traces.values()], list(sommes.values())),
        )

    def lire(self, conn: Connection[Any]) -> dict[str, str]:
        """La trace de chaque flux."""
        requete = sql.SQL("SELECT flux, trace FROM vues.{} ORDER BY flux").format(sql.Identifier(self.nom))
        return dict(conn.execute(requete).fetchall())

    def ecartes(self, conn: Connection[Any]) -> list[tuple[str, int]]:
        """Flux et version des événements écartés, dans l'ordre du journal."""
        return conn.execute(
            "SELECT e.flux, e.version FROM vues.ecartes x JOIN journal.evenements e USING (position)"
            " WHERE x.suiveur = %s ORDER BY position",
            (self.nom,),
        ).fetchall()
