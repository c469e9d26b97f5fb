"""Le consommateur périmé : pourquoi une position se nomme par celle d'où l'on part."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from journal.bases import Base
from journal.conflits import ConflitDePosition
from journal.enregistreur import Enregistreur
from journal.lot import Avancee, Lot, Partition

TOPIC_ID = uuid4()


def lot(depuis: int, jusqu_a: int, topic_id: UUID = TOPIC_ID) -> Lot:
    return Lot(avancees=[Avancee(Partition(topic_id, "t", 0), depuis, jusqu_a)])


def test_un_lot_parti_d_une_position_deja_lue_est_refuse_meme_s_il_va_plus_loin(base: Any) -> None:
    with Base(base.url) as ouverte:
        enregistreur = Enregistreur(ouverte)
        with ouverte.transaction() as conn:
            enregistreur.inscrire(conn, lot(0, 5))
        with pytest.raises(ConflitDePosition), ouverte.transaction() as conn:
            enregistreur.inscrire(conn, lot(0, 10))
        with ouverte.transaction() as conn:
            enregistreur.inscrire(conn, lot(5, 10))
            assert enregistreur.positions(conn, TOPIC_ID) == {0: 10}


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
    with Base(base.url) as ouverte, ouverte.transaction() as conn:
        enregistreur = Enregistreur(ouverte)
        enregistreur.inscrire(conn, lot(0, 5))
        enregistreur.inscrire(conn, lot(0, 3, autre := uuid4()))
        assert enregistreur.positions(conn, autre) == {0: 3}
