"""La base simulée dit ce que PostgreSQL dit : des histoires entières, chaque instruction posée aux deux."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest

from engine.database import connect
from tests.simulation import checks
from tests.simulation.connection import Connection, Cursor, Statement
from tests.simulation.seams import silent
from tests.simulation.server import Server
from tests.simulation.tables import unique_keys
from tests.simulation.witness import STATEMENT as TEMOIN
from tests.simulation.world import World

HISTOIRES = 3

NON_POSEES = frozenset({TEMOIN})
"""Ce qui n'est que de la simulation."""

COLONNES = {
    "journal.evenements": "position, flux, version, topic, etat, cause",
    "journal.positions": "topic_id, topic, partition, depuis, jusqu_a",
    "journal.sorts": "topic_id, topic, partition, decalage, sort, cause, objet",
    "journal.attentes": "rang, topic_id, topic, partition, decalage, cle, valeur, recu_le, flux, raison",
    "journal.attentes_reglees": "topic_id, partition, decalage, sort, cause",
    "vues.sorts": "topic_id, topic, partition, sort, messages",
    "vues.restant_du": "reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial,"
    " solde, en_cours, version, position",
    "vues.delai_affichage": "transaction, reference, accepte_le, version, montree, affiche_le",
}


class Double(Connection):
    """Pose chaque instruction à la base simulée et à PostgreSQL, dans des transactions de même étendue."""

    vraie: psycopg.Connection[Any]
    posees: set[str]

    def __init__(self, server: Server, statements: dict[str, tuple[str, Statement]]) -> None:
        super().__init__(server, statements)
        self.ecarts: list[str] = []

    def execute(self, sql: str, params: Any = None, *, binary: bool | None = None) -> Cursor:
        simulee = super().execute(sql, params, binary=binary)
        nom = self.statements.get(sql, ("", None))[0]
        if not nom or sql in NON_POSEES:
            return simulee
        self.posees.add(nom)
        reelle = self.vraie.execute(sql.encode(), params, binary=bool(binary))
        if reelle.description is None:
            if simulee.rowcount >= 0 and nom in {
                "lead",
                "give back",
                "advance",
                "meet topic",
                "reinstate",
            }:
                assert simulee.rowcount == reelle.rowcount, nom
            return simulee
        lignes = simulee.fetchall()
        assert _comparables(nom, lignes) == _comparables(nom, reelle.fetchall()), nom
        return _rendre(lignes)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.vraie.transaction(), super().transaction():
            yield


def _rendre(lignes: list[tuple[Any, ...]]) -> Cursor:
    curseur = Cursor.__new__(Cursor)
    curseur._rows, curseur.rowcount = lignes, len(lignes)
    return curseur


def _comparables(nom: str, lignes: list[tuple[Any, ...]]) -> list[str]:
    """Sans l'heure d'enregistrement, qui est à chacune ; triées, sauf là où l'ordre est demandé."""
    if nom in {"following", "released"}:
        lignes = [ligne[:-1] for ligne in lignes]
    if nom in {"order", "sign of life"}:
        lignes = []
    dites = [repr(tuple(_simple(valeur) for valeur in ligne)) for ligne in lignes]
    return (
        dites if nom in {"following", "released", "waiting", "unanswered", "to show", "read streams"} else sorted(dites)
    )


def _simple(valeur: Any) -> Any:
    if isinstance(valeur, memoryview):
        return bytes(valeur)
    if isinstance(valeur, dict):  # jsonb does not keep the order of keys.
        return json.dumps(valeur, sort_keys=True)
    return valeur.timestamp() if isinstance(valeur, datetime) else valeur


@pytest.mark.parametrize("numero", range(HISTOIRES))
def test_chaque_instruction_repond_comme_postgresql(base: Any, numero: int) -> None:
    posees: set[str] = set()
    with ExitStack() as pile:
        pile.enter_context(silent())
        vraie = pile.enter_context(connect(base.url, application="double"))
        lecture = pile.enter_context(psycopg.connect(base.url_proprietaire, autocommit=True))

        class DoubleDeCetteBase(Double):
            pass

        DoubleDeCetteBase.vraie, DoubleDeCetteBase.posees = vraie, posees
        monde = World(f"double:{numero}", peaceful=True)
        monde.connection = DoubleDeCetteBase
        monde.server.version = vraie.info.server_version
        assert not monde.live()
        for table, colonnes in COLONNES.items():
            reelles = lecture.execute(f"SELECT {colonnes} FROM {table}".encode()).fetchall()  # noqa: S608
            noms = colonnes.split(", ")
            simulees = [tuple(getattr(ligne, nom) for nom in noms) for ligne in checks.rows(monde.server, table)]
            assert _comparables("", simulees) == _comparables("", reelles), table
    assert {"write events", "write fates", "move balances", "shown", "advance"} <= posees


def test_les_cles_uniques_lues_des_migrations_sont_celles_de_la_base(base: Any) -> None:
    requete = """
    SELECT n.nspname || '.' || t.relname, c.conname, array(
        SELECT a.attname FROM unnest(c.conkey) WITH ORDINALITY AS k (numero, rang)
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.numero ORDER BY k.rang)
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.contype IN ('u', 'p') AND n.nspname IN ('journal', 'vues')
    """
    with psycopg.connect(base.url_proprietaire) as conn:
        reelles = {(table, nom, tuple(colonnes)) for table, nom, colonnes in conn.execute(requete)}
    lues = {(table, cle.constraint, cle.columns) for table, cles in unique_keys().items() for cle in cles}
    assert {cle for cle in lues if cle[0].startswith(("journal.", "vues."))} == reelles
