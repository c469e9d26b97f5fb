"""Derrière PgBouncer : en mode session tout marche comme sans lui ; en mode transaction c'est dit, et refusé."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from engine.database import Database, connect, connection_options, prepare_async
from engine.follower import Follower
from engine.pooler import TransactionPooling
from engine.recorder import Recorder
from service.embedded import throwaway_folder
from tests.engine.epreuve import MAPPER, Trace, ecrire, pas
from tests.engine.test_session import ATTENDUS, REGLES
from tests.outils import attendre
from tests.pgbouncer import ce_qui_manque, pgbouncer

pytestmark = pytest.mark.lent


@pytest.fixture
def par_pgbouncer(base: Any) -> Iterator[Callable[[str], str]]:
    """L'URL de la base, par un PgBouncer en ce mode."""
    if manque := ce_qui_manque():
        pytest.skip(manque)
    with throwaway_folder() as dossier, ExitStack() as pile:
        yield lambda mode: pile.enter_context(pgbouncer(dossier, base.url, mode))


@pytest.fixture
def vue(service: psycopg.Connection[Any]) -> Trace:
    """La vue d'épreuve et sa table."""
    trace = Trace()
    trace.creer(service)
    return trace


def test_en_mode_session_un_suiveur_mene_se_reveille_et_s_arrete(
    service: psycopg.Connection[Any], vue: Trace, par_pgbouncer: Callable[[str], str]
) -> None:
    url, arret = par_pgbouncer("session"), threading.Event()
    with Database(url) as base:
        recorder = Recorder(base, MAPPER)
        fil = threading.Thread(target=Follower(url, vue, mapper=MAPPER).run, args=(arret,))
        fil.start()
        try:
            for version in (1, 2):
                ecrire(recorder, pas("a", version))
                attendu = " ".join(map(str, range(1, version + 1)))
                attendre(lambda attendu=attendu: vue.lire(service) == {"a": attendu})  # type: ignore[misc]
        finally:
            arret.set()
            fil.join(60)
    assert service.execute("SELECT etat, interruptions, bail FROM vues.suiveurs").fetchall() == [("inactif", 0, None)]


def test_en_mode_session_nos_reglages_prevalent_aussi_quand_les_options_n_ont_pas_passe(
    base: Any, proprietaire: psycopg.Connection[Any], par_pgbouncer: Callable[[str], str]
) -> None:
    for regle, valeur in REGLES.items():
        proprietaire.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                psycopg.sql.Identifier(base.nom), psycopg.sql.Identifier(regle), psycopg.sql.Literal(valeur)
            )
        )
    url = par_pgbouncer("session")

    async def de_l_api() -> list[str]:
        pool = AsyncConnectionPool(
            url, min_size=1, kwargs=connection_options("essai"), configure=prepare_async, open=False
        )
        async with pool, pool.connection() as conn:
            lus = []
            for nom in ATTENDUS:
                (lu,) = await (await conn.execute("SELECT current_setting(%s)", (nom,))).fetchone() or ("",)
                lus.append(lu)
            return lus

    with Database(url) as ouverte, ouverte.transaction() as conn, closing(connect(url, application="essai")) as seule:
        for session in (conn, seule):
            lus = {nom: session.execute("SELECT current_setting(%s)", (nom,)).fetchone() for nom in ATTENDUS}
            assert lus == {nom: (valeur,) for nom, valeur in ATTENDUS.items()}
    assert asyncio.run(de_l_api()) == list(ATTENDUS.values())


def test_le_mode_transaction_est_reconnu_et_refuse_par_une_phrase(
    vue: Trace, par_pgbouncer: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    url = par_pgbouncer("transaction")
    with pytest.raises(TransactionPooling, match="pooler en mode transaction"):
        connect(url, application="essai")
    with pytest.raises(TransactionPooling, match="pool_mode = session"):
        Follower(url, vue, mapper=MAPPER).catch_up()
    with (
        caplog.at_level(logging.WARNING, logger="psycopg.pool"),  # La bibliothèque, importée, le fait taire.
        Database(url) as base,
        pytest.raises(PoolTimeout),
        base.transaction(delai_s=2.0),
    ):
        pass
    assert "pooler en mode transaction" in caplog.text
