"""Les pannes qui viennent de la banque, de Kafka, du temps et des requêtes, de l'alerte à la guérison par leur fiche.

Comme `test_pannes.py` ; Prometheus lui-même scrute l'API là où la fiche l'interroge.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from kafka import KafkaAdminClient, TopicPartition

from domain.delai import PARIS
from service import kafka
from tests.arretes.autorite import autorite
from tests.arretes.histoires import histoire
from tests.consumers.banc import avis, notification
from tests.courtiers import Courtier, port_libre
from tests.deploiement.alarmes import attendre_l_alerte, attendre_la_fin
from tests.deploiement.banc import Exploitation, Lieu, exploitation
from tests.outils import attendre
from tests.pannes.conftest import delais_courts as delais_courts  # noqa: PLC0414 (une fixture)
from tests.pannes.conftest import kafka_relaye as kafka_relaye  # noqa: PLC0414 (une fixture)
from tests.relais import Relais

pytestmark = [
    pytest.mark.lent,
    pytest.mark.timeout(280),
    # Ce que kafka-python laisse au ramasse-miettes quand un rôle s'arrête en plein essai (voir tests/conftest.py).
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

UN, DEUX, TROIS = avis(1), avis(2), avis(3)
avec_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="il manque prometheus (Debian : apt-get install prometheus)"
)


# --- Kafka a effacé, ou recréé ---------------------------------------------------------------------------------------


def test_des_messages_effaces_avant_d_etre_lus_reviennent_par_le_fichier_de_la_caisse(
    lieu: Lieu, base: Any, courtier_durable: Courtier
) -> None:
    chez = Lieu(courtier_durable.bootstrap, lieu.prefixe, lieu.dossier, lieu.monkeypatch)
    with exploitation(chez, base.url, base.url_proprietaire) as e:
        e.demarrer()
        e.avis(UN)
        e.machine.docker("compose", "stop", "consume-avis")
        avant = e.mesures()
        e.b.emettre_avis(DEUX, TROIS)
        _effacer(e, e.settings.topic_avis)
        e.demarrer("consume-avis")
        attendre_l_alerte(e, "MessagesPerdus", avant)
        assert e.settings.topic_avis in e.machine.jouer("messages-perdus.md", "regarder", BASE=_base(e))
        e.machine.jouer("messages-perdus.md", "remettre", AVIS=str(_fichier(lieu, UN, DEUX, TROIS)))
        dit = e.machine.jouer("messages-perdus.md", "fini")
        assert "aucun écart" in dit
        assert set(e.soldes()) == {UN["reference"], DEUX["reference"], TROIS["reference"]}


def test_un_topic_recree_est_rempli_de_nouveau(e: Exploitation, lieu: Lieu) -> None:
    e.demarrer()
    e.avis(UN)
    e.machine.docker("compose", "stop", "consume-avis")
    avant = e.mesures()
    e.b.emettre_avis(DEUX)
    with _admin(e) as admin:
        admin.delete_topics([e.settings.topic_avis])
        attendre(lambda: e.settings.topic_avis not in admin.list_topics(), quoi="le topic supprimé")
    assert "absent" in e.machine.jouer("topic-recree.md", "regarder").replace("\n", " ")
    e.machine.jouer("topic-recree.md", "creer")
    e.demarrer("consume-avis")
    attendre_l_alerte(e, "TopicRecree", avant)
    e.machine.jouer("topic-recree.md", "remettre", AVIS=str(_fichier(lieu, UN, DEUX)))
    dit = e.machine.jouer("topic-recree.md", "fini")
    assert "aucun écart" in dit
    assert set(e.soldes()) == {UN["reference"], DEUX["reference"]}


def _effacer(e: Exploitation, topic: str) -> None:
    """Efface ce que le topic porte, comme la rétention."""
    lecteur = kafka.reader(e.settings)
    try:
        fin = kafka.topic_end(lecteur, topic)
    finally:
        lecteur.close()
    assert fin is not None
    with _admin(e) as admin:
        admin.delete_records({TopicPartition(topic, partition): jusqu_a for partition, jusqu_a in fin.ends.items()})


@contextmanager
def _admin(e: Exploitation) -> Iterator[Any]:
    with closing(KafkaAdminClient(**e.settings.kafka_connection())) as admin:
        yield admin


def _fichier(lieu: Lieu, *messages: dict[str, Any]) -> Path:
    fichier = lieu.dossier / "avis.jsonl"
    fichier.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return fichier


def _base(e: Exploitation) -> str:
    return urlsplit(str(e.settings.database_url)).path[1:]


# --- Les rapports de la banque ---------------------------------------------------------------------------------------


def test_un_rapport_qui_manque_et_ce_qu_il_contredit(e: Exploitation, lieu: Lieu) -> None:
    e.demarrer("api", "consume-avis", "consume-kiosque", "project", "publish", "sceller")
    e.avis(UN)
    attendre_l_alerte(e, "RapportAttendu", minutes=20)
    transaction = e.payer(e.ouvert(UN["reference"]), perdue=True)
    assert e.machine.jouer("rapports.md", "regarder").count("manque") == 1
    rapport = str(e.rapport(lieu.dossier / "transactions.csv"))
    # La banque ne répond pas encore : la différence dure.
    assert e.machine.lancer(f"creances rapprocher {rapport} --no-ask").code == 1
    attendre_l_alerte(e, "EcartsDeRapport", minutes=70)
    assert transaction in e.machine.jouer("rapports.md", "lire", RAPPORTS=rapport)
    e.machine.jouer("rapports.md", "relire", RAPPORTS=rapport)
    assert transaction not in e.machine.jouer("rapports.md", "fini")
    assert e.accepte(transaction)
    attendre_la_fin(e, "RapportAttendu")
    attendre_la_fin(e, "EcartsDeRapport")


# --- Les journées ----------------------------------------------------------------------------------------------------


def test_une_journee_n_est_pas_arretee_puis_l_autorite_se_tait(lieu: Lieu, base: Any) -> None:
    avant_hier = datetime.combine(datetime.now(PARIS).date() - timedelta(days=2), time(9), PARIS)
    with histoire(base.url, 4, avant_hier) as h:
        for _ in range(2):
            for _ in range(6):
                h.geste()
            h.avancer(timedelta(days=1))
    (lieu.dossier / "tsa").mkdir()
    with autorite(lieu.dossier / "tsa") as tsa, exploitation(lieu, base.url, base.url_proprietaire) as e:
        tsa.muette = True
        lieu.monkeypatch.setenv("CREANCES_TSA_URL", tsa.url)
        lieu.monkeypatch.setenv("CREANCES_TSA_ROOTS", str(tsa.racines))
        e.demarrer("api", "project")
        attendre_l_alerte(e, "JourneeNonArretee")
        assert "relance" in e.machine.jouer("arretes.md", "regarder")
        assert "Sans horodatage" in e.machine.jouer("arretes.md", "arreter")
        attendre_la_fin(e, "JourneeNonArretee")
        attendre_l_alerte(e, "ArreteSansHorodatage", minutes=370)
        tsa.muette = False
        e.machine.jouer("arretes.md", "horodater")
        e.demarrer("relance")
        assert "Horodaté le" in e.machine.jouer("arretes.md", "fini")
        attendre_la_fin(e, "ArreteSansHorodatage")


# --- Les requêtes ----------------------------------------------------------------------------------------------------


@contextmanager
def prometheus(e: Exploitation) -> Iterator[str]:
    """Prometheus scrute l'API chaque seconde, comme le vrai chaque quart de minute ; son adresse."""
    dossier, port = e.machine.dossier / "prometheus", port_libre()
    dossier.mkdir()
    cible = urlsplit(e.settings.public_url).netloc
    (dossier / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: creances, static_configs: [{{targets: ['{cible}']}}]}}]\n"
    )
    options = [f"--{nom}" for nom in (
        "config.file=prometheus.yml", "storage.tsdb.path=donnees", f"web.listen-address=127.0.0.1:{port}",
    )]  # fmt: skip
    lance = subprocess.Popen(
        ["prometheus", *options],  # noqa: S607 (celui de la machine)
        cwd=dossier,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        attendre(lambda: _pret(f"http://127.0.0.1:{port}/-/ready"), quoi="Prometheus")
        yield f"http://127.0.0.1:{port}"
    finally:
        lance.terminate()
        lance.wait(60)


def _pret(adresse: str) -> bool:
    try:
        return httpx.get(adresse, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@avec_prometheus
@pytest.mark.usefixtures("delais_courts")
def test_des_requetes_echouent_tant_que_kafka_est_absent(lieu: Lieu, base: Any, kafka_relaye: Relais) -> None:
    chez = Lieu(f"127.0.0.1:{kafka_relaye.port}", lieu.prefixe, lieu.dossier, lieu.monkeypatch)
    with exploitation(chez, base.url, base.url_proprietaire) as e, prometheus(e) as adresse:
        e.demarrer()
        kafka_relaye.couper()
        releves = []
        for n in range(10):
            assert e.client.post("/kiosque/notification", data=notification(f"T{n}", 20_00)).status_code == 503
            releves.append(e.mesures())
        attendre_l_alerte(e, "ErreursHttp", *releves, minutes=1)
        dit = e.machine.jouer("erreurs-http.md", "regarder", PROMETHEUS=adresse)
        assert 'route="/kiosque/notification", statut="503"' in dit
        assert "Kafka ne répond pas" in dit
        kafka_relaye.retablir()
        e.machine.jouer("erreurs-http.md", "fini")
        attendre_la_fin(e, "ErreursHttp")
        assert e.client.post("/kiosque/notification", data=notification("T1", 20_00)).status_code == 200


@avec_prometheus
def test_une_session_qui_tient_le_journal_ralentit_les_ouvertures_de_paiement(e: Exploitation, base: Any) -> None:
    e.demarrer()
    e.avis(UN)
    attendre(e.soldes, secondes=30, quoi="la vue")
    with prometheus(e) as adresse, closing(psycopg.connect(base.url_proprietaire)) as oubliee:
        pid = oubliee.info.backend_pid
        e.ouvert(UN["reference"])
        oubliee.execute("LOCK TABLE journal.evenements IN SHARE MODE")
        releves = [e.mesures()]
        for n in range(3):
            assert e.ouvrir(UN["reference"]).elapsed > timedelta(seconds=1)
            attendre(lambda n=n: _ouvertures(e) == 2 + n, quoi="l'ouverture lente comptée")  # type: ignore[misc]
            releves += [e.mesures()] * 4  # Quatre minutes passent.
        attendre_l_alerte(e, "LenteurHttp", *releves, minutes=1)
        dit = e.machine.jouer("lenteur-http.md", "regarder", BASE=_base(e), PROMETHEUS=adresse)
        assert "/api/v1/paiements" in dit
        assert str(pid) in dit
        e.machine.jouer("lenteur-http.md", "finir", BASE=_base(e), SESSION=str(pid))
        assert e.ouvrir(UN["reference"]).is_success
        e.machine.jouer("lenteur-http.md", "fini", BASE=_base(e))


def _ouvertures(e: Exploitation) -> float:
    """Combien d'ouvertures de paiement l'API a comptées : elle les compte une fois répondues."""
    debut = 'creances_http_duree_secondes_count{methode="POST",route="/api/v1/paiements"} '
    return sum(float(ligne.removeprefix(debut)) for ligne in e.mesures().splitlines() if ligne.startswith(debut))
