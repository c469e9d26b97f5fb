"""Ce qu'un client de Kafka laisse derrière lui."""

import gc
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.selector import NetworkSelector

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from service import kafka as kafka_du_service
from service.settings import Settings
from tests.courtiers import port_libre
from tests.outils import attendre


@pytest.fixture(autouse=True)
def sans_journal() -> Iterator[None]:
    """Les lignes que pytest garde retiennent les exceptions, et par elles les sockets."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("classe", [KafkaConsumer, KafkaProducer, KafkaAdminClient])
def test_un_client_qui_ne_trouve_aucun_courtier_ne_laisse_ni_fil_ni_descripteur(classe: type) -> None:
    adresse = f"127.0.0.1:{port_libre()}"

    def essayer() -> None:
        with pytest.raises(KafkaTimeoutError):
            clients.open_client(classe, bootstrap_servers=adresse, bootstrap_timeout_ms=200)

    essayer()  # Ce qui ne s'ouvre qu'une fois l'est maintenant.
    gc.collect()
    fils, descripteurs = threading.active_count(), ouverts()
    for _ in range(3):
        essayer()
    gc.collect()
    attendre(lambda: threading.active_count() <= fils, quoi="les fils finis")
    attendre(lambda: ouverts() <= descripteurs, quoi="les descripteurs rendus")


def test_une_connexion_refusee_rend_sa_prise_sans_attendre_le_ramasse_miettes() -> None:
    prises: list[socket.socket] = []

    class Retenues(KafkaNetSocket):  # type: ignore[misc]  # kafka-python n'est pas typé
        SCHEMES = ("retenues",)

        def socket(self, *arguments: int) -> socket.socket:
            prises.append(super().socket(*arguments))
            return prises[-1]

    net = NetworkSelector()
    with pytest.raises(KafkaError):
        net.run(create_connection, net, "127.0.0.1", port_libre(), (), "retenues://x", time.monotonic() + 5)
    assert [prise.fileno() for prise in prises] == [-1]
    net.close()


def test_demander_un_topic_absent_ne_le_cree_pas(kafka: str, prefixe: str) -> None:
    """Tansu, comme un Kafka aux réglages d'origine, crée le topic dont on s'enquiert, sauf si on le lui défend."""
    consommateur = clients.open_client(KafkaConsumer, bootstrap_servers=kafka)
    producteur = clients.open_client(KafkaProducer, bootstrap_servers=kafka, max_block_ms=500)
    try:
        assert not consommateur.partitions_for_topic(f"{prefixe}.absent")
        with pytest.raises(KafkaError):
            producteur.partitions_for(f"{prefixe}.absent")
    finally:
        consommateur.close()
        producteur.close()
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        assert f"{prefixe}.absent" not in admin.list_topics()


class AuDebut(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python n'est pas typé
    """Se place au début des partitions reçues."""

    def __init__(self, consommateur: KafkaConsumer) -> None:
        self.consommateur = consommateur

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None: ...

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for partition in assigned:
            self.consommateur.seek(partition, 0)


def test_l_identifiant_d_un_topic_n_attend_pas_la_lecture_en_cours(
    kafka: str, prefixe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Un courtier répond dans l'ordre sur une connexion : tout lot attendrait la fin de la lecture suivante."""
    settings = Settings(_env_file=None, kafka_bootstrap=kafka, topic_prefix=prefixe)
    kafka_du_service.create_topics(settings)
    # Tansu fait attendre qui entre dans un groupe une part de `max_poll_interval_ms`.
    connexion = settings.kafka_connection() | {"max_poll_interval_ms": 2_000, "session_timeout_ms": 1_500}
    connexion["heartbeat_interval_ms"] = 500
    consommateur = lecteur.ouvrir(connexion, groupe=prefixe, client="identifiant", lot_max=1)
    try:
        consommateur.subscribe([settings.topic_avis], listener=AuDebut(consommateur))

        def confie() -> bool:
            consommateur.poll(timeout_ms=100)
            return bool(consommateur.assignment())

        attendre(confie, secondes=30, quoi="des partitions")
        demandes, redemander = [], consommateur._cluster.refresh_metadata

        async def noter(node_id: object = None) -> None:
            demandes.append(node_id)
            await redemander(node_id)

        monkeypatch.setattr(consommateur._cluster, "refresh_metadata", noter)
        assert lecteur.refresh_topic_id(consommateur, settings.topic_avis)() is not None
        coordinateur = consommateur._coordinator.coordinator_id
        assert coordinateur is not None
        assert coordinateur in demandes, "la question est partie derrière la lecture"
    finally:
        lecteur.fermer(consommateur)


def ouverts() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
