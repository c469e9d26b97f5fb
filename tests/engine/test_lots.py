"""Un lot que l'on ne peut pas lire dit où il est, et n'épuise ni la mémoire ni la patience."""

import gzip

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.record.memory_records import MemoryRecords

from engine.kafka_records import BATCH_BYTES_MAX, HEADERS_BYTES_MAX, UnreadableBatch
from tests.lots import GZIP, LZ4, SNAPPY, ZSTD, lot

OU = TopicPartition("t", 3)
ZEROS = bytes(BATCH_BYTES_MAX + 1)
BON = lot(b"un", b"deux")


def lire(octets: bytes) -> list[bytes]:
    """Ce que kafka-python rend d'un lot, lu comme il le lit : jusqu'à ce que plus rien n'en vienne."""
    lus: list[bytes] = []
    while nouveaux := Fetcher.PartitionRecords(len(lus), OU, MemoryRecords(octets)).take():
        lus += [message.value for message in nouveaux]
    return lus


@pytest.mark.parametrize(
    ("octets", "position", "suite"),
    [
        (lot(b"un", contenu=b"\xff" * 50), 0, 1),
        (lot(b"un", annonces=5), 1, 5),
        (lot(b"un", annonces=-3), 0, 1),
        (BON[:-1] + bytes([BON[-1] ^ 1]), 0, 2),
        *[(lot(b"un", compresse=codec, contenu=b"pas cela"), 0, 1) for codec in (GZIP, SNAPPY, LZ4, ZSTD)],
        *[(lot(b"un", compresse=codec, contenu=b""), 0, 1) for codec in (GZIP, SNAPPY, LZ4, ZSTD)],
        (lot(b"un", compresse=7), 0, 1),
    ],
)
def test_un_lot_illisible_dit_ou_il_est_et_ou_commence_ce_qui_le_suit(octets: bytes, position: int, suite: int) -> None:
    with pytest.raises(UnreadableBatch) as dit:
        lire(octets)
    assert (dit.value.where, dit.value.position, dit.value.beyond) == (OU, position, suite)


@pytest.mark.parametrize(
    ("compresse", "bombe"),
    [
        (GZIP, gzip.compress(ZEROS)),
        (LZ4, lz4.frame.compress(ZEROS)),
        (ZSTD, zstandard.ZstdCompressor().compress(ZEROS)),
        (ZSTD, zstandard.ZstdCompressor().compress(ZEROS[: len(ZEROS) // 2 + 1]) * 2),
    ],
)
def test_un_lot_qui_gonflerait_sans_mesure_n_est_pas_decompresse(compresse: int, bombe: bytes) -> None:
    with pytest.raises(UnreadableBatch, match="une fois décompressé"):
        lire(lot(b"un", compresse=compresse, contenu=bombe))


def test_les_lots_sains_se_lisent_comme_avant() -> None:
    nu = lot(b"un", b"deux")
    corps = nu[61:]  # Après l'en-tête du lot.
    compresses = {GZIP: gzip.compress(corps), LZ4: lz4.frame.compress(corps), ZSTD: zstandard.compress(corps)}
    assert lire(nu) == [b"un", b"deux"]
    for codec, contenu in compresses.items():
        assert lire(lot(b"un", b"deux", compresse=codec, contenu=contenu)) == [b"un", b"deux"]


def test_un_lot_fait_d_en_tetes_n_est_pas_lu_et_un_grand_message_l_est() -> None:
    en_tetes = [(b"", None)] * 5_000
    nombreux = lot(*[b"x"] * 200, en_tetes=en_tetes)[61:]
    with pytest.raises(UnreadableBatch, match="en-têtes"):
        lire(lot(*[b"x"] * 200, compresse=ZSTD, contenu=zstandard.compress(nombreux)))
    grand = bytes(HEADERS_BYTES_MAX * 3)
    assert lire(lot(grand, b"deux", en_tetes=[(b"cause", b"trop grand")])) == [grand, b"deux"]
    abime = lot(b"x", contenu=b"\x7f" * (2 * HEADERS_BYTES_MAX))
    with pytest.raises(UnreadableBatch, match="CorruptRecordError"):
        lire(abime)
