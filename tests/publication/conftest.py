"""Ce que les tests de la publication ont en commun : un journal où écrire, et des topics où publier."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.recorder import Recorder
from service.settings import Settings
from tests.api.conftest import reglages_api, service
from tests.publication import banc

__all__ = ["reglages_api", "service"]


@pytest.fixture
def recorder(base: Any) -> Iterator[Recorder]:
    with banc.ouvrir(base.url) as ouvert:
        yield ouvert


@pytest.fixture
def settings(base: Any, kafka: str, prefixe: str) -> Settings:
    from service.kafka import create_topics

    donnes = banc.reglages(base.url, kafka, prefixe)
    create_topics(donnes)
    return donnes
