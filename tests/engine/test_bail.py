"""Le bail du meneur : figé, tué, ou au bout d'un lien coupé, il est remplacé ; revenu trop tard, il n'écrit rien."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine import lease
from engine.database import connect
from engine.follower import BACKOFF_MAX_S, WAKE_MAX_S, Follower, LeadershipLost
from engine.lease import CLOCK_SLACK_S, LEASE_S, Lease
from engine.recorder import Recorder
from tests.engine.epreuve import MAPPER, Trace, ecrire, pas
from tests.outils import RACINE, attendre, environnement
from tests.relais import Relais, par_le_relais, serveur_postgresql

BAIL_S = 1.5
BAIL_RENOUVELE_S = 5.0
"""Le tiers de cela, où il se renouvelle, doit suffire à une machine occupée."""
RELEVE_S = 15.0
"""Au bout de ce silence, un autre mène."""
MARGE_S = 15.0
"""Ce qu'une machine occupée y ajoute, avant et après."""

Lancer = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def vue(service: psycopg.Connection[Any]) -> Trace:
    """La vue d'épreuve et sa table."""
    trace = Trace()
    trace.creer(service)
    return trace


@pytest.fixture
def lancer(base: Any) -> Iterator[Lancer]:
    """Lance un suiveur dans un processus à lui ; tué à la fin, même figé."""
    with ExitStack() as pile:

        def demarrer(*options: object, bail_s: float = BAIL_S, url: str = base.url) -> subprocess.Popen[bytes]:
            commande = [sys.executable, "-m", "tests.engine.suiveur_seul", url, "epreuve", bail_s, 3, *options]
            processus = subprocess.Popen(
                list(map(str, commande)), env=environnement(), cwd=RACINE, stdout=subprocess.DEVNULL
            )
            pile.callback(processus.wait)
            pile.callback(processus.kill)
            return processus

        yield demarrer


def bail(conn: psycopg.Connection[Any]) -> Any:
    (numero,) = conn.execute("SELECT bail FROM vues.suiveurs WHERE nom = 'epreuve'").fetchone() or (None,)
    return numero


def est_fige(processus: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{processus.pid}/stat").read_text("utf-8").rpartition(") ")[2].startswith("T")


def insiste(conn: psycopg.Connection[Any]) -> bool:
    """Dit si une session demande un bail qu'une autre tient."""
    requete = (
        "SELECT 1 FROM pg_stat_activity a, vues.suiveurs s WHERE a.datname = current_database()"
        " AND a.application_name = 'follower-epreuve' AND a.pid <> s.bail_session AND s.nom = 'epreuve'"
    )
    return bool(conn.execute(requete).fetchall())


def suite(jusqu_a: int) -> str:
    return " ".join(map(str, range(1, jusqu_a + 1)))


def test_les_delais_donnent_la_releve_en_quinze_secondes() -> None:
    assert LEASE_S + CLOCK_SLACK_S + WAKE_MAX_S < RELEVE_S
    assert LEASE_S + BACKOFF_MAX_S <= RELEVE_S


@pytest.mark.parametrize(
    "etape", [*(pytest.param(nom, marks=pytest.mark.lent) for nom in ("lire", "appliquer")), "valider"]
)
def test_un_meneur_fige_est_remplace_et_revenu_n_applique_rien_deux_fois(
    recorder: Recorder, service: psycopg.Connection[Any], vue: Trace, lancer: Lancer, etape: str
) -> None:
    ecrire(recorder, *(pas("a", version) for version in range(1, 8)))
    premier = lancer(etape, 2)  # Au second lot : à « valider », il tient la ligne de la position.
    attendre(lambda: est_fige(premier), secondes=60, quoi="le premier figé")
    assert vue.lire(service) == {"a": suite(3)}
    second = lancer()
    attendre(lambda: vue.lire(service) == {"a": suite(7)}, secondes=60, quoi="la relève")
    premier.send_signal(signal.SIGCONT)
    ecrire(recorder, *(pas("a", version) for version in range(8, 15)))
    attendre(lambda: vue.lire(service) == {"a": suite(14)}, quoi="la suite")
    for processus in (premier, second):
        processus.terminate()
        assert processus.wait(60) == 0
    assert vue.lire(service) == {"a": suite(14)}
    assert bail(service) is None


