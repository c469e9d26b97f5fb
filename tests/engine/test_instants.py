"""Une heure ou un jour que Python ne sait pas tenir n'arrête personne : ni une vue, ni une liste, ni une commande."""

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg.pq import Format

from engine.database import connect
from engine.follower import Follower
from engine.instants import FIRST, LAST, age_s, rows
from engine.recorder import Recorder
from service.embedded import throwaway_folder
from tests.engine.epreuve import MAPPER, Trace, ecrire, pas
from tests.vieux_postgresql import ce_qui_manque, vieux_postgresql

HORS_DU_CALENDRIER = {
    "infinity": (LAST, date.max),
    "-infinity": (FIRST, date.min),
    "0044-03-15 00:00:00+00 BC": (FIRST, date.min),
    "20000-01-01 00:00:00+00": (LAST, date.max),
    "9999-12-31 23:59:59+00": (LAST, date.max),
    "0001-01-01 00:00:00+00": (FIRST, date.min),
}


@pytest.fixture(scope="module", params=["embarqué", "15"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Le PostgreSQL embarqué, et le plus ancien que nous servons."""
    if request.param == "embarqué":
        yield request.getfixturevalue("serveurs").database_url
        return
    if manque := ce_qui_manque():
        pytest.skip(manque)
    with throwaway_folder() as dossier, vieux_postgresql(dossier) as ancien:
        yield ancien


@pytest.mark.parametrize("forme", Format)
@pytest.mark.parametrize(("ecrit", "lus"), HORS_DU_CALENDRIER.items())
def test_ce_qu_aucune_date_ne_tient_se_lit_au_bord_du_calendrier(
    base: Any, ecrit: str, lus: tuple[datetime, date], forme: Format
) -> None:
    requete = "SELECT %b::timestamptz, %b::date, '2026-06-01 12:00+02'::timestamptz, '2026-06-01'::date, NULL::date"
    with connect(base.url, application="essai") as conn:
        (ligne,) = conn.execute(requete, (ecrit, ecrit), binary=forme is Format.BINARY).fetchall()
    instant, jour, *sains = ligne
    assert (instant, jour) == lus
    assert sains == [datetime.fromisoformat("2026-06-01T10:00:00Z"), date(2026, 6, 1), None]
    for heures in (-14, 14):
        instant.astimezone(timezone(timedelta(hours=heures)))


def test_une_faute_que_dit_postgresql_reste_la_sienne(base: Any) -> None:
    with connect(base.url, application="essai") as conn, pytest.raises(psycopg.errors.DivisionByZero):
        rows(conn, "SELECT 1 / %b::int", (0,))


@pytest.mark.parametrize("heure", HORS_DU_CALENDRIER)
def test_une_heure_d_enregistrement_abimee_n_arrete_aucune_vue(
    base: Any,
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    heure: str,
) -> None:
    ecrire(recorder, pas("gate", 1), pas("sain", 1))
    proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
    proprietaire.execute("UPDATE journal.evenements SET enregistre_le = %s WHERE flux = 'gate'", (heure,))
    trace = Trace()
    trace.creer(service)
    Follower(base.url, trace, mapper=MAPPER).catch_up()
    assert trace.lire(service) == {"gate": "1", "sain": "1"}


@pytest.mark.parametrize("instant", ["infinity", "-infinity", "4713-01-01 BC", "294276-12-31", None])
def test_l_age_d_un_instant_impossible_est_un_nombre_sur_chaque_postgresql(url: str, instant: str | None) -> None:
    with psycopg.connect(url) as conn:
        (age,) = conn.execute(
            f"SELECT {age_s('v.le')} FROM (SELECT %s::timestamptz AS le) AS v",  # noqa: S608
            (instant,),
        ).fetchone() or (0,)
    if instant is None:
        assert age is None
    else:
        assert math.isfinite(age)
        assert (age > 0) == instant.startswith(("-", "4713"))
