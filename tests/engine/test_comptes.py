"""Les comptes des sorts sont tenus avec eux : toujours ceux que l'on trouverait en les comptant un à un."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.sort import Sort
from engine import fates as comptes
from engine import migrations
from engine.batch import Batch, Fate, Partition
from engine.conflicts import PositionConflict
from engine.database import Database
from engine.recorder import Recorder
from service.schema import FOLDER, migrate
from tests.engine.epreuve import MAPPER

COMPTES = "0007_comptes.sql"

# Ce qui est tenu et ce qui est écrit, là où ils diffèrent.
ECARTS = """
SELECT topic, partition, sort, tenu.messages, ecrit.messages
FROM vues.sorts AS tenu
FULL JOIN (
    SELECT topic_id, topic, partition, sort, count(*) AS messages FROM journal.sorts
    GROUP BY topic_id, topic, partition, sort
) AS ecrit USING (topic_id, topic, partition, sort)
WHERE tenu.messages IS DISTINCT FROM ecrit.messages
ORDER BY topic, partition, sort
"""


def lot(topic_id: UUID, depuis: int, *sorts: Sort, topic: str = "t", partition: int = 0) -> Batch:
    """Un lot qui ne rend que des sorts, à des décalages qui se suivent."""
    numerotes = enumerate(sorts, depuis)
    place = Partition(topic_id, topic, partition)
    return Batch(fates=[Fate(place, n, sort.value, "cause", None, b"e" * 32, {}) for n, sort in numerotes])


def test_les_comptes_sont_ceux_des_sorts_ecrits(base: Any) -> None:
    premier, recree = uuid4(), uuid4()
    lots = [
        lot(premier, 0, Sort.APPLIQUEE, Sort.APPLIQUEE, Sort.DOUBLON),
        lot(premier, 3, Sort.APPLIQUEE),
        lot(premier, 0, Sort.REJETEE, partition=1),
        lot(recree, 0, Sort.APPLIQUEE),
        lot(uuid4(), 0, Sort.REJETEE, topic="u"),
    ]
    with Database(base.url) as ouverte:
        recorder = Recorder(ouverte, MAPPER)
        for un in lots:
            with ouverte.transaction() as conn:
                recorder.record(conn, un)
        with pytest.raises(PositionConflict), ouverte.transaction() as conn:
            recorder.record(conn, lot(premier, 3, Sort.DOUBLON, Sort.DOUBLON))
        with ouverte.transaction() as conn:
            assert comptes.fates_by_topic(conn) == {
                ("t", "appliquee"): 4,
                ("t", "doublon"): 1,
                ("t", "rejetee"): 1,
                ("u", "rejetee"): 1,
            }
            assert comptes.fates_of(conn, "u") == {"rejetee": 1}
            assert conn.execute(ECARTS).fetchall() == []
            conn.execute("UPDATE vues.sorts SET messages = 2 WHERE sort = 'doublon'")
            conn.execute("DELETE FROM vues.sorts WHERE topic = 'u'")
            assert conn.execute(ECARTS).fetchall() == [("t", 0, "doublon", 2, 1), ("u", 0, "rejetee", None, 1)]


def test_les_sorts_d_avant_sont_comptes_par_la_migration(
    base: Any, proprietaire: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    nom = f"creances_avant_{uuid4().hex[:12]}"
    url, utilisateur = urlsplit(base.url_proprietaire)._replace(path=f"/{nom}").geturl(), urlsplit(base.url).username
    tous = list(migrations._files(FOLDER))
    proprietaire.execute(f"CREATE DATABASE {nom}")
    try:
        monkeypatch.setattr(migrations, "_files", lambda _: [un for un in tous if un[0] < COMPTES])
        migrate(url, utilisateur or "")
        with psycopg.connect(url) as conn:
            conn.execute(
                "INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, empreinte, champs)"
                " SELECT gen_random_uuid(), 't', 0, n, 'doublon', '', '', '{}' FROM generate_series(1, 3) AS n"
            )
        monkeypatch.undo()
        assert COMPTES in migrate(url, utilisateur or "")
        with psycopg.connect(url) as conn:
            assert comptes.fates_by_topic(conn) == {("t", "doublon"): 3}
            assert conn.execute(ECARTS).fetchall() == []
    finally:
        proprietaire.execute(f"DROP DATABASE {nom} WITH (FORCE)")
