"""Le journal sort sur Kafka : chaque fait, dans l'ordre de son flux, quoi qu'il arrive."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from engine.recorder import Recorder
from service.settings import Settings
from tests.outils import attendre
from tests.publication import banc


@pytest.fixture
def settings(base: Any, kafka: str, prefixe: str) -> Settings:
    from service.kafka import create_topics

    donnes = banc.reglages(base.url, kafka, prefixe)
    create_topics(donnes)
    return donnes


@pytest.fixture
def recorder(base: Any) -> Iterator[Recorder]:
    with banc.ouvrir(base.url) as ouvert:
        yield ouvert


def test_tout_le_journal_sort_une_fois_chaque_flux_dans_l_ordre(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    banc.record(recorder, *(banc.avec_paiements(numero, 2) for numero in range(20)))
    assert banc.publier(settings) == 100
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)
    assert banc.publier(settings) == 0


def test_huit_ecrivains_et_un_publieur_qui_les_talonne(base: Any, recorder: Recorder, settings: Settings) -> None:
    def ecrire(rang: int) -> None:
        for n in range(25):
            banc.record(recorder, banc.avec_paiements(rang * 1000 + n, 2))

    fils = [threading.Thread(target=ecrire, args=(rang,)) for rang in range(8)]
    with banc.publieur(settings):
        for fil in fils:
            fil.start()
        for fil in fils:
            fil.join()
        with psycopg.connect(base.url, autocommit=True) as conn:
            fin = conn.execute("SELECT max(position) FROM journal.evenements").fetchone()
            attendre(lambda: (banc.etat(base.url)["position"],) == fin, secondes=30)
    assert banc.versions(banc.relire(settings)) == banc.journal(base.url)
