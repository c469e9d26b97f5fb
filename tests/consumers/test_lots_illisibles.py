"""Un lot que Kafka rend abîmé n'arrête que sa partition ; on le dit, et une personne la reprend après lui."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer

from engine.positions import stopped_partitions
from projections.audit import auditer
from service import composition, kafka
from service.dead_letters import note_dead_letters
from service.lag import lag
from tests.consumers.banc import Banc, avis, banc
from tests.lots import MARQUE, ZSTD, lot, mettre
from tests.outils import attendre
from tests.pannes.commande import creances

ABIME = lot(b"un", b"deux", compresse=ZSTD, contenu=b"pas du zstd")
NANOSECONDES = 1_780_000_000_000_000_000


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


@contextmanager
def a_l_oeuvre(b: Banc) -> Iterator[None]:
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.groupe += f"-{b.conn.info.dbname}"
    arret = threading.Event()
    fil = threading.Thread(target=boucle.run, args=(arret,))
    fil.start()
    try:
        yield
    finally:
        arret.set()
        fil.join()


def emettre(b: Banc, partition: int, *numeros: int, instant_ms: int | None = None) -> None:
    with closing(kafka.producer(b.settings)) as emetteur:
        for numero in numeros:
            valeur = json.dumps(avis(numero)).encode()
            emetteur.send(b.settings.topic_avis, value=valeur, partition=partition, timestamp_ms=instant_ms).get(30)


def retard(b: Banc) -> dict[str, Any]:
    [ligne] = [ligne for ligne in lag(b.settings, b.guichet.base) if ligne["nom"] == "consommateur_avis"]
    assert "illisible" not in ligne, ligne
    return ligne


@pytest.mark.usefixtures("tansu")
def test_un_lot_abime_n_arrete_que_sa_partition_et_elle_se_reprend_apres_lui(b: Banc) -> None:
    topic = b.settings.topic_avis
    emettre(b, 0, 1)
    assert mettre(b.settings.kafka_connection(), topic, 0, ABIME) == 1
    emettre(b, 0, 2, 3)
    emettre(b, 1, 4, 5)
    with a_l_oeuvre(b):
        attendre(lambda: b.fates(topic) == 3 and bool(stopped_partitions(b.conn)), quoi="l'autre partition lue")
        [arret] = stopped_partitions(b.conn)
        assert (arret.partition, arret.position, arret.fin) == (0, 1, 1)
        attendre(lambda: retard(b)["interruptions"] == 1, quoi="l'arrêt dit")
        dit = retard(b)
        assert (dit["partitions_arretees"], dit["evenements"]) == (1, 0)
        assert f"{topic}/0 ne se lit pas à la position 1" in dit["derniere_erreur"]
        assert dit["derniere_erreur"].endswith("commence à 3")
        liste = creances(b.settings, "anomalies", "list", "--json")
        assert "à la position 1 ne peut pas être lu" in liste.stdout
        assert creances(b.settings, "partitions").returncode == 1
        assert auditer(b.conn).ecarts == []

        repris = creances(b.settings, "reprendre-partition", topic, "0", "--depuis", "3", "--motif", "lot abîmé")
        assert repris.returncode == 0, repris.stderr
        attendre(lambda: b.fates(topic) == 5, quoi="la partition reprise après le lot")
    assert stopped_partitions(b.conn) == []
    assert b.par_sort(topic) == {"appliquee": 5}
    assert auditer(b.conn).ecarts == []


@pytest.mark.usefixtures("tansu")
def test_le_retard_ne_s_arrete_ni_a_un_lot_abime_ni_a_un_instant_impossible(b: Banc) -> None:
    emettre(b, 0, 1)
    b.consommer("avis", 1)
    mettre(b.settings.kafka_connection(), b.settings.topic_avis, 0, ABIME)
    emettre(b, 0, 2)
    emettre(b, 1, 3, instant_ms=NANOSECONDES)
    emettre(b, 1, 4)
    dit = retard(b)
    assert dit["evenements"] == 5
    assert dit["secondes"] < 60


@pytest.mark.usefixtures("tansu")
def test_ce_qui_ne_porte_aucun_message_n_est_pas_du_retard(b: Banc) -> None:
    emettre(b, 0, 1)
    b.consommer("avis", 1)
    mettre(b.settings.kafka_connection(), b.settings.topic_avis, 0, lot(bytes(6), marque=MARQUE))
    assert retard(b)["evenements"] == 0


@pytest.mark.usefixtures("tansu")
def test_un_lot_abime_parmi_les_rebuts_ne_cache_pas_les_autres(b: Banc) -> None:
    rebuts = f"{b.settings.topic_notifications}.rebuts"
    b.emettre(rebuts, [("a", b"{}")])
    mettre(b.settings.kafka_connection(), rebuts, 0, ABIME)
    b.emettre(rebuts, [("b", b"{}")])
    assert note_dead_letters(b.settings, b.conn) == 2


@pytest.mark.usefixtures("apache")
def test_ce_qu_un_producteur_a_repris_n_est_ni_lu_ni_du_retard_et_ce_qui_suit_une_transaction_ouverte_attend(
    b: Banc,
) -> None:
    topic = b.settings.topic_avis
    reglages = b.settings.kafka_connection() | {"transactional_id": topic}
    with closing(KafkaProducer(**reglages)) as emetteur:
        emetteur.init_transactions()
        for numero, garde in ((1, True), (2, False), (3, True), (4, False)):
            emetteur.begin_transaction()
            emetteur.send(topic, value=json.dumps(avis(numero)).encode(), partition=0).get(30)
            if garde:
                emetteur.commit_transaction()
            else:
                emetteur.abort_transaction()
        b.consommer("avis", 2)
        assert [avis(numero)["reference"] for numero in (1, 3)] == [
            objet for (objet,) in b.conn.execute("SELECT objet FROM journal.sorts ORDER BY decalage")
        ]
        assert retard(b)["evenements"] == 0

        emetteur.begin_transaction()
        emetteur.send(topic, value=json.dumps(avis(5)).encode(), partition=0).get(30)
        emettre(b, 0, 6)
        assert retard(b)["evenements"] > 0
        emetteur.abort_transaction()
    b.consommer("avis", 3)
    assert b.par_sort(topic) == {"appliquee": 3}
    assert retard(b)["evenements"] == 0
