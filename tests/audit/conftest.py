"""Un monde peuplé une fois par module : les tests l'altèrent dans une transaction qu'ils défont."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.audit.cloture import arreter
from tests.audit.monde import Monde, monde, peupler, regler
from tests.conftest import Serveurs, nouvelle_base


@pytest.fixture(scope="module")
def base_peuplee(serveurs: Serveurs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with nouvelle_base(serveurs) as base:
        with monde(base.url) as m:
            peupler(m)
            regler(m)
            arreter(m, base.url_proprietaire, tmp_path_factory.mktemp("tsa"))
        yield base


@pytest.fixture(scope="module")
def proprietaire(base_peuplee: Any) -> Iterator[psycopg.Connection[Any]]:
    """Le propriétaire de la base."""
    with psycopg.connect(base_peuplee.url_proprietaire, autocommit=True) as conn:
        yield conn


@pytest.fixture
def vide(base: Any) -> Iterator[Monde]:
    """Un monde vide."""
    with monde(base.url) as m:
        yield m
