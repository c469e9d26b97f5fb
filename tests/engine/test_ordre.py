"""L'ordre du journal, son ajout seul, et ce qui arrive quand une réponse se perd."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine import clocks
from engine.batch import Batch
from engine.conflicts import VersionConflict
from engine.database import Database
from engine.follower import Follower
from engine.recorder import Recorder, collect
from projections import RestantDu
from tests.engine.epreuve import MAPPER
from tests.outils import attendre

T0 = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)


def creance(numero: int) -> Créance:
    avis = Avis(
        ReferenceCreance(f"38117012{numero:08d}F"),
        Pseudonyme("a-1"),
        CodeCaisse("381"),
        "PF/FR",
        Centimes(87_09),
        Centimes(87_09),
        date(2026, 5, 12),
        Mode.PAPIER,
    )
    return Créance.ouvrir(avis, Politique(), maintenant=T0)


def record(recorder: Recorder, conn: Any, numero: int) -> None:
    recorder.record(conn, Batch(entries=collect([creance(numero)], "test")))


@pytest.fixture
def recorder(base: Any) -> Iterator[Recorder]:
    with Database(base.url, application="test-journal", connexions_max=12) as ouverte:
        yield Recorder(ouverte, MAPPER)


@pytest.mark.parametrize("avec_le_verrou", [True, False])
def test_un_suiveur_ne_manque_rien_grace_au_verrou_et_manque_sans_lui(
    base: Any,
    recorder: Recorder,
    avec_le_verrou: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Le premier écrit et ne valide pas ; le second écrit et valide ; le suiveur passe ; le premier valide."""
    if not avec_le_verrou:
        monkeypatch.setattr(Recorder, "take_order", lambda *_: None)
        with psycopg.connect(base.url_proprietaire) as conn:  # La base le prend aussi d'elle-même.
            requete = "SELECT pg_get_functiondef('journal.mettre_a_l_heure'::regproc)"
            (fonction,) = conn.execute(requete).fetchone() or ("",)
            conn.execute(fonction.replace("PERFORM pg_advisory_xact_lock", "-- ").encode())
    suiveur = Follower(base.url, RestantDu(), mapper=MAPPER)
    valide = threading.Event()

    def second() -> None:
        with recorder.base.transaction() as conn:
            record(recorder, conn, 2)
        valide.set()

    fil = threading.Thread(target=second)
    with psycopg.connect(base.url, autocommit=True) as guetteur:
        with recorder.base.transaction() as conn:
            record(recorder, conn, 1)
            fil.start()
            if avec_le_verrou:
                attendre(lambda: _attend_un_verrou(guetteur), quoi="le second attend son tour")
                assert not valide.is_set()
            else:
                assert valide.wait(60)
            suiveur.catch_up()
        fil.join()
        suiveur.catch_up()
        (vues,) = guetteur.execute("SELECT count(*) FROM vues.restant_du").fetchone() or (0,)
    assert vues == (2 if avec_le_verrou else 1)


def test_huit_ecrivains_et_un_suiveur_qui_les_talonne_ne_perdent_aucun_evenement(base: Any, recorder: Recorder) -> None:
    ecrivains, chacun = 8, 40
    arret = threading.Event()
    suiveur = threading.Thread(target=Follower(base.url, RestantDu(), lot_max=50, mapper=MAPPER).run, args=(arret,))
    suiveur.start()

    def ecrire(rang: int) -> None:
        for n in range(chacun):
            with recorder.base.transaction() as conn:
                record(recorder, conn, rang * 1000 + n)

    fils = [threading.Thread(target=ecrire, args=(rang,)) for rang in range(ecrivains)]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    try:
        with psycopg.connect(base.url, autocommit=True) as conn:
            requete = "SELECT count(*) FROM vues.restant_du"
            attendre(lambda: conn.execute(requete).fetchone() == (ecrivains * chacun,), secondes=20)
            heures = [h for (h,) in conn.execute("SELECT enregistre_le FROM journal.evenements ORDER BY position")]
    finally:
        arret.set()
        suiveur.join()
    assert heures == sorted(heures)


