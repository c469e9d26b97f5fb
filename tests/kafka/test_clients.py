"""Ce qu'un client de Kafka laisse derrière lui."""

import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from consumers import courtier
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
            courtier.ouvrir_client(classe, bootstrap_servers=adresse, bootstrap_timeout_ms=200)

    essayer()  # Ce qui ne s'ouvre qu'une fois l'est maintenant.
    gc.collect()
    fils, descripteurs = threading.active_count(), ouverts()
    for _ in range(3):
        essayer()
    gc.collect()
    attendre(lambda: threading.active_count() <= fils, quoi="les fils finis")
    assert ouverts() <= descripteurs


def test_demander_un_topic_absent_ne_le_crée_pas(kafka: str, préfixe: str) -> None:
    """Tansu, comme un Kafka aux réglages d'origine, crée le topic dont on s'enquiert, sauf si on le lui défend."""
    consommateur = courtier.ouvrir_client(KafkaConsumer, bootstrap_servers=kafka)
    producteur = courtier.ouvrir_client(KafkaProducer, bootstrap_servers=kafka, max_block_ms=500)
    try:
        assert not consommateur.partitions_for_topic(f"{préfixe}.absent")
        with pytest.raises(KafkaError):
            producteur.partitions_for(f"{préfixe}.absent")
    finally:
        consommateur.close()
        producteur.close()
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        assert f"{préfixe}.absent" not in admin.list_topics()


def ouverts() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
