"""Le courtier s'arrête au milieu du travail et revient, même port et même journal : chacun reprend seul."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from api.socle.kafka import KafkaIndisponible
from engine import kafka_reader as lecteur
from projections.audit import auditer
from service.publisher import Publisher
from tests.consumers.banc import Banc, avis, banc, notification
from tests.courtiers import Courtier
from tests.kafka.en_marche import en_marche, fins
from tests.outils import attendre

PAIEMENTS = 80
DEJA_LUS = 20
"""Ce qui a un sort quand le courtier s'arrête."""
REESSAI_S = 0.2
COUPURES: dict[str, Callable[[Courtier], None]] = {"SIGKILL": Courtier.tuer, "SIGTERM": Courtier.arreter}


@pytest.fixture
def b(base: Any, courtier_durable: Courtier, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, courtier_durable.bootstrap, prefixe) as ouvert:
        yield ouvert


def poster(b: Banc, dits: list[tuple[str, dict[str, str]]]) -> None:
    """Fait comme la banque : poste chaque notification jusqu'à ce que l'API la prenne, donc parfois deux fois."""
    webhook_sender = Publisher(b.settings)
    for transaction, formulaire in dits:
        while True:
            try:
                webhook_sender.send(
                    b.settings.topic_notifications, transaction.encode(), json.dumps(formulaire).encode()
                )
                break
            except KafkaIndisponible:
                time.sleep(REESSAI_S)
    webhook_sender.close()


@pytest.mark.parametrize("coupure", COUPURES.values(), ids=COUPURES.keys())
def test_chaque_notification_a_un_sort_et_un_seul_malgre_l_arret_du_courtier(
    b: Banc, courtier_durable: Courtier, coupure: Callable[[Courtier], None]
) -> None:
    creances = [avis(numero) for numero in range(PAIEMENTS)]
    topic = b.settings.topic_notifications
    with en_marche(b, "avis", "kiosque"):
        b.emettre_avis(*creances)
        attendre(lambda: b.fates(b.settings.topic_avis) == PAIEMENTS, secondes=30, quoi="les avis pris")
        t = [b.ouvrir(creance["reference"], 20_00) for creance in creances]
        mal_scellee = notification(t[0], 20_00) | {"Seal": "0" * 64}
        dits = [(x, notification(x, 20_00)) for x in t]
        for rang in range(0, PAIEMENTS, 8):
            dits.insert(rang, (t[0], mal_scellee))
        banque = threading.Thread(target=poster, args=(b, dits), daemon=True)
        banque.start()
        attendre(lambda: b.fates(topic) >= DEJA_LUS, secondes=30, quoi="les premiers sorts")
        coupure(courtier_durable)
        assert banque.is_alive(), "tout est déjà posté : la coupure n'éprouve rien"
        courtier_durable.demarrer()
        banque.join(60)
        assert not banque.is_alive()
        recus = sum(fins(b, topic).ends.values())
        attendre(lambda: b.fates(topic) == recus, secondes=30, quoi=f"{recus} sorts")

    assert recus >= len(dits)
    sorts = b.par_sort(topic)
    assert (sorts["appliquee"], sum(sorts.values())) == (PAIEMENTS, recus)
    acceptes = "SELECT count(*), count(DISTINCT flux) FROM journal.evenements WHERE topic = 'creance.PaiementAccepte'"
    assert b.conn.execute(acceptes).fetchone() == (PAIEMENTS, PAIEMENTS)
    b.projeter()
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.accepte_total) == ([], PAIEMENTS * 20_00)
    rejetes = {
        f"{partition}@{offset}"
        for partition, offset in b.conn.execute(
            "SELECT partition, decalage FROM journal.sorts WHERE topic = %s AND sort = 'rejetee'", (topic,)
        )
    }
    assert rejetes
    rebuts = [dict(rebut.headers) for rebut in b.rebuts(topic, sum(fins(b, f"{topic}.rebuts").ends.values()))]
    assert {
        f"{en_tetes['origine-partition'].decode()}@{en_tetes['origine-position'].decode()}" for en_tetes in rebuts
    } == rejetes


def test_un_courtier_qui_s_en_va_pendant_la_decision_n_est_la_faute_d_aucun_message(
    base: Any, kafka: str, prefixe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L'identifiant du topic se demande pendant que l'on décide : que la réponse se perde ne rejette rien."""
    demander, perdues = lecteur.refresh_topic_id, list[str]()

    def perdre_la_premiere(consommateur: Any, topic: str) -> Callable[[], Any]:
        reponse = demander(consommateur, topic)

        def lue() -> Any:
            if not perdues:
                perdues.append(topic)
                raise KafkaConnectionError("socket disconnected")
            return reponse()

        return lue

    monkeypatch.setattr(lecteur, "refresh_topic_id", perdre_la_premiere)
    with banc(base.url, kafka, prefixe) as b, en_marche(b, "avis"):
        b.emettre_avis(avis(1))
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=40, quoi="le sort de l'avis")
        assert perdues
        assert b.par_sort(b.settings.topic_avis) == {"appliquee": 1}
