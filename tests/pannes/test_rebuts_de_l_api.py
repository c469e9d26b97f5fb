"""Le topic des formulaires mal scellés, supprimé : l'API le crée de nouveau, sans attendre un consommateur."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine.dead_letters import SUFFIXE
from tests.consumers.banc import Banc, banc, notification
from tests.consumers.test_rebuts_perdus import supprimer
from tests.outils import attendre
from tests.pannes.conftest import api


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


def poster(client: httpx.Client, transaction: str) -> str:
    """Un formulaire mal scellé : le code de son refus."""
    formulaire = notification(transaction, 20_00) | {"Seal": "0" * 64}
    del formulaire["recue_le"]
    return str(client.post("/kiosque/notification", data=formulaire).json()["code"])


def garde(client: httpx.Client, transaction: str) -> None:
    """La banque redit ce formulaire jusqu'à ce qu'il soit gardé."""
    attendre(lambda: poster(client, transaction) != "kafka_indisponible", quoi=f"{transaction} est gardé")


def test_un_formulaire_mal_scelle_est_garde_quand_son_topic_manque(b: Banc, tmp_path: Any) -> None:
    topic = b.settings.topic_notifications
    supprimer(b, topic + SUFFIXE)
    with api(b, tmp_path) as client:
        garde(client, "T1")
        assert [lu.value for lu in b.rebuts(topic, 1)]
        # L'API le connaît désormais, et l'a tenu pour là.
        supprimer(b, topic + SUFFIXE)
        garde(client, "T2")
        garde(client, "T3")
        lus = [lu.value for lu in b.rebuts(topic, 2)]
    assert [b"T2" in lus[0], b"T3" in lus[1]] == [True, True]
