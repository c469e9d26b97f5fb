"""Deux horloges, celle de PostgreSQL et la nôtre : leur désaccord est mesuré, dit, puis oublié quand il cesse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import clocks
from engine.recorder import Recorder
from engine.role_state import RoleState
from service import lag
from tests.engine.epreuve import T0
from tests.engine.test_ordre import creance

ECARTS = st.timedeltas(timedelta(days=-400), timedelta(days=400))
DUREES = st.timedeltas(timedelta(), timedelta(minutes=5))


@given(ECARTS, DUREES, st.floats(0, 1))
def test_l_ecart_mesure_ne_depasse_jamais_le_vrai_et_ne_le_manque_que_de_l_attente(
    vrai: timedelta, attente: timedelta, quand: float
) -> None:
    lue = T0 + attente * quand + vrai
    ecart = clocks.skew(lue, T0, T0 + attente)
    assert abs(ecart) <= abs(vrai)
    assert abs(vrai) - abs(ecart) <= attente
    assert ecart.total_seconds() * vrai.total_seconds() >= 0


@pytest.mark.parametrize(
    ("ecart", "dit"),
    [
        (timedelta(seconds=9), None),
        (timedelta(seconds=-9), None),
        (timedelta(hours=1), "avance de 3600 s"),
        (timedelta(hours=-1), "retarde de 3600 s"),
    ],
)
def test_un_desaccord_est_une_phrase(ecart: timedelta, dit: str | None) -> None:
    phrase = clocks.disagreement(ecart)
    assert phrase is None if dit is None else dit in (phrase or "")


def test_un_role_dit_le_desaccord_des_horloges_sans_s_interrompre(base: Any, service: psycopg.Connection[Any]) -> None:
    notre_retard = timedelta(hours=1)
    etat = RoleState(base.url, "epreuve", clock=lambda: datetime.now(UTC) - notre_retard)
    etat.dire(service, "actif")
    etat.dire(service, "actif")
    dits = service.execute("SELECT etat, interruptions, derniere_erreur FROM vues.suiveurs").fetchone()
    assert dits is not None
    assert dits[:2] == ("actif", 0)
    assert "l'horloge de PostgreSQL avance de 3600 s" in dits[2]


@pytest.mark.parametrize("saut", [timedelta(), timedelta(hours=1), timedelta(days=400)])
def test_le_retard_en_secondes_ne_depend_pas_de_l_horloge_de_postgresql(
    base: Any, service: psycopg.Connection[Any], recorder: Recorder, saut: timedelta
) -> None:
    (fait,) = creance(1).collect_events()
    stocke = recorder.mapper.to_stored_event(fait)
    maintenant = datetime.now(UTC)
    with psycopg.connect(base.url_proprietaire) as proprietaire:  # Le seul qui puisse choisir une heure.
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ALL")
        proprietaire.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)"
            " VALUES (%s, 1, %s, %s, '', %s)",
            (stocke.originator_id, stocke.topic, stocke.state, maintenant + saut),
        )
    ligne = lag._follower(service, "restant_du", None, fait.timestamp + timedelta(seconds=100), recorder)
    assert (ligne["evenements"], ligne["secondes"]) == (1, 100.0)


@pytest.mark.parametrize("age", ["-1 hour", "1 hour"])
def test_un_signe_de_vie_que_son_heure_ne_date_plus_ne_rassure_personne(
    service: psycopg.Connection[Any], age: str
) -> None:
    service.execute(
        "INSERT INTO vues.suiveurs (nom, etat, battement_le) VALUES ('x', 'actif', clock_timestamp() - %s::interval)",
        (age,),
    )
    (etat,) = service.execute(lag._STATES).fetchall()
    assert lag._row("suiveur", "x", 0, 0.0, etat[1:])["etat"] == lag.SILENT
