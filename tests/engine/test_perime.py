"""Le consommateur périmé : pourquoi une position se nomme par celle d'où l'on part."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from engine.batch import Advance, Batch, Partition
from engine.conflicts import PositionConflict
from engine.database import Database
from engine.recorder import Recorder
from tests.engine.epreuve import MAPPER

TOPIC_ID = uuid4()


def lot(depuis: int, jusqu_a: int, topic_id: UUID = TOPIC_ID) -> Batch:
    return Batch(advances=[Advance(Partition(topic_id, "t", 0), depuis, jusqu_a)])


def test_un_lot_parti_d_une_position_deja_lue_est_refuse_meme_s_il_va_plus_loin(base: Any) -> None:
    with Database(base.url) as ouverte:
        recorder = Recorder(ouverte, MAPPER)
        with ouverte.transaction() as conn:
            recorder.record(conn, lot(0, 5))
        with pytest.raises(PositionConflict), ouverte.transaction() as conn:
            recorder.record(conn, lot(0, 10))
        with ouverte.transaction() as conn:
            recorder.record(conn, lot(5, 10))
            assert recorder.positions(conn, TOPIC_ID) == {0: 10}


def test_un_lot_parti_de_plus_loin_que_le_journal_est_refuse(base: Any) -> None:
    """Une sauvegarde a été restaurée sous un consommateur en marche : l'accepter sauterait l'entre-deux."""
    with Database(base.url) as ouverte:
        recorder = Recorder(ouverte, MAPPER)
        with ouverte.transaction() as conn:
            recorder.record(conn, lot(0, 5))
        for depuis, jusqu_a in ((7, 9), (3, 4)):
            with pytest.raises(PositionConflict), ouverte.transaction() as conn:
                recorder.record(conn, lot(depuis, jusqu_a))
        with ouverte.transaction() as conn:
            assert recorder.positions(conn, TOPIC_ID) == {0: 5}


def test_l_idiome_de_la_bibliotheque_laisserait_passer_ce_lot(base: Any) -> None:
    """Son suivi n'exige que d'avancer : le périmé, parti de 0, compterait deux fois les messages de 0 à 5."""
    suivre = (
        "INSERT INTO suivi VALUES ('application', %s) ON CONFLICT (nom) DO UPDATE SET position = excluded.position"
        " WHERE suivi.position < excluded.position RETURNING position"
    )
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("CREATE TEMP TABLE suivi (nom text PRIMARY KEY, position bigint)")
        assert conn.execute(suivre, (5,)).fetchone() == (5,)
        assert conn.execute(suivre, (10,)).fetchone() == (10,), "accepté : c'est le défaut"


def test_un_topic_recree_a_ses_propres_positions(base: Any) -> None:
    with Database(base.url) as ouverte, ouverte.transaction() as conn:
        recorder = Recorder(ouverte, MAPPER)
        recorder.record(conn, lot(0, 5))
        recorder.record(conn, lot(0, 3, autre := uuid4()))
        assert recorder.positions(conn, autre) == {0: 3}
