"""Un topic de rebuts que quelqu'un supprime n'arrête pas la ligne, et ses rebuts ne s'évanouissent pas."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

from engine.batch import Partition
from engine.dead_letters import REFUSALS, SUFFIXE, DeadLetters, TopicRefused
from engine.messages import DeadLetter, Message
from service import composition
from service.kafka import ensure_dead_letters
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.outils import attendre


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def supprimer(b: Banc, topic: str) -> None:
    with KafkaAdminClient(bootstrap_servers=b.settings.kafka_bootstrap) as admin:
        admin.delete_topics([topic])
        attendre(lambda: topic not in admin.list_topics(), quoi="le topic supprimé")


def rebut(b: Banc, offset: int) -> DeadLetter:
    consommateur = composition.consumer(b.settings, b.guichet, "avis")
    partition = Partition(topic_id=uuid4(), topic=consommateur.topic, partition=0)
    return DeadLetter(Message(partition, offset, b"x", b"illisible", MAINTENANT), "essai")


def test_la_ligne_continue_et_les_rebuts_sont_la(b: Banc) -> None:
    topic = b.settings.topic_avis
    supprimer(b, topic + SUFFIXE)
    b.emettre(topic, [("x", b"ceci n'est pas un message"), ("y", b"ni cela")])
    b.emettre_avis(avis(1), avis(2))
    b.consommer("avis", 4)
    assert b.par_sort(topic) == {"appliquee": 2, "rejetee": 2}
    assert len(b.rebuts(topic, 2)) == 2


def test_un_producteur_deja_chaud_s_en_apercoit(b: Banc) -> None:
    topic = b.settings.topic_avis
    rebuts = DeadLetters(b.settings.kafka_connection(), lambda nom: ensure_dead_letters(b.settings, nom))
    rebuts.produire([rebut(b, 1)])
    supprimer(b, topic + SUFFIXE)
    rebuts.produire([rebut(b, 2), rebut(b, 3)])
    assert [dict(lu.headers)["origine-position"] for lu in b.rebuts(topic, 2)] == [b"2", b"3"]
    rebuts.fermer()


def test_sans_le_droit_de_creer_le_topic_les_rebuts_attendent(b: Banc) -> None:
    topic = b.settings.topic_avis
    refuse = True

    def assurer(nom: str) -> bool:
        if refuse:
            raise TopicRefused(nom)
        return ensure_dead_letters(b.settings, nom)

    supprimer(b, topic + SUFFIXE)
    rebuts = DeadLetters(b.settings.kafka_connection(), assurer)
    rebuts.produire([rebut(b, 1)])
    rebuts.produire([rebut(b, 2)])
    refuse = False
    rebuts.produire([])
    assert [dict(lu.headers)["origine-position"] for lu in b.rebuts(topic, 2)] == [b"1", b"2"]
    rebuts.fermer()


@pytest.mark.usefixtures("apache")
def test_moins_de_courtiers_que_de_copies_promises_n_arrete_pas_la_ligne(b: Banc) -> None:
    topic = b.settings.topic_avis
    supprimer(b, topic + SUFFIXE)
    promis = b.settings.model_copy(update={"topic_replicas": 3})
    b.emettre(topic, [("x", b"ceci n'est pas un message")])
    b.emettre_avis(avis(1))
    replace(b, settings=promis).consommer("avis", 2)
    assert b.par_sort(topic) == {"appliquee": 1, "rejetee": 1}


@pytest.mark.parametrize("refus", REFUSALS)
def test_ce_que_kafka_refuse_d_un_rebut_attend_sans_arreter_la_ligne(
    b: Banc, monkeypatch: pytest.MonkeyPatch, refus: type[KafkaError]
) -> None:
    def refuser(*_: Any, **__: Any) -> None:
        raise refus

    rebuts = DeadLetters(b.settings.kafka_connection())
    with monkeypatch.context() as refuse:
        refuse.setattr(KafkaProducer, "send", refuser)
        rebuts.produire([rebut(b, 1)])
    rebuts.produire([])
    assert [dict(lu.headers)["origine-position"] for lu in b.rebuts(b.settings.topic_avis, 1)] == [b"1"]
    rebuts.fermer()
