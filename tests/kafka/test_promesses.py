"""Un topic créé autrefois, ou à la main, garde ce avec quoi il l'a été : on le dit, avec ce qui y remédie."""

import json
import shlex
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from service import kafka
from service.kafka import create_topics, topics
from service.settings import Settings
from service.topic_promises import broken_promises
from tests.outils import commande


@pytest.fixture
def settings(kafka: str, prefixe: str) -> Settings:
    return Settings(_env_file=None, kafka_bootstrap=kafka, topic_prefix=prefixe, partitions_avis=2)


def lancer(settings: Settings, *arguments: str) -> Any:
    return commande(
        "topics",
        *arguments,
        kafka_bootstrap=settings.kafka_bootstrap,
        topic_prefix=settings.topic_prefix,
        partitions_avis=settings.partitions_avis,
    )


def test_ce_qui_vient_d_etre_cree_est_ce_que_l_on_promet(settings: Settings) -> None:
    assert {(un.topic, un.name) for un in broken_promises(settings)} == {(topic, "topic") for topic in topics(settings)}
    create_topics(settings)
    assert broken_promises(settings) == []


def test_trop_peu_de_partitions_se_disent_et_la_commande_le_dit_par_son_code(settings: Settings) -> None:
    create_topics(settings)
    plus = settings.model_copy(update={"partitions_avis": 4})
    [un] = broken_promises(plus)
    assert (un.topic, un.name, un.found, un.promised) == (settings.topic_avis, "partitions", "2", "4")
    assert broken_promises(settings.model_copy(update={"partitions_avis": 1})) == []
    fini = lancer(plus, "--verify", "--json")
    assert fini.returncode == 1, fini.stderr
    assert [une["name"] for une in json.loads(fini.stdout)["differences"]] == ["partitions"]
    deploye = lancer(plus)
    assert deploye.returncode == 0, "une tâche de déploiement ne s'arrête pas pour autant"
    assert f"--topic {settings.topic_avis} --partitions 4" in deploye.stderr


@pytest.mark.usefixtures("apache")
def test_sur_apache_kafka_une_retention_d_autrefois_se_dit_et_se_repare(settings: Settings) -> None:
    create_topics(settings)
    with KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap) as admin:
        autrefois = {"retention.ms": "86400000"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic_evenements, autrefois)])
        [un] = broken_promises(settings)
        assert (un.topic, un.name, un.found) == (settings.topic_evenements, "retention.ms", "86400000")
        mots = shlex.split(un.command)
        nom, _, valeur = mots[mots.index("--add-config") + 1].partition("=")
        topic = mots[mots.index("--entity-name") + 1]
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {nom: valeur})])
    assert broken_promises(settings) == []


@pytest.mark.usefixtures("apache")
@pytest.mark.parametrize("ecart", [-timedelta(days=20_000), timedelta(hours=2)], ids=["1972", "dans deux heures"])
def test_l_heure_d_une_caisse_n_efface_ni_ne_refuse_aucun_de_ses_messages(settings: Settings, ecart: timedelta) -> None:
    """Par l'heure du producteur, la rétention effaçait avant lecture ce qui venait d'une horloge en retard."""
    create_topics(settings)
    avant = datetime.now(UTC)
    donnee = round((avant + ecart).timestamp() * 1000)
    with closing(kafka.producer(settings)) as producteur:
        ecrit = producteur.send(settings.topic_avis, value=b"{}", partition=0, timestamp_ms=donnee).get(timeout=60)
    with closing(kafka.reader(settings)) as lecteur:
        [lu] = kafka.read_until(lecteur, settings.topic_avis, {0: ecrit.offset}, {0: ecrit.offset + 1}, 60)
    assert (
        avant - timedelta(minutes=1) < datetime.fromtimestamp(lu.timestamp / 1000, UTC) < avant + timedelta(minutes=5)
    )
