"""Ce qu'un autre a mis sur le topic des événements n'arrête ni la vérification du démarrage ni celle des pertes."""

from collections.abc import Iterator
from typing import Any

import pytest

from publication.cloudevent import source_publiee
from publication.epoques import epoque_courante
from service import rewind
from service.lost import lost
from tests.consumers.banc import Banc, banc
from tests.lots import lot, mettre


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


ETRANGERS: list[tuple[str, bytes | None, bytes | None]] = [
    ("sans valeur d'en-tête", None, None),
    ("un id sans valeur", None, b"courante"),
    ("une version sans fin", b"creance-X:" + b"9" * 5_000, b"courante"),
    ("une version trop grande", b"creance-X:" + b"9" * 19, b"courante"),
    ("une version négative", b"creance-X:-1", b"courante"),
    ("un NUL", b"creance-\x00:1", b"courante"),
    ("pas de l'UTF-8", b"\xff\xfe:1x", b"courante"),
    ("une époque inventée", b"creance-X:1", b"zzz"),
    ("une époque sans fin", b"creance-X:1", b"9" * 5_000),
]


@pytest.mark.parametrize(("ident", "epoque"), [un[1:] for un in ETRANGERS], ids=[un[0] for un in ETRANGERS])
def test_un_message_etranger_parmi_les_evenements_n_arrete_aucune_verification(
    b: Banc, ident: bytes | None, epoque: bytes | None
) -> None:
    dite = epoque_courante(b.conn).encode() if epoque == b"courante" else epoque
    source = None if dite is None else source_publiee(b.settings.shard_digit, "").encode() + dite
    en_tetes = [(b"ce_id", ident), (b"ce_source", source), (b"ce_type", None)]
    mettre(b.settings.kafka_connection(), b.settings.topic_evenements, 0, lot(b"{}", en_tetes=en_tetes))
    assert rewind.check(b.settings, b.conn) is None
    assert lost(b.settings, b.conn) == []
