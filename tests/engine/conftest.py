"""Ce que les tests du journal ont en commun : un enregistreur, et deux connexions d'observation."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from engine.database import Database
from engine.recorder import Recorder
from tests.engine.epreuve import MAPPER


@pytest.fixture
def recorder(base: Any) -> Iterator[Recorder]:
    """L'enregistreur, comme le service."""
    with Database(base.url, application="test-journal", connexions_max=12) as ouverte:
        yield Recorder(ouverte, MAPPER)


@pytest.fixture
def service(base: Any) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion du rôle du service, en autocommit."""
    with psycopg.connect(base.url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def proprietaire(base: Any) -> Iterator[psycopg.Connection[Any]]:
    """Une connexion du propriétaire, en autocommit."""
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        yield conn