def test_l_heure_d_enregistrement_ne_recule_jamais(base: Any, recorder: Recorder) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        # L'horloge du serveur avançait d'une heure, puis on l'a remise.
        conn.execute(
            "SELECT setval('journal.horloge',"
            " (extract(epoch FROM clock_timestamp() + interval '1 hour') * 1000000)::int8)"
        )
        with recorder.base.transaction() as ecriture:
            record(recorder, ecriture, 2)
        with recorder.base.transaction() as ecriture:
            record(recorder, ecriture, 1)
        heures = [h for (h,) in conn.execute("SELECT enregistre_le FROM journal.evenements ORDER BY position")]
    assert heures[1] == heures[0]


def test_un_saut_en_avant_de_l_horloge_de_postgresql_est_borne_et_guerit(recorder: Recorder) -> None:
    # Pour l'écrivain dont l'horloge a une heure de moins, c'est celle de PostgreSQL qui a sauté.
    une_heure = timedelta(hours=1)
    avant = Recorder(recorder.base, MAPPER, clock=lambda: datetime.now(UTC) - une_heure)
    with recorder.base.transaction() as conn:
        record(avant, conn, 1)
    with recorder.base.transaction() as conn:
        ((sautee,),) = conn.execute("SELECT enregistre_le FROM journal.evenements").fetchall()
    assert timedelta() < sautee - (datetime.now(UTC) - une_heure) < clocks.AHEAD_MAX + timedelta(minutes=2)
    with recorder.base.transaction() as conn:
        record(recorder, conn, 2)
    with recorder.base.transaction() as conn:
        heures = [h for (h,) in conn.execute("SELECT enregistre_le FROM journal.evenements ORDER BY position")]
    assert heures == sorted(heures)
    assert abs(heures[-1] - datetime.now(UTC)) < timedelta(minutes=2)


@pytest.mark.parametrize(
    "table", ["evenements", "positions", "sorts", "cles_idempotence", "topics", "pertes", "arrets", "reprises"]
)
@pytest.mark.parametrize("ordre", ["UPDATE {} SET enregistre_le = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_personne_ne_change_ce_qui_est_ecrit(base: Any, table: str, ordre: str) -> None:
    for url in (base.url, base.url_proprietaire):
        with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(ordre.format(f"journal.{table}").encode())


def test_personne_ne_choisit_une_position(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire) as conn, pytest.raises(psycopg.errors.GeneratedAlways):
        conn.execute(
            "INSERT INTO journal.evenements (position, flux, version, topic, etat, cause)"
            " VALUES (1, 'f', 1, 't', '', 'c')"
        )


def test_deux_ecritures_de_la_meme_version_se_heurtent(recorder: Recorder) -> None:
    with recorder.base.transaction() as conn:
        record(recorder, conn, 1)
    with pytest.raises(VersionConflict), recorder.base.transaction() as conn:
        record(recorder, conn, 1)


def test_un_evenement_illisible_est_ecarte_avec_les_suivants_de_son_flux_et_les_autres_avancent(
    base: Any, recorder: Recorder
) -> None:
    fautive = creance(1)
    with recorder.base.transaction() as conn:
        recorder.record(conn, Batch(entries=collect([fautive], "test")))
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " VALUES (%s, 2, 'creance.PaiementInitie', 'pas du JSON', 'planté')",
            (fautive.id,),
        )
        fautive.version = 2
        fautive.initier_paiement(ReferenceTransaction("T1"), Centimes(20_00), Canal.WEB, T0, maintenant=T0)
        with recorder.base.transaction() as ecriture:
            recorder.record(ecriture, Batch(entries=collect([fautive], "test")))
            record(recorder, ecriture, 2)
        Follower(base.url, RestantDu(), mapper=MAPPER).catch_up()
        assert conn.execute("SELECT reference, en_cours FROM vues.restant_du ORDER BY 1").fetchall() == [
            (creance(1).avis.reference, 0),
            (creance(2).avis.reference, 0),
        ]
        ecartes = conn.execute("SELECT position FROM vues.ecartes WHERE suiveur = 'restant_du'").fetchall()
        assert len(ecartes) == 2

        conn.execute("UPDATE vues.ecartes SET libere_le = now()")
        Follower(base.url, RestantDu(), mapper=MAPPER).catch_up()
        assert conn.execute("SELECT count(*) FROM vues.ecartes WHERE libere_le IS NULL").fetchone() == (2,)


def _attend_un_verrou(conn: Any) -> bool:
    requete = (
        "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"
    )
    return bool(conn.execute(requete).fetchall())