@pytest.mark.lent
def test_aux_delais_de_production_un_meneur_fige_en_ecrivant_est_remplace_en_quinze_secondes(
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
    lancer: Lancer,
) -> None:
    ecrire(recorder, *(pas("a", version) for version in range(1, 8)))
    premier = lancer("valider", 2, bail_s=LEASE_S)
    attendre(lambda: est_fige(premier), secondes=60, quoi="le premier figé")
    assert vue.lire(service) == {"a": suite(3)}

    def releve() -> bool:
        return vue.lire(service) == {"a": suite(7)}

    second = lancer(bail_s=LEASE_S)
    attendre(lambda: insiste(proprietaire) or releve(), secondes=60, quoi="le second le demande")
    demande_a = time.monotonic()  # Le démarrage d'un processus n'en est pas.
    attendre(releve, secondes=60, quoi="la relève")
    assert time.monotonic() - demande_a < RELEVE_S + MARGE_S
    second.terminate()
    assert second.wait(60) == 0


@pytest.mark.lent
def test_deux_meneurs_figes_et_reveilles_ensemble_n_appliquent_rien_deux_fois(
    recorder: Recorder, service: psycopg.Connection[Any], vue: Trace, lancer: Lancer
) -> None:
    ecrire(recorder, *(pas("a", version) for version in range(1, 13)))
    premier = lancer("valider", 2)
    attendre(lambda: est_fige(premier), secondes=60, quoi="le premier figé")
    second = lancer("appliquer", 2)
    attendre(lambda: est_fige(second), secondes=60, quoi="le second figé")
    for processus in (premier, second):
        processus.send_signal(signal.SIGCONT)
    attendre(lambda: vue.lire(service) == {"a": suite(12)}, secondes=60, quoi="tout appliqué")
    ecrire(recorder, *(pas("a", version) for version in range(13, 21)))
    attendre(lambda: vue.lire(service) == {"a": suite(20)}, secondes=60, quoi="la suite")


def test_un_meneur_tue_est_remplace_sans_attendre_la_fin_de_son_bail(
    recorder: Recorder,
    service: psycopg.Connection[Any],
    proprietaire: psycopg.Connection[Any],
    vue: Trace,
    lancer: Lancer,
) -> None:
    ecrire(recorder, pas("a", 1))
    longtemps_s = 60 * LEASE_S
    premier = lancer(bail_s=longtemps_s)
    attendre(lambda: vue.lire(service) == {"a": "1"})
    numero = bail(service)
    lancer(bail_s=longtemps_s)
    attendre(lambda: insiste(proprietaire), secondes=60, quoi="le second attend")
    premier.kill()
    ecrire(recorder, pas("a", 2))
    attendre(lambda: vue.lire(service) == {"a": "1 2"}, quoi="la relève")
    assert bail(service) != numero


