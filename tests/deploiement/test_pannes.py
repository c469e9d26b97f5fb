"""Chaque panne, provoquée puis menée de l'alerte à la guérison par les seules commandes de sa fiche.

L'alerte est jugée par Prometheus (promtool) sur ce que `/metrics` dit pour de bon ; sans promtool, elle ne l'est pas,
et le reste se joue.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from service import composition
from service.embedded import throwaway_folder
from service.embedded.child import Child
from tests.consumers.banc import avis
from tests.deploiement.alarmes import attendre_l_alerte, attendre_la_fin
from tests.deploiement.banc import Exploitation, Lieu, exploitation
from tests.deploiement.postgresql import postgresql_archive
from tests.outils import CREANCES, RACINE, attendre
from tests.pannes.conftest import kafka_relaye as kafka_relaye  # noqa: PLC0414 (une fixture)
from tests.pannes.test_topics import refus_de_position as refus_de_position  # noqa: PLC0414 (une fixture)
from tests.pannes.test_topics import topic_id
from tests.relais import Relais, par_le_relais, serveur_postgresql

pytestmark = [
    pytest.mark.lent,
    pytest.mark.timeout(280),
    # Ce que kafka-python laisse au ramasse-miettes quand un rôle s'arrête en plein essai (voir tests/conftest.py).
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

UN, DEUX = avis(1), avis(2)


# --- Un rôle s'arrête ------------------------------------------------------------------------------------------------


def test_un_consommateur_arrete(e: Exploitation) -> None:
    e.demarrer()
    e.avis(UN)
    e.machine.docker("compose", "stop", "consume-avis")
    attendre_l_alerte(e, "RoleInactif")
    e.b.emettre_avis(DEUX)
    assert "consommateur_avis" in e.machine.jouer("role-inactif.md", "regarder")
    e.machine.jouer("role-inactif.md", "relancer", SERVICE="consume-avis", ROLES="consommateur_avis")
    e.machine.jouer("role-inactif.md", "fini")
    assert set(e.soldes()) == {UN["reference"], DEUX["reference"]}
    attendre_la_fin(e, "RoleInactif")


def test_des_suiveurs_tues(e: Exploitation) -> None:
    e.demarrer("api", "consume-avis", "consume-kiosque", "publish", "relance", "sceller")
    suiveurs = subprocess.Popen([*CREANCES, "project"], cwd=RACINE)
    try:
        e.avis(UN)
        attendre(e.soldes, secondes=40, quoi="la vue")
    finally:
        suiveurs.send_signal(signal.SIGKILL)
        suiveurs.wait(90)
    e.b.emettre_avis(DEUX)
    with closing(psycopg.connect(str(e.settings.database_url), autocommit=True)) as conn:  # Deux minutes ont passé.
        conn.execute("UPDATE vues.suiveurs SET battement_le = battement_le - interval '2 min' WHERE nom = 'restant_du'")
    attendre_l_alerte(e, "RoleInactif")
    assert "restant_du" in e.machine.jouer("role-inactif.md", "regarder")
    vues = " ".join(composition.VIEWS)
    e.machine.jouer("role-inactif.md", "relancer", SERVICE="project", ROLES=vues)
    e.machine.jouer("role-inactif.md", "fini")
    assert set(e.soldes()) == {UN["reference"], DEUX["reference"]}
    attendre_la_fin(e, "RoleInactif")


# --- Un message, un événement ----------------------------------------------------------------------------------------


def test_un_message_empoisonne(e: Exploitation) -> None:
    e.demarrer()
    e.avis(UN)
    avant = e.mesures()
    e.b.emettre(e.settings.topic_avis, [("x", b"\x00rien de lisible"), ("y", DEUX)])
    attendre(lambda: sum(e.sorts(e.settings.topic_avis).values()) == 3, secondes=40, quoi="les messages lus")
    attendre_l_alerte(e, "AnomaliesDeNotification", avant)
    [ligne] = attendre(lambda: anomalies(e), secondes=20, quoi="l'anomalie")
    e.machine.jouer("anomalies.md", "regarder", ID=ligne["id"])
    dit = e.machine.jouer("anomalies.md", "ecarter", ID=ligne["id"])
    assert "Aucune anomalie" in dit
    attendre(lambda: set(e.soldes()) == {UN["reference"], DEUX["reference"]}, secondes=20, quoi="l'avis d'après")


def anomalies(e: Exploitation) -> list[dict[str, Any]]:
    fini = e.machine.lancer("creances anomalies list --json")
    assert fini.code == 0, fini.dit
    return list(json.loads(fini.dit))


def test_un_evenement_empoisonne(e: Exploitation, base: Any) -> None:
    e.demarrer()
    e.avis(UN, DEUX)
    attendre(lambda: len(e.soldes()) == 2, secondes=30, quoi="la vue")
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:  # Un défaut du code : la vue refuse ce solde.
        conn.execute("ALTER TABLE vues.restant_du ADD CONSTRAINT essai CHECK (en_cours <> 2000)")
        e.ouvert(UN["reference"])
        attendre_l_alerte(e, "EvenementsEcartes")
        [ecarte] = [a["id"] for a in anomalies(e) if a["genre"] == "evenement_ecarte" and "restant_du" in a["id"]]
        assert "essai" in e.machine.jouer("evenements-ecartes.md", "regarder", REF=UN["reference"])
        assert e.ouvert(DEUX["reference"], 30_00), "les autres créances vont leur train"
        conn.execute("ALTER TABLE vues.restant_du DROP CONSTRAINT essai")  # La correction est déployée.
    e.machine.jouer("evenements-ecartes.md", "liberer", ID=ecarte)
    assert e.soldes()[UN["reference"]][1] == 20_00
    attendre_la_fin(e, "EvenementsEcartes")


# --- Une vue, une partition, un retard -------------------------------------------------------------------------------


def test_une_ligne_d_une_vue_change_a_la_main(e: Exploitation, base: Any) -> None:
    e.demarrer()
    e.avis(UN, DEUX)
    attendre(lambda: len(e.soldes()) == 2, secondes=30, quoi="la vue")
    avant = e.soldes()
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("UPDATE vues.restant_du SET solde = 1 WHERE reference = %s", (UN["reference"],))
    attendre_l_alerte(e, "VueDifferente")
    assert UN["reference"] in e.machine.jouer("vue-differente.md", "regarder")
    e.machine.jouer("vue-differente.md", "refaire", VUE="restant_du")
    assert e.soldes() == avant
    attendre_la_fin(e, "VueDifferente")
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("UPDATE vues.sorts SET messages = messages + 1")
    assert "sorts" in e.machine.lancer("creances audit").dit
    dit = e.machine.jouer("vue-differente.md", "compter", BASE=urlsplit(str(e.settings.database_url)).path[1:])
    assert "aucun écart" in dit


@pytest.mark.usefixtures("refus_de_position")
def test_une_partition_est_devenue_plus_courte(e: Exploitation) -> None:
    e.demarrer("api", "project", "publish", "relance")
    topic = e.settings.topic_avis
    with closing(psycopg.connect(str(e.settings.database_url), autocommit=True)) as conn:
        for partition in (0, 1):
            conn.execute(
                "INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a)"
                " VALUES (%s, %s, %s, 0, 999)",
                (topic_id(e.b, topic), topic, partition),
            )
    e.demarrer("consume-avis")
    attendre_l_alerte(e, "PartitionsArretees")
    assert topic in e.machine.jouer("partitions-arretees.md", "regarder").replace("\n", "")
    e.machine.lancer(f"creances reprendre-partition {topic} 1 --motif essai")
    e.machine.jouer("partitions-arretees.md", "reprendre", TOPIC=topic, PARTITION="0")
    e.avis(UN, DEUX)
    attendre(lambda: len(e.soldes()) == 2, secondes=30, quoi="la vue")
    attendre_la_fin(e, "PartitionsArretees")


def test_l_affichage_et_un_retard_se_regardent_et_se_rattrapent_et_l_api_revient(e: Exploitation) -> None:
    e.demarrer()
    e.avis(UN)
    attendre(e.soldes, secondes=30, quoi="la vue")
    ouvert = e.ouvert(UN["reference"])
    e.machine.docker("compose", "stop", "project")
    e.payer(ouvert)
    attendre(lambda: e.sorts(e.settings.topic_notifications), secondes=30, quoi="l'accord")
    base_de = urlsplit(str(e.settings.database_url)).path[1:]
    assert "delai_affichage" in e.machine.jouer("delai-affichage.md", "regarder", BASE=base_de)
    e.machine.docker("compose", "up", "--detach", "project")
    e.machine.jouer("delai-affichage.md", "fini")
    assert "soldes" in e.machine.jouer("retard.md", "regarder")
    e.machine.jouer("retard.md", "fini")
    e.machine.docker("compose", "stop", "api")
    e.machine.jouer("api-absente.md", "relancer")
    attendre(e.repond, secondes=30, quoi="l'API")
    assert "api" in e.machine.jouer("api-absente.md", "fini")


# --- Un serveur s'en va ----------------------------------------------------------------------------------------------


def test_le_courtier_s_en_va(lieu: Lieu, base: Any, kafka_relaye: Relais) -> None:
    chez = Lieu(f"127.0.0.1:{kafka_relaye.port}", lieu.prefixe, lieu.dossier, lieu.monkeypatch)
    with exploitation(chez, base.url, base.url_proprietaire) as e:
        e.demarrer()
        e.avis(UN)
        kafka_relaye.couper()
        attendre_l_alerte(e, "RolesIllisibles")
        assert "Kafka ne répond pas" in e.machine.jouer("roles-illisibles.md", "regarder")
        kafka_relaye.retablir()
        e.machine.jouer("roles-illisibles.md", "fini")
        e.avis(DEUX)
        attendre(lambda: len(e.soldes()) == 2, secondes=30, quoi="l'avis d'après")
        attendre_la_fin(e, "RolesIllisibles")


def test_postgresql_s_en_va(lieu: Lieu, base: Any) -> None:
    with (
        Relais(serveur_postgresql(base.url)) as relais,
        exploitation(lieu, par_le_relais(base.url, relais), base.url_proprietaire) as e,
    ):
        e.demarrer()
        e.avis(UN)
        relais.couper()
        attendre_l_alerte(e, "RolesIllisibles")
        assert "PostgreSQL ne répond pas" in e.machine.jouer("roles-illisibles.md", "regarder")
        e.b.emettre_avis(DEUX)
        relais.retablir()
        e.machine.jouer("roles-illisibles.md", "fini")
        attendre(lambda: len(e.soldes()) == 2, secondes=40, quoi="l'avis d'après")
        attendre_la_fin(e, "RolesIllisibles")


# --- La banque -------------------------------------------------------------------------------------------------------


def test_la_banque_se_tait(e: Exploitation) -> None:
    e.demarrer("consume-avis", "consume-kiosque", "project", "publish", "api")
    e.avis(UN)
    il_y_a = datetime.now(UTC) - timedelta(hours=3)
    reference = ReferenceCreance(UN["reference"])
    demande = Demande(Pseudonyme("a-1"), (reference,), Centimes(20_00), Canal.WEB, "cle", b"cle".ljust(32))
    guichet = composition.guichet(e.settings, application="essai")
    with guichet.base:
        ouvert = ouvrir_paiement(guichet, demande, il_y_a)
    guichet.kiosque.close()
    formulaire = {"url": ouvert.formulaire.url, "champs": dict(ouvert.formulaire.champs)}
    transaction = e.payer({"transaction": ouvert.transaction, "kiosque": formulaire}, perdue=True, office_code="99")
    attendre_l_alerte(e, "PaiementsSansReponse")
    e.machine.jouer("paiements-sans-reponse.md", "demander", TRANSACTION=transaction)
    consigne = {"transaction": transaction}
    httpx.post(f"{e.settings.kiosque_url}/simulateur/reglages", json=consigne, trust_env=False).raise_for_status()
    e.demarrer("relance")
    e.machine.jouer("paiements-sans-reponse.md", "entendre", TRANSACTION=transaction)
    assert e.accepte(transaction)
    attendre_la_fin(e, "PaiementsSansReponse")


def refuses(e: Exploitation) -> float:
    lignes = [ligne for ligne in e.mesures().splitlines() if ligne.startswith("creances_formulaires_refuses_total")]
    return sum(float(ligne.rpartition(" ")[2]) for ligne in lignes)


def test_la_cle_est_fausse(e: Exploitation, lieu: Lieu) -> None:
    secrets = lieu.dossier / "deploy/secrets"
    secrets.mkdir(parents=True)
    cle = secrets / "kiosque_secret_key"
    cle.write_text("une-autre-cle-que-celle-de-la-banque")
    e.demarrer("consume-avis", "project", "publish", "api")
    creances = [avis(n) for n in range(1, 14)]
    e.avis(*creances)
    ouverts = [e.ouvert(c["reference"]) for c in creances]
    lieu.monkeypatch.setenv("CREANCES_KIOSQUE_SECRET_KEY_FILE", str(cle))
    e.machine.docker("compose", "restart", "api")
    attendre(e.repond, secondes=30, quoi="l'API")
    premier, *autres = ouverts
    e.payer(premier)
    attendre(lambda: refuses(e) == 1, secondes=30, quoi="un formulaire de la banque refusé")
    avant = e.mesures()
    for ouvert in autres:
        e.payer(ouvert)
    attendre(lambda: refuses(e) == len(ouverts), secondes=30, quoi="les formulaires de la banque refusés")
    attendre_l_alerte(e, "FormulairesRefuses", avant)
    cle.write_text("002001000000001_KEY1")
    e.machine.jouer("formulaires-refuses.md", "regarder")
    dit = e.machine.jouer("formulaires-refuses.md", "corriger")
    assert "13 rejoués" in dit
    attendre(lambda: all(e.accepte(o["transaction"]) for o in ouverts), secondes=40, quoi="chaque accord")


# --- Un disque, une horloge ------------------------------------------------------------------------------------------


def test_un_disque_se_remplit(lieu: Lieu) -> None:
    with postgresql_archive() as pg:
        services = {"demarrer": pg.demarrer, "arreter": pg.arreter}
        with (
            exploitation(lieu, pg.servi.database_url, pg.servi.owner_database_url, services) as e,
            closing(psycopg.connect(pg.servi.owner_database_url, autocommit=True)) as conn,
        ):
            e.demarrer()
            e.avis(UN)
            conn.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
            conn.execute("SELECT pg_reload_conf()")
            conn.execute("SELECT pg_create_physical_replication_slot('replique_perdue', true)")
            for _ in range(8):
                conn.execute("SELECT pg_logical_emit_message(false, 'essai', 'x'), pg_switch_wal()")
            conn.execute("CHECKPOINT")
            assert retenu(conn) >= 8, "la fente le retient"
            assert "replique_perdue" in e.machine.jouer("disque.md", "regarder", BASE="creances")
            e.machine.jouer("disque.md", "lacher", BASE="creances", FENTE="replique_perdue")
            assert retenu(conn) <= 1

            conn.execute("ALTER SYSTEM SET archive_command = 'false'")
            conn.execute("SELECT pg_reload_conf(), pg_switch_wal()")
            echecs = "SELECT failed_count > 0, archived_count FROM pg_stat_archiver"
            attendre(lambda: (conn.execute(echecs).fetchone() or (False,))[0], secondes=60, quoi="un échec d'archivage")
            conn.execute("ALTER SYSTEM RESET archive_command")
            commande = f"test ! -f {pg.archives}/%f && cp %p {pg.archives}/%f"
            conn.execute(f"ALTER SYSTEM SET archive_command = '{commande}'".encode())
            conn.execute("SELECT pg_reload_conf()")
            (_, archives) = conn.execute(echecs).fetchone() or (False, 0)
            e.machine.jouer("disque.md", "archiver", BASE="creances")
            attendre(
                lambda: (conn.execute(echecs).fetchone() or (False, 0))[1] > archives,
                secondes=60,
                quoi="l'archivage qui reprend",
            )
            gardes = sorted(f.name for f in pg.archives.iterdir())
            e.machine.jouer("disque.md", "purger", ARCHIVES=str(pg.archives), PREMIER=gardes[-1])
            assert [f.name for f in pg.archives.iterdir()] == gardes[-1:]
            e.machine.jouer("disque.md", "fini")


def retenu(conn: psycopg.Connection[Any]) -> int:
    """Les segments de WAL d'avant celui qui s'écrit."""
    requete = "SELECT count(*) FROM pg_ls_waldir() WHERE name < pg_walfile_name(pg_current_wal_lsn())"
    (nombre,) = conn.execute(requete).fetchone() or (0,)
    return int(nombre)


FAUX_TEMPS = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.fixture
def ouvert_a_tous() -> Iterator[Path]:
    """Un dossier où l'utilisateur de PostgreSQL peut lire."""
    with throwaway_folder() as dossier:
        dossier.chmod(0o755)
        yield dossier


