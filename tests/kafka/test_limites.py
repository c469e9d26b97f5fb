"""Ce qu'Apache Kafka refuse ou efface : trop peu de copies, message trop grand, rétention."""

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from api.kafka import KafkaIndisponible
from consumers import rebuts
from service.kafka import MESSAGE_BYTES_MAX, Publisher
from tests.consumers.banc import Banc, avis, banc
from tests.kafka.en_marche import administrateur, fins, régler_topic

pytestmark = pytest.mark.usefixtures("apache")
ILLISIBLE = b"ni JSON, ni \xff UTF-8"


@pytest.fixture
def b(base: Any, kafka: str, préfixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, préfixe) as ouvert:
        yield ouvert


def dernière_erreur(b: Banc, rôle: str) -> str:
    ligne = b.conn.execute("SELECT derniere_erreur FROM vues.suiveurs WHERE nom = %s", (rôle,)).fetchone()
    return (ligne and ligne[0]) or ""


def test_un_rebut_trop_grand_pour_son_topic_y_est_tronqué_et_les_autres_passent(b: Banc) -> None:
    topic = b.settings.topic_notifications
    régler_topic(b, f"{topic}.rebuts", max_message_bytes="10000")
    b.émettre(topic, [("k", b"x" * 70_000), ("k", ILLISIBLE)])
    b.consommer("kiosque", 2)

    assert b.par_sort(topic) == {"rejetee": 2}
    rebuts = {rebut.value: dict(rebut.headers) for rebut in b.rebuts(topic, 2)}
    assert set(rebuts) == {b"", ILLISIBLE}
    assert rebuts[b""]["tronque"]
    assert "tronque" not in rebuts[ILLISIBLE]
    assert rebuts[b""]["origine-topic"] == topic.encode()


def test_un_topic_d_entrée_refuse_plus_d_un_mébioctet_et_ses_rebuts_en_prennent_quarante(b: Banc) -> None:
    topic = b.settings.topic_notifications
    émetteur = KafkaProducer(
        **b.settings.kafka_connection(), enable_idempotence=False, max_request_size=rebuts.OCTETS_MAX, acks="all"
    )
    with pytest.raises(MessageSizeTooLargeError):
        émetteur.send(topic, b"x" * (MESSAGE_BYTES_MAX + 1)).get(timeout=10)
    énorme = b"x" * (40 * 1024 * 1024)
    émetteur.send(f"{topic}.rebuts", énorme).get(timeout=30)
    émetteur.close()
    (rebut,) = b.rebuts(topic, 1)
    assert rebut.value == énorme


def test_une_notification_trop_grande_pour_son_topic_est_refusée_et_les_suivantes_passent(b: Banc) -> None:
    topic = b.settings.topic_notifications
    régler_topic(b, topic, max_message_bytes="2000")
    facteur = Publisher(b.settings)
    try:
        with pytest.raises(KafkaIndisponible):
            facteur.send(topic, b"k", b"x" * 10_000)
        facteur.send(topic, b"k", ILLISIBLE)
    finally:
        facteur.close()
    assert sum(fins(b, topic).ends.values()) == 1


def test_une_rétention_qui_dépasse_une_position_est_dite_et_le_reste_est_lu(b: Banc) -> None:
    topic = b.settings.topic_avis
    clé = avis(0)["reference"]  # Une seule clé, donc une seule partition.
    b.émettre(topic, [(clé, avis(numéro)) for numéro in range(3)])
    b.consommer("avis", 3)
    b.émettre(topic, [(clé, avis(numéro)) for numéro in range(3, 10)])
    (partition,) = [partition for partition, fin in fins(b, topic).ends.items() if fin == 10]
    with administrateur(b) as admin:
        admin.delete_records({TopicPartition(topic, partition): 6})

    with capture_logs() as journal:
        b.consommer("avis", 3 + 4)
    (dit,) = [ligne for ligne in journal if ligne["event"] == "messages_perdus"]
    assert (dit["partition"], dit["depuis"], dit["jusqu_a"], dit["log_level"]) == (partition, 3, 6, "error")
    décalages = b.conn.execute("SELECT decalage FROM journal.sorts ORDER BY decalage").fetchall()
    assert décalages == [(0,), (1,), (2,), (6,), (7,), (8,), (9,)]
