"""Un lieu où l'exploitant joue une fiche, et le service qui y tourne."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploiement.banc import Exploitation, Lieu, exploitation, lieu

__all__ = ["lieu"]


@pytest.fixture
def e(lieu: Lieu, base: Any) -> Iterator[Exploitation]:
    """Une exploitation sur une base neuve ; rien n'y tourne encore que le kiosque simulé."""
    with exploitation(lieu, base.url, base.url_proprietaire) as ouverte:
        yield ouverte