@pytest.mark.skipif(not FAUX_TEMPS.exists(), reason="il manque libfaketime (Debian : apt-get install faketime)")
def test_l_horloge_de_postgresql_saute(lieu: Lieu, ouvert_a_tous: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heure = ouvert_a_tous / "heure"
    heure.write_text("+0")
    heure.chmod(0o644)
    lancer = Child.start.__func__  # type: ignore[attr-defined]

    # Posé par `env`, après le changement d'utilisateur : la bibliothèque crée son sémaphore au nom de qui l'a chargée.
    faux_temps = [
        "/usr/bin/env",
        f"LD_PRELOAD={FAUX_TEMPS}",
        f"FAKETIME_TIMESTAMP_FILE={heure}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]

    def avec_faux_temps(cls: type[Child], nom: str, commande: list[str], *autres: Any, **options: Any) -> Child:
        lancee = [*faux_temps, *commande] if nom == "PostgreSQL" else commande
        return lancer(cls, nom, lancee, *autres, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(Child, "start", classmethod(avec_faux_temps))
    with postgresql_archive() as pg, exploitation(lieu, pg.servi.database_url, pg.servi.owner_database_url) as e:
        e.demarrer()
        e.avis(UN)
        attendre_la_fin(e, "HorlogesEnDesaccord")
        heure.write_text("+1h")
        attendre_l_alerte(e, "HorlogesEnDesaccord")
        attendre(
            lambda: e.lire("SELECT 1 FROM vues.suiveurs WHERE derniere_erreur LIKE '%%horloge%%'"),
            secondes=30,
            quoi="le désaccord dit par un rôle",
        )
        e.machine.jouer("horloges.md", "regarder", BASE="creances")
        e.avis(DEUX)
        attendre(lambda: len(e.soldes()) == 2, secondes=30, quoi="rien ne s'arrête pour une horloge")
        heure.write_text("+0")
        attendre_la_fin(e, "HorlogesEnDesaccord")
        [(derniere,)] = e.lire("SELECT max(enregistre_le) FROM journal.evenements")
        assert derniere < datetime.now(UTC) + timedelta(minutes=5), "le saut est borné"
