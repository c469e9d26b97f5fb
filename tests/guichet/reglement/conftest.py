"""Le banc des règlements."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.guichet.reglement.banc import Banc, banc


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    """Un banc sur une base neuve."""
    with banc(base.url) as pret:
        yield pret
