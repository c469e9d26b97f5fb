"""PostgreSQL s'en va, refuse, se met en lecture seule : rien n'est écarté à tort, tout reprend seul."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from engine import database as bases
from engine.backoff import Backoff
from engine.batch import Batch
from engine.follower import Follower
from engine.outages import is_outage
from engine.recorder import Recorder, collect
from projections import RestantDu
from service import composition
from service.embedded import embedded_postgres, throwaway_folder
from service.schema import migrate
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification
from tests.courtiers import port_libre
from tests.engine.test_ordre import creance
from tests.mapper import MAPPER
from tests.outils import CREANCES, RACINE, attendre
from tests.pannes.commande import creances, environnement
from tests.pannes.conftest import api, etat, memes_journaux_et_vues, mesure, roles
from tests.relais import Relais

pytestmark = pytest.mark.usefixtures("delais_courts")

MARGE_S = 15.0
"""Ce qu'une machine occupée ajoute à une attente bornée (secondes)."""


@pytest.fixture
def proprietaire(base: Any) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion du propriétaire du schéma, en autocommit."""
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        yield conn


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def raccrocher(conn: psycopg.Connection[Any], applications: str) -> None:
    """Termine les sessions de ces applications sur la base du test, comme un redémarrage le ferait."""
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name ~ %s",
        (applications,),
    )


# --- Ce que PostgreSQL refuse : panne ou faute -----------------------------------------------------------------------


@contextmanager
def en_lecture_seule(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """La base d'après une bascule : elle répond, et refuse toute écriture."""
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET default_transaction_read_only = on")
    raccrocher(conn, "^(banc|follower-|role-|lease-)")
    try:
        yield
    finally:
        conn.execute("SET default_transaction_read_only = off")
        conn.execute(f"ALTER DATABASE {conn.info.dbname} RESET default_transaction_read_only")


