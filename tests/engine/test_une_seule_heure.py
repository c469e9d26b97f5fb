"""Ce qui s'écrit d'un même geste porte la même heure, bornée par l'horloge de qui écrit, en chaque table du journal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from engine import positions
from engine.batch import Advance, Batch, Fate, Held, IdempotencyKey, Partition, Settled
from engine.recorder import Recorder, collect
from tests.engine.epreuve import MAPPER, T0
from tests.engine.test_ordre import creance
from tests.outils import RACINE

PARTITION = Partition(UUID(int=7), "epreuve", 0)
SALLES = ("engine", "guichet", "consumers", "projections", "preuve", "publication", "service", "api")
ECRITES = ("evenements", "positions", "sorts", "cles_idempotence", "attentes", "attentes_reglees")
TRENTE_HEURES = timedelta(hours=30)
PROCHE = timedelta(minutes=2)


def tout(numero: int) -> Batch:
    """Un lot qui écrit dans toutes ses tables."""
    return Batch(
        entries=collect([creance(numero)], "epreuve"),
        fates=[Fate(PARTITION, numero, "en_souffrance", "attend", None, b"\0" * 32, {})],
        advances=[Advance(PARTITION, numero, numero + 1)],
        cle=IdempotencyKey("a-1", f"cle-{numero}", b"\0" * 32, {}),
        held=[Held(PARTITION, numero, None, b"x", T0, "creance-x", "son avis n'est pas venu")],
        settled=[Settled(PARTITION, numero, "appliquee", "enregistré")],
    )


def heures(conn: psycopg.Connection[Any]) -> dict[str, list[datetime]]:
    return {
        table: [
            heure
            for (heure,) in conn.execute(
                f"SELECT enregistre_le FROM journal.{table} ORDER BY enregistre_le".encode()  # noqa: S608
            )
        ]
        for table in ECRITES
    }


def test_un_saut_en_avant_de_postgresql_ne_separe_pas_un_fait_de_son_message(
    recorder: Recorder, service: psycopg.Connection[Any]
) -> None:
    """Pour l'écrivain dont l'horloge a trente heures de moins, c'est celle de PostgreSQL qui a sauté."""
    notre = datetime.now(UTC) - TRENTE_HEURES
    avant = Recorder(recorder.base, MAPPER, clock=lambda: datetime.now(UTC) - TRENTE_HEURES)
    with recorder.base.transaction() as conn:
        avant.record(conn, tout(0))
    for table, lues in heures(service).items():
        assert [abs(heure - notre) < PROCHE for heure in lues] == [True], table


def test_une_horloge_revenue_en_arriere_ne_les_separe_pas_non_plus(
    recorder: Recorder, service: psycopg.Connection[Any], proprietaire: psycopg.Connection[Any]
) -> None:
    """Le dernier événement a trente heures d'avance sur elle : rien ne s'écrit avant lui."""
    [(dernier,)] = proprietaire.execute("SELECT clock_timestamp() + interval '30 hours'").fetchall()
    proprietaire.execute(
        "SELECT setval('journal.horloge', (extract(epoch FROM %s::timestamptz) * 1000000)::int8)", (dernier,)
    )
    with recorder.base.transaction() as conn:
        recorder.record(conn, tout(0))
    for table, lues in heures(service).items():
        assert lues == [dernier], table


def test_un_topic_rencontre_pendant_un_saut_ne_l_est_pas_le_lendemain(
    service: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    notre = datetime.now(UTC) - TRENTE_HEURES
    monkeypatch.setattr(positions, "latest", notre.isoformat)
    positions.encounter(service, "epreuve", UUID(int=8))
    assert service.execute("SELECT enregistre_le FROM journal.topics").fetchall() == [(notre,)]


def test_aucune_table_du_journal_ne_porte_la_seule_horloge_de_postgresql(service: psycopg.Connection[Any]) -> None:
    defauts = service.execute(
        "SELECT attrelid::regclass::text, pg_get_expr(adbin, adrelid) FROM pg_attrdef"
        " JOIN pg_attribute a ON a.attrelid = adrelid AND a.attnum = adnum"
        " JOIN pg_class c ON c.oid = adrelid WHERE c.relnamespace = 'journal'::regnamespace"
        " AND a.atttypid = 'timestamptz'::regtype"
    ).fetchall()
    assert {expression for _, expression in defauts} == {"journal.heure()"}
    assert len(defauts) > 20


def test_chaque_instruction_qui_ecrit_au_journal_dit_sa_borne() -> None:
    """Celle des événements suit la prise de l'ordre, qui la dit."""
    sans = [
        f"{chemin.relative_to(RACINE)}: {table}"
        for salle in SALLES
        for chemin in sorted((RACINE / salle).rglob("*.py"))
        for table, suite in re.findall(r'INSERT INTO journal\.(\w+)(.*?)"""', chemin.read_text("utf-8"), re.DOTALL)
        if "{AT_MOST}" not in suite and table != "evenements"
    ]
    assert sans == []
    # Aucune ne se cache dans une chaîne d'une ligne, que la recherche ci-dessus lirait avec la suivante.
    assert not [
        chemin
        for salle in SALLES
        for chemin in sorted((RACINE / salle).rglob("*.py"))
        if re.search(r'" *INSERT INTO journal', chemin.read_text("utf-8"))
    ]
