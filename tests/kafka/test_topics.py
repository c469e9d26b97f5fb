"""Les topics : créés une fois, où que l'on soit ; attendus par qui les lit."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service import kafka as kafka_du_service
from service.settings import Settings
from tests.consumers.banc import Banc, avis, banc
from tests.kafka.en_marche import administrateur, en_marche
from tests.kafka.test_limites import derniere_erreur
from tests.outils import attendre


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Any:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def test_crees_de_plusieurs_endroits_a_la_fois_ils_le_sont_une_fois(kafka: str, prefixe: str) -> None:
    settings = Settings(_env_file=None, kafka_bootstrap=kafka, topic_prefix=prefixe)
    with ThreadPoolExecutor(4) as fils:
        crees = [nom for noms in fils.map(kafka_du_service.create_topics, [settings] * 4) for nom in noms]
    assert sorted(crees) == sorted(kafka_du_service.topics(settings))
    assert kafka_du_service.create_topics(settings) == []


def test_un_consommateur_dont_le_topic_n_existe_pas_encore_le_dit_et_l_attend(b: Banc) -> None:
    topic = b.settings.topic_avis
    with administrateur(b) as admin:
        admin.delete_topics([topic])
        attendre(lambda: topic not in admin.list_topics(), quoi="le topic supprimé")
    with en_marche(b, "avis"):
        erreur = attendre(lambda: derniere_erreur(b, "consommateur_avis"), secondes=30, quoi="une erreur dite")
        assert "TopicUnknown" in erreur, erreur
        kafka_du_service.create_topics(b.settings)
        b.emettre_avis(avis(1))
        attendre(lambda: b.fates(topic) == 1, secondes=30, quoi="l'avis pris")
