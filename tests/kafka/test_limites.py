"""Ce qu'Apache Kafka refuse ou efface : trop peu de copies, message trop grand, rétention."""

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from api.socle.kafka import KafkaIndisponible
from engine import dead_letters as rebuts
from service.publisher import Publisher
from service.topic_configs import MESSAGE_BYTES_MAX
from tests.consumers.banc import Banc, avis, banc
from tests.kafka.en_marche import administrateur, fins, regler_topic

pytestmark = pytest.mark.usefixtures("apache")
ILLISIBLE = b"ni JSON, ni \xff UTF-8"


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def derniere_erreur(b: Banc, role: str) -> str:
    ligne = b.conn.execute("SELECT derniere_erreur FROM vues.suiveurs WHERE nom = %s", (role,)).fetchone()
    return (ligne and ligne[0]) or ""


def test_un_rebut_trop_grand_pour_son_topic_y_est_tronque_et_les_autres_passent(b: Banc) -> None:
    topic = b.settings.topic_notifications
    regler_topic(b, f"{topic}.rebuts", max_message_bytes="10000")
    b.emettre(topic, [("k", b"x" * 70_000), ("k", ILLISIBLE)])
    b.consommer("kiosque", 2)

    assert b.par_sort(topic) == {"rejetee": 2}
    rebuts = {rebut.value: dict(rebut.headers) for rebut in b.rebuts(topic, 2)}
    assert set(rebuts) == {b"", ILLISIBLE}
    assert rebuts[b""]["tronque"]
    assert "tronque" not in rebuts[ILLISIBLE]
    assert rebuts[b""]["origine-topic"] == topic.encode()


def test_un_topic_d_entree_refuse_plus_d_un_mebioctet_et_ses_rebuts_en_prennent_quarante(b: Banc) -> None:
    topic = b.settings.topic_notifications
    emetteur = KafkaProducer(
        **b.settings.kafka_connection(), enable_idempotence=False, max_request_size=rebuts.OCTETS_MAX, acks="all"
    )
    with pytest.raises(MessageSizeTooLargeError):
        emetteur.send(topic, b"x" * (MESSAGE_BYTES_MAX + 1)).get(timeout=60)
    enorme = b"x" * (40 * 1024 * 1024)
    emetteur.send(f"{topic}.rebuts", enorme).get(timeout=60)
    emetteur.close()
    (rebut,) = b.rebuts(topic, 1)
    assert rebut.value == enorme


def test_une_notification_trop_grande_pour_son_topic_est_refusee_et_les_suivantes_passent(b: Banc) -> None:
    topic = b.settings.topic_notifications
    regler_topic(b, topic, max_message_bytes="2000")
    webhook_sender = Publisher(b.settings)
    try:
        with pytest.raises(KafkaIndisponible):
            webhook_sender.send(topic, b"k", b"x" * 10_000)
        webhook_sender.send(topic, b"k", ILLISIBLE)
    finally:
        webhook_sender.close()
    assert sum(fins(b, topic).ends.values()) == 1


def test_une_retention_qui_depasse_une_position_est_dite_et_le_reste_est_lu(b: Banc) -> None:
    topic = b.settings.topic_avis
    cle = avis(0)["reference"]  # Une seule clé, donc une seule partition.
    b.emettre(topic, [(cle, avis(numero)) for numero in range(3)])
    b.consommer("avis", 3)
    b.emettre(topic, [(cle, avis(numero)) for numero in range(3, 10)])
    (partition,) = [partition for partition, fin in fins(b, topic).ends.items() if fin == 10]
    with administrateur(b) as admin:
        admin.delete_records({TopicPartition(topic, partition): 6})

    with capture_logs() as journal:
        b.consommer("avis", 3 + 4)
    (dit,) = [ligne for ligne in journal if ligne["event"] == "messages_perdus"]
    assert (dit["partition"], dit["depuis"], dit["jusqu_a"], dit["log_level"]) == (partition, 3, 6, "error")
    decalages = b.conn.execute("SELECT decalage FROM journal.sorts ORDER BY decalage").fetchall()
    assert decalages == [(0,), (1,), (2,), (6,), (7,), (8,), (9,)]
