"""Un topic supprimé et recréé sous un consommateur qui tourne : un autre identifiant, donc d'autres positions."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projections.audit import auditer
from service import composition
from service import kafka as kafka_du_service
from tests.consumers.banc import Banc, avis, banc, cheque, notification
from tests.kafka.en_marche import administrateur, en_marche, fates_by_topic, fins
from tests.outils import attendre

REMARQUE_S = 90.0
"""Ce que l'on laisse à un consommateur pour voir qu'un topic a été recréé (secondes)."""


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Any:
    with banc(base.url, kafka, prefixe) as ouvert:
        # Occupé, le consommateur ne doit pas perdre ses partitions : les retrouver lui montrerait le nouveau topic.
        yield replace(
            ouvert, settings=ouvert.settings.model_copy(update={"kafka_max_poll_interval": timedelta(minutes=1)})
        )


def recreer(b: Banc, topic: str) -> None:
    """Supprime le topic, et le recrée dès qu'il a disparu."""
    with administrateur(b) as admin:
        admin.delete_topics([topic])
        attendre(lambda: topic not in admin.list_topics(), quoi="le topic supprimé")
    kafka_du_service.create_topics(b.settings)


@pytest.mark.parametrize("occupe", [False, True], ids=["lit", "occupe"])
def test_les_messages_d_un_topic_recree_ont_chacun_un_sort_sous_le_nouvel_identifiant(b: Banc, *, occupe: bool) -> None:
    """Occupé ailleurs, le consommateur n'a même pas vu le topic manquer : sa lecture suivante, par nom, réussit."""
    creances = [avis(numero) for numero in range(12)]
    b.emettre_avis(*creances)
    b.consommer("avis", len(creances))
    t = [b.ouvrir(creance["reference"], 20_00) for creance in creances]
    topic = b.settings.topic_notifications
    libre = threading.Event()
    if not occupe:
        libre.set()

    def etape(nom: str) -> None:
        if nom == "suite":
            libre.wait(30)

    with en_marche(b, "kiosque") as boucles:
        boucles["kiosque"].etape = etape
        b.emettre(topic, [(x, notification(x, 20_00)) for x in t[:4]])
        attendre(lambda: b.fates(topic) == 4, secondes=30, quoi="les premiers sorts")
        ancien = fins(b, topic).topic_id
        recreer(b, topic)
        # Plus de messages que l'ancien topic n'en avait : lus à ses positions, les derniers passeraient pour les siens.
        b.emettre(topic, [(x, notification(x, 20_00)) for x in t])
        nouveau = fins(b, topic).topic_id
        assert nouveau != ancien
        libre.set()
        debut = time.monotonic()
        attendre(lambda: fates_by_topic(b, topic).get(nouveau) == len(t), secondes=60, quoi="les sorts du nouveau")
        assert time.monotonic() - debut < REMARQUE_S

    assert fates_by_topic(b, topic) == {ancien: 4, nouveau: len(t)}
    assert b.par_sort(topic) == {"appliquee": len(t), "doublon": 4}
    b.projeter()
    assert auditer(b.conn).ecarts == []


def test_un_message_retenu_apres_la_recreation_n_est_pas_pris_pour_celui_d_avant_a_la_meme_place(b: Banc) -> None:
    topic, cle = b.settings.topic_avis, "une seule partition"
    b.emettre(topic, [(cle, avis(numero)) for numero in (2, 3, 4)])
    b.consommer("avis", 3)
    recreer(b, topic)
    b.emettre(topic, [(cle, cheque(1, 12_34)), (cle, avis(1))])
    b.consommer("avis", 5)
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.release()
    assert b.conn.execute("SELECT sort FROM journal.attentes_reglees").fetchall() == [("appliquee",)]
    assert auditer(b.conn).ecarts == []