def test_un_meneur_dont_le_lien_se_tait_est_remplace(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    ecrire(recorder, *(pas("a", version) for version in range(1, 8)))
    with Relais(serveur_postgresql(base.url)) as relais:

        def couper(etape: str) -> None:
            if etape == "valider":
                relais.faire_taire()

        arret = threading.Event()
        lointain = Follower(
            par_le_relais(base.url, relais), vue, lot_max=3, lease_s=BAIL_S, etape=couper, mapper=MAPPER
        )
        fil = threading.Thread(target=lointain.run, args=(arret,), daemon=True)
        fil.start()
        attendre(lambda: not relais._passe.is_set(), quoi="le lien coupé")
        proche = Trace()
        attendre(lambda: rattrape(base.url, proche), secondes=60, quoi="la relève")
        arret.set()
        relais.couper()
        relais._passe.set()
        fil.join(60)
        assert not fil.is_alive()
    assert vue.lire(service) == {"a": suite(7)}


def rattrape(url: str, vue: Trace) -> bool:
    try:
        Follower(url, vue, lease_s=BAIL_S, mapper=MAPPER).catch_up()
    except LeadershipLost:
        return False
    return True


# --- Le bail lui-même ------------------------------------------------------------------------------------------------


@pytest.fixture
def connexion(base: Any) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion comme celle d'un suiveur."""
    with closing(connect(base.url, application="follower-epreuve")) as conn:
        conn.execute("INSERT INTO vues.suiveurs (nom) VALUES ('epreuve')")
        yield conn


def test_un_bail_tenu_n_est_pas_pris_et_le_sien_l_est_sous_un_autre_numero(
    base: Any, connexion: psycopg.Connection[Any]
) -> None:
    premier, second = Lease(base.url, "epreuve"), Lease(base.url, "epreuve")
    assert premier.take(connexion)
    assert not second.take(connexion)
    ancien = premier.number
    assert premier.take(connexion)
    assert premier.number != ancien
    premier.release(connexion)
    assert second.take(connexion)


@pytest.mark.parametrize("saut", ["-1 hour", "1 hour", "10 years"])
def test_une_expiration_que_seul_un_saut_d_horloge_explique_n_est_pas_crue(
    base: Any, connexion: psycopg.Connection[Any], saut: str
) -> None:
    assert Lease(base.url, "epreuve").take(connexion)
    connexion.execute("UPDATE vues.suiveurs SET bail_expire_le = bail_expire_le + %s::interval", (saut,))
    assert Lease(base.url, "epreuve").take(connexion)


@pytest.mark.lent
def test_le_bail_est_renouvele_pendant_un_long_lot_et_en_attendant(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    ecrire(recorder, pas("a", 1))
    long_lot = threading.Event()

    def etape(nom: str) -> None:
        if nom == "lire":
            long_lot.wait(3 * BAIL_RENOUVELE_S)

    arret = threading.Event()
    fil = threading.Thread(
        target=Follower(base.url, vue, lease_s=BAIL_RENOUVELE_S, wake_max_s=0.1, etape=etape, mapper=MAPPER).run,
        args=(arret,),
    )
    fil.start()
    try:
        attendre(lambda: bail(service), quoi="le bail pris")
        numero, debut = bail(service), time.monotonic()
        while time.monotonic() - debut < 2 * BAIL_RENOUVELE_S:
            with pytest.raises(LeadershipLost):
                Follower(base.url, Trace(), lease_s=BAIL_RENOUVELE_S, mapper=MAPPER).catch_up()
            arret.wait(0.1)  # Sans rien prendre à celui qui renouvelle.
        long_lot.set()
        attendre(lambda: vue.lire(service) == {"a": "1"})
        debut = time.monotonic()
        while time.monotonic() - debut < 2 * BAIL_RENOUVELE_S:
            with pytest.raises(LeadershipLost):
                Follower(base.url, Trace(), lease_s=BAIL_RENOUVELE_S, mapper=MAPPER).catch_up()
            arret.wait(0.1)  # Sans rien prendre à celui qui renouvelle.
        assert bail(service) == numero
    finally:
        arret.set()
        fil.join(60)
    assert bail(service) is None


def test_un_meneur_qui_n_a_pas_pu_renouveler_n_agit_plus_hors_de_la_base(
    base: Any, connexion: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    heure_s = 1_000.0
    monkeypatch.setattr(lease, "_now_s", lambda: heure_s)
    tenu = Lease(base.url, "epreuve", 60)
    assert tenu.take(connexion)
    heure_s += 59
    tenu.require()
    heure_s += 2
    with pytest.raises(LeadershipLost):
        tenu.require()


def test_ce_qui_est_libere_n_est_pas_applique_par_un_meneur_en_retard(
    base: Any, recorder: Recorder, service: psycopg.Connection[Any], vue: Trace
) -> None:
    vue.fautives = {13}
    ecrire(recorder, pas("a", 1), pas("a", 2, 13))
    retarde = Follower(base.url, vue, mapper=MAPPER)
    with closing(connect(base.url, application="follower-epreuve")) as conn:
        assert retarde._lead(conn)
        retarde.avancer(conn)
        assert vue.ecartes(service) == [("a", 2)]
        vue.fautives = set()
        service.execute("UPDATE vues.ecartes SET libere_le = now()")
        lire = retarde._read
        fait: list[Any] = []

        def devancer(row: Any) -> Any:
            if not fait:
                fait.append(row)
                service.execute("UPDATE vues.suiveurs SET bail_expire_le = clock_timestamp()")
                Follower(base.url, vue, mapper=MAPPER).catch_up()
            return lire(row)

        retarde._read = devancer  # type: ignore[method-assign]
        with pytest.raises(LeadershipLost):
            retarde.avancer(conn)
    assert vue.lire(service) == {"a": "1 2"}
