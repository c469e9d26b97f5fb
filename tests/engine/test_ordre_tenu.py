"""L'ordre d'écriture n'est jamais tenu par quelqu'un qui n'est plus là : figé, ou de l'autre côté d'un lien coupé."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from engine.batch import Batch
from engine.database import Database
from engine.recorder import ORDER_HELD_MAX_S, Recorder, collect
from service.composition import recorder_on
from service.embedded import throwaway_folder
from service.schema import migrate
from service.settings import Settings
from tests.engine.epreuve import MAPPER
from tests.engine.test_ordre import creance
from tests.outils import RACINE, attendre, environnement
from tests.relais import Relais, par_le_relais, serveur_postgresql
from tests.vieux_postgresql import ce_qui_manque, vieux_postgresql

pytestmark = pytest.mark.serveur  # Par un autre nom : `url` demande la base elle-même.

TENU_S = 1.5
MARGE_S = ORDER_HELD_MAX_S - TENU_S - 0.5
"""Une machine occupée ; le délai de la production, lui, serait vu."""


@pytest.fixture(params=["embarqué", "15"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Une base migrée, sur le PostgreSQL embarqué et sur le plus ancien que nous servons."""
    if request.param == "embarqué":
        yield request.getfixturevalue("base").url_proprietaire
        return
    if manque := ce_qui_manque():
        pytest.skip(manque)
    with throwaway_folder() as dossier, vieux_postgresql(dossier) as ancien:
        migrate(ancien, "postgres")
        yield ancien


def est_tenu(url: str) -> bool:
    with psycopg.connect(url) as conn:
        (tenus,) = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone() or (0,)
        return bool(tenus)


def ecrire(recorder: Recorder, numero: int) -> float:
    """Écrit une créance ; rend le temps que cela a pris."""
    debut = time.monotonic()
    with recorder.base.transaction() as conn:
        recorder.record(conn, Batch(entries=collect([creance(numero)], "essai")))
    return time.monotonic() - debut


def test_le_delai_est_un_reglage_du_service(url: str) -> None:
    with Database(url) as base:
        recorder = recorder_on(base, Settings(_env_file=None, order_held_max=timedelta(seconds=2)))
        with base.transaction() as conn:
            recorder.take_order(conn)
            borne = (
                "transaction_timeout" if conn.info.server_version >= 170_000 else "idle_in_transaction_session_timeout"
            )
            assert conn.execute("SELECT current_setting(%s)", (borne,)).fetchone() == ("2s",)
        # Plus rien n'est dit à PostgreSQL, sans avoir fini.
        with suppress(psycopg.Error), base.transaction() as conn, conn.pipeline() as envoi:
            recorder.take_order(conn, envoi)
            envoi.sync()
            attendre(lambda: est_tenu(url), secondes=60, quoi="l'ordre tenu")
            debut = time.monotonic()
            attendre(lambda: not est_tenu(url), secondes=30, quoi="l'ordre rendu")
            rendu_s = time.monotonic() - debut
        assert rendu_s < 2 + MARGE_S


def test_un_ecrivain_fige_rend_l_ordre_dans_le_delai(url: str) -> None:
    commande = [sys.executable, "-m", "tests.engine.ecrivain_fige", url, str(TENU_S)]
    fige = subprocess.Popen(commande, env=environnement(), cwd=RACINE, stderr=subprocess.PIPE)
    try:
        attendre(lambda: est_tenu(url), secondes=90, quoi="l'ordre tenu par l'écrivain figé")
        with Database(url) as base:
            assert ecrire(Recorder(base, MAPPER), 1) < TENU_S + MARGE_S
            fige.send_signal(signal.SIGCONT)  # Réveillé, il apprend que sa transaction n'est plus.
            _, dit = fige.communicate(timeout=60)
            assert fige.returncode != 0
            assert b"OperationalError" in dit
            with base.transaction() as conn:
                assert conn.execute("SELECT flux FROM journal.evenements").fetchall() == [
                    ("creance-3811701200000001F",)
                ]
    finally:
        fige.kill()
        fige.wait()


def test_un_lien_coupe_rend_l_ordre_dans_le_delai(url: str) -> None:
    with Relais(serveur_postgresql(url)) as relais, Database(url) as base, Database(par_le_relais(url, relais)) as loin:
        lointain = Recorder(loin, MAPPER, order_held_max_s=TENU_S)
        prendre = lointain.take_order

        def couper(*arguments: Any) -> None:
            prendre(*arguments)
            attendre(lambda: est_tenu(url), secondes=60, quoi="l'ordre tenu de l'autre côté")
            relais.faire_taire()

        lointain.take_order = couper  # type: ignore[assignment,method-assign]

        def ecrire_de_loin() -> None:
            with suppress(psycopg.Error):
                ecrire(lointain, 2)

        fil = threading.Thread(target=ecrire_de_loin, daemon=True)
        fil.start()
        attendre(lambda: not relais._passe.is_set(), secondes=60, quoi="le lien coupé")
        assert ecrire(Recorder(base, MAPPER), 1) < TENU_S + MARGE_S
        relais.couper()
        relais._passe.set()
        fil.join(60)
        assert not fil.is_alive()
