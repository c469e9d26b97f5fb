"""Ce que PostgreSQL constate seul, pendant que le journal se rejoue : sur une autre connexion, au même instantané.

Rejouer occupe Python, constater occupe le serveur : l'un n'attend pas l'autre.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection, IsolationLevel, sql

from engine.outages import describe
from projections.audit.rapport import Rapport

Constater = Callable[[Connection[Any], Rapport], None]
"""Tout ce que le serveur constate, ajouté à un rapport."""

_DUREES: Final = """
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),
       set_config('work_mem', '64MB', true)
"""


@contextmanager
def pendant(conn: Connection[Any], rapport: Rapport, constater: Constater, *, seul: bool) -> Iterator[None]:
    """Constate pendant le bloc, et ajoute au rapport à sa fin ; ce qui l'en empêche y est nommé.

    `conn` est dans la transaction de l'audit. `seul` : elle voit ce que nul autre ne verrait encore ; tout est alors
    constaté sur elle, après le bloc.
    """
    autre = None if seul else _ouvrir(conn)
    if autre is None:
        yield
        constater(conn, rapport)
        return
    with closing(autre):
        a_part = Rapport()
        fil = threading.Thread(target=_faire, args=(autre, _instantane(conn), a_part, constater), name="constats")
        fil.start()
        try:
            yield
        finally:
            fil.join()
    _ajouter(rapport, a_part)


def _ouvrir(conn: Connection[Any]) -> Connection[Any] | None:
    """Une autre connexion à la même base ; None si le serveur n'en donne pas."""
    parametres: dict[str, Any] = conn.info.get_parameters()
    try:
        return psycopg.connect(**parametres, password=conn.info.password or None, autocommit=True)
    except psycopg.OperationalError:
        return None


def _instantane(conn: Connection[Any]) -> str:
    (nom,) = conn.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
    return str(nom)


def _faire(conn: Connection[Any], instantane: str, rapport: Rapport, constater: Constater) -> None:
    try:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(instantane)))
            conn.execute(_DUREES)
            constater(conn, rapport)
    except Exception as faute:  # noqa: BLE001 (un fil ne lève à personne : ce qu'il n'a pu faire est nommé)
        rapport.non_controle(f"les constats : {describe(faute)}")


def _ajouter(rapport: Rapport, a_part: Rapport) -> None:
    for phrase in a_part.ecarts:
        rapport.ecart(phrase)
    rapport.ecarts_comptes += a_part.ecarts_comptes - len(a_part.ecarts)
    for phrase in a_part.non_controles:
        rapport.non_controle(phrase)
    rapport.anomalies, rapport.en_verification = a_part.anomalies, a_part.en_verification