@contextmanager
def sans_place(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Plus une connexion de libre pour le service."""
    conn.execute(f"ALTER DATABASE {conn.info.dbname} CONNECTION LIMIT 0")
    raccrocher(conn, "^(banc|follower-|role-|lease-)")
    try:
        yield
    finally:
        conn.execute(f"ALTER DATABASE {conn.info.dbname} CONNECTION LIMIT -1")


@contextmanager
def verrouillee(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Une table que quelqu'un retient plus longtemps que `lock_timeout`."""
    with conn.transaction():
        conn.execute("LOCK TABLE journal.sorts, vues.restant_du IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def disque_plein(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Chaque écriture d'événement finit en 53100."""
    conn.execute(
        "CREATE FUNCTION public.plein() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    for table in ("journal.sorts", "vues.restant_du"):
        conn.execute(f"CREATE TRIGGER plein BEFORE INSERT ON {table} EXECUTE FUNCTION public.plein()".encode())
    try:
        yield
    finally:
        conn.execute("DROP FUNCTION public.plein CASCADE")


@pytest.fixture
def pannes(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Les pannes qui ont interrompu un rôle, même quand la base ne peut pas les garder ; les reculs sont écourtés."""
    vues: list[BaseException] = []
    fail = Backoff.fail

    def noter(reprise: Backoff, erreur: BaseException) -> float:
        vues.append(erreur)
        return min(fail(reprise, erreur), 0.3)

    monkeypatch.setattr(Backoff, "fail", noter)
    return vues


@pytest.mark.parametrize("refus", [en_lecture_seule, sans_place, verrouillee, disque_plein])
def test_un_refus_de_la_base_n_est_la_faute_d_aucun_message_ni_d_aucun_evenement(  # noqa: PLR0917
    base: Any,
    b: Banc,
    proprietaire: psycopg.Connection[Any],
    pannes: list[BaseException],
    refus: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bases, "OPTIONS", "-c lock_timeout=200ms")
    topic = b.settings.topic_avis
    b.emettre_avis(avis(0))
    with banc(base.url, str(b.settings.kafka_bootstrap), b.settings.topic_prefix) as servi:
        with roles(servi, "avis", "restant_du"):
            attendre(lambda: proprietaire.execute("SELECT 1 FROM vues.restant_du").fetchall(), secondes=30)
            with refus(proprietaire):
                b.emettre_avis(*(avis(n) for n in range(1, 6)))
                attendre(lambda: pannes, secondes=30, quoi="une panne")
            compter = "SELECT (SELECT count(*) FROM journal.sorts), (SELECT count(*) FROM vues.restant_du)"
            attendre(lambda: proprietaire.execute(compter).fetchone() == (6, 6), secondes=40, quoi="la reprise")
            attendre(lambda: _interruptions(proprietaire) >= 1, secondes=20, quoi="une interruption gardée")
        assert all(map(is_outage, pannes)), pannes
    with banc(base.url, str(b.settings.kafka_bootstrap), b.settings.topic_prefix) as apres:
        assert apres.par_sort(topic) == {"appliquee": 6}
        assert proprietaire.execute("SELECT * FROM vues.ecartes").fetchall() == []
        memes_journaux_et_vues(apres)


def test_une_base_qui_refuse_les_positions_au_partage_n_est_pas_dite_une_panne_de_kafka(
    b: Banc, proprietaire: psycopg.Connection[Any], pannes: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Les positions se lisent dans l'écoute du partage, dont kafka-python enveloppe ce qu'elle lève."""
    monkeypatch.setattr(bases, "OPTIONS", "-c lock_timeout=200ms")
    b.emettre_avis(avis(1))
    with banc(b.guichet.base.url, str(b.settings.kafka_bootstrap), b.settings.topic_prefix) as servi:
        with proprietaire.transaction():
            proprietaire.execute("LOCK TABLE journal.positions IN ACCESS EXCLUSIVE MODE")
            with roles(servi, "avis"):
                attendre(lambda: pannes, secondes=30, quoi="une panne")
        with roles(servi, "avis"):
            attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=30, quoi="la reprise")
    assert [type(panne) for panne in pannes[:1]] == [psycopg.errors.LockNotAvailable]
    assert all(map(is_outage, pannes)), pannes


def test_une_donnee_que_la_base_refuse_n_ecarte_que_son_message_et_que_son_flux(
    b: Banc, proprietaire: psycopg.Connection[Any]
) -> None:
    """Un caractère intraduisible, une valeur trop longue : attendre n'y changerait rien."""
    fautif = avis(2)["reference"]
    proprietaire.execute(
        "CREATE FUNCTION public.refuser() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'intraduisible' USING ERRCODE = 'untranslatable_character'; END $$"
    )
    proprietaire.execute(
        "CREATE TRIGGER refuser BEFORE INSERT ON journal.sorts FOR EACH ROW"
        f" WHEN (new.objet = '{fautif}' AND new.sort = 'appliquee') EXECUTE FUNCTION public.refuser()".encode()
    )
    proprietaire.execute(
        "CREATE TRIGGER refuser BEFORE INSERT ON vues.restant_du FOR EACH ROW"
        f" WHEN (new.reference = '{avis(4)['reference']}') EXECUTE FUNCTION public.refuser()".encode()
    )
    b.emettre_avis(*(avis(n) for n in range(6)))
    b.consommer("avis", 6)
    assert b.par_sort(b.settings.topic_avis) == {"appliquee": 5, "rejetee": 1}
    (cause,) = b.conn.execute("SELECT cause FROM journal.sorts WHERE sort = 'rejetee'").fetchone() or ("",)
    assert "UntranslatableCharacter" in cause
    composition.follower(b.settings, b.guichet.recorder, "restant_du").catch_up()
    assert len(b.vue("restant_du", "reference")) == 4
    ecartes = b.conn.execute("SELECT flux FROM vues.ecartes").fetchall()
    assert ecartes == [(f"creance-{avis(4)['reference']}",)]


def test_un_message_aux_signes_que_postgresql_ne_sait_pas_garder_a_un_sort(b: Banc) -> None:
    """U+0000 est du JSON valable, et PostgreSQL n'en veut ni dans un texte ni dans un jsonb."""
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    t = b.ouvrir(avis(1)["reference"], 20_00)
    messages = [
        (t, notification(t, 20_00, authorisationId="76\x001208")),
        (t, notification(t, 20_00, maskedPan="5017\x00##########00")),
        (t, notification("PCLCB\x0060010009999", 20_00)),
        (t, notification(t, 20_00)),
    ]
    topic = b.settings.topic_notifications
    b.emettre(topic, messages)
    b.consommer("kiosque", len(messages))
    assert sum(b.par_sort(topic).values()) == len(messages)
    memes_journaux_et_vues(b)


def _interruptions(conn: psycopg.Connection[Any]) -> int:
    (somme,) = conn.execute("SELECT coalesce(sum(interruptions), 0) FROM vues.suiveurs").fetchone() or (0,)
    return int(somme)


# --- S'en aller, revenir ---------------------------------------------------------------------------------------------


@pytest.mark.lent
@pytest.mark.parametrize("coup", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "kill -9"])
def test_un_suiveur_et_un_guichet_reviennent_d_un_redemarrage_de_postgresql(coup: signal.Signals) -> None:
    with throwaway_folder() as dossier:
        with embedded_postgres(dossier, throwaway=True) as serveur:
            migrate(serveur.owner_database_url, "creances")
            url = serveur.database_url
            arret = threading.Event()
            suiveur = threading.Thread(target=Follower(url, RestantDu(), mapper=MAPPER).run, args=(arret,))
            recorder = Recorder(bases.Database(url), MAPPER)
            suiveur.start()
            ecrire_avis(recorder, 1)
            attendre(lambda: visibles(url) == 1, quoi="le premier avis visible")
            serveur.server.process.send_signal(coup)
            serveur.server.process.wait(60)
        try:
            debut = time.monotonic()
            with pytest.raises(psycopg.OperationalError):
                ecrire_avis(recorder, 2)
            assert time.monotonic() - debut < bases.POOL_TIMEOUT_S + MARGE_S
            with embedded_postgres(dossier, throwaway=True) as serveur:
                assert serveur.database_url == url
                ecrire_avis(recorder, 2)
                attendre(lambda: visibles(url) == 2, secondes=20, quoi="le second avis visible")
                arret.set()
                suiveur.join(60)
                assert not suiveur.is_alive()
        finally:
            arret.set()
            recorder.base.fermer()


def ecrire_avis(recorder: Recorder, numero: int) -> None:
    with recorder.base.transaction() as conn:
        recorder.record(conn, Batch(entries=collect([creance(numero)], "test")))


def visibles(url: str) -> int:
    with psycopg.connect(url) as conn:
        (compte,) = conn.execute("SELECT count(*) FROM vues.restant_du").fetchone() or (0,)
        return int(compte)


@pytest.mark.lent
def test_coupee_en_plein_lot_puis_absente_la_base_retrouve_le_meme_journal(
    base: Any, seconde_base: Any, base_relayee: tuple[Relais, str], kafka: str, prefixe: str
) -> None:
    relais, url = base_relayee
    with banc(base.url, kafka, prefixe, batch_size=4) as droit, banc(seconde_base.url, kafka, prefixe) as tranquille:
        creances = [avis(numero) for numero in range(8)]
        droit.emettre_avis(*creances)
        for b in (droit, tranquille):
            b.consommer("avis", len(creances))
        transactions = [droit.ouvrir(c["reference"], 20_00) for c in creances]
        assert transactions == [tranquille.ouvrir(c["reference"], 20_00) for c in creances]
        topic = droit.settings.topic_notifications
        dits = [(t, notification(t, 20_00, code)) for t in transactions for code in ("05", "00", "00")]
        with banc(url, kafka, prefixe, batch_size=4) as relaye:
            coupures = iter(("decider", "inscrire", "valider", "valide", "suite"))
            prochaine = next(coupures)

            def etape(nom: str) -> None:
                nonlocal prochaine
                if nom == prochaine:  # Au milieu d'un lot, une fois par étape ; puis, à la dernière, plus rien.
                    prochaine = next(coupures, "")
                    relais.raccrocher() if prochaine else relais.couper()

            boucle = composition.consumer(relaye.settings, relaye.guichet, "kiosque", etape)
            boucle.horloge = lambda: MAINTENANT
            arret = threading.Event()
            fil = threading.Thread(target=boucle.run, args=(arret,))
            fil.start()
            try:
                droit.emettre(topic, dits)
                attendre(lambda: relais._ecoute is None, secondes=40, quoi="la base coupée pour de bon")
                attendre(lambda: boucle._reprise.echecs >= 2, secondes=30, quoi="des essais sans elle")
                relais.retablir()
                attendre(lambda: droit.fates(topic) == len(dits), secondes=40, quoi="tous les sorts")
                attendre(lambda: etat(droit, boucle.nom)[0] == "actif", secondes=20, quoi="le rôle actif")
                assert etat(droit, boucle.nom)[2] >= 2, "les interruptions que la base n'a pu garder y sont dites après"
            finally:
                relais.retablir()
                arret.set()
                fil.join()
        tranquille.consommer("kiosque", len(dits))
        memes_journaux_et_vues(tranquille, droit)
        assert droit.par_sort(topic) == tranquille.par_sort(topic)


# --- Ce que l'API en dit ---------------------------------------------------------------------------------------------


def payer(client: httpx.Client, cle: str) -> tuple[httpx.Response, float]:
    """Ouvre un paiement ; rend la réponse, et le temps qu'elle a pris (secondes)."""
    debut = time.monotonic()
    corps = {"references": [avis(1)["reference"]], "montant_centimes": 20_00, "canal": "web"}
    reponse = client.post("/api/v1/paiements", json=corps, headers={"Idempotency-Key": cle})
    return reponse, time.monotonic() - debut


def exiger_une_indisponibilite(reponse: httpx.Response, duree_s: float) -> None:
    assert (reponse.status_code, reponse.json()["code"]) == (503, "base_indisponible")
    assert reponse.headers["Content-Type"] == "application/problem+json"
    assert int(reponse.headers["Retry-After"]) > 0
    assert duree_s < bases.POOL_TIMEOUT_S + MARGE_S


@pytest.mark.lent
def test_quand_le_pool_est_epuise_l_api_le_dit_dans_un_delai_et_n_ouvre_rien(
    base: Any, kafka: str, prefixe: str, tmp_path: Any
) -> None:
    with banc(base.url, kafka, prefixe, database_pool_max=1) as b:
        b.emettre_avis(avis(1))
        b.consommer("avis", 1)
        b.projeter()
        with api(b, tmp_path) as client:
            with b.guichet.base.transaction():
                exiger_une_indisponibilite(*payer(client, "k"))
                assert client.get(f"/api/v1/creances/{avis(1)['reference']}").status_code == 200, "on lit encore"
                assert client.get("/readyz").status_code == 503
                assert client.get("/livez").status_code == 200
                assert mesure(client, 'creances_roles_lisibles{serveur="postgresql"}') == 0
            assert payer(client, "k")[0].status_code == 201
            assert client.get("/readyz").status_code == 200
        ouverts = "SELECT count(*) FROM journal.evenements WHERE topic = 'paiement.PaiementOuvert'"
        assert b.conn.execute(ouverts).fetchone() == (1,)


@pytest.mark.lent
def test_sans_postgresql_l_api_repond_503_dans_un_delai_puis_se_retablit_seule(
    base: Any, base_relayee: tuple[Relais, str], kafka: str, prefixe: str, tmp_path: Any
) -> None:
    relais, url = base_relayee
    with banc(base.url, kafka, prefixe) as droit:
        droit.emettre_avis(avis(1))
        droit.consommer("avis", 1)
        droit.projeter()
        with banc(url, kafka, prefixe) as b, api(b, tmp_path) as client:
            lire = f"/api/v1/creances/{avis(1)['reference']}"
            assert client.get(lire).status_code == 200
            assert payer(client, "k1")[0].status_code == 201
            relais.couper()
            exiger_une_indisponibilite(*payer(client, "k2"))
            debut = time.monotonic()
            exiger_une_indisponibilite(client.get(lire), time.monotonic() - debut)
            assert client.get("/readyz").status_code == 503
            debut = time.monotonic()
            assert mesure(client, 'creances_roles_lisibles{serveur="postgresql"}') == 0
            assert (
                mesure(client, 'creances_http_requetes_total{methode="POST",route="/api/v1/paiements",statut="503"')
                == 1
            )
            assert time.monotonic() - debut < 30
            relais.retablir()
            attendre(lambda: client.get(lire).status_code == 200, secondes=20, quoi="on lit de nouveau")
            attendre(
                lambda: payer(client, "k1")[0].status_code == 201, secondes=20, quoi="la même clé, la même réponse"
            )
            attendre(lambda: client.get("/readyz").status_code == 200, secondes=20, quoi="prêt")


@pytest.mark.lent
def test_lag_et_audit_disent_en_une_phrase_que_postgresql_manque(b: Banc) -> None:
    absente = b.settings.model_copy(
        update={"database_url": f"postgresql://creances@127.0.0.1:{port_libre()}/creances?sslmode=disable"}
    )
    for commande in (("lag", "--json"), ("audit",)):
        fini = creances(absente, *commande)
        assert (fini.returncode, fini.stdout) == (1, "")
        assert fini.stderr.startswith("PostgreSQL ne répond pas"), fini.stderr
        assert "Traceback" not in fini.stderr
        assert "\\x" not in fini.stderr, "une phrase, sans ce que libpq y met pour un terminal"


@pytest.mark.lent
@pytest.mark.parametrize("commande", ["consume avis", "project", "publish", "relance", "sceller"])
def test_un_role_dont_la_base_est_absente_s_arrete_bien_quand_on_le_lui_demande(b: Banc, commande: str) -> None:
    """Deux attentes de suite d'une connexion, la tournée puis le dernier mot, passaient le temps qu'il a."""
    absente = b.settings.model_copy(
        update={"database_url": f"postgresql://creances@127.0.0.1:{port_libre()}/creances?sslmode=disable"}
    )
    role = subprocess.Popen(
        [*CREANCES, *commande.split()], cwd=RACINE, env=environnement(absente), stderr=subprocess.PIPE, text=True
    )
    assert role.stderr is not None
    try:
        for ligne in role.stderr:
            if '"essai"' in ligne:  # Une interruption dite.
                break
        role.send_signal(signal.SIGINT)
        dit = role.stderr.read()
        assert (role.wait(60), "roles_en_retard" in dit) == (0, False), dit
    finally:
        role.kill()
        role.wait(60)
        role.stderr.close()


@pytest.mark.lent
def test_une_base_d_une_autre_version_n_est_pas_dite_absente(b: Banc, base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("ALTER TABLE vues.restant_du RENAME COLUMN en_cours TO autrement")
    fini = creances(b.settings, "balance", avis(1)["reference"])
    assert fini.returncode == 1
    assert fini.stderr.startswith("Le schéma n'est pas celui de cette version"), fini.stderr
