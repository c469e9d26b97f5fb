"""Des lots écrits à la main, octet par octet, et mis tels quels sur un topic."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
MARQUE = 0x20
"""Le lot est une marque de transaction, que personne ne lit."""


def lot(
    *valeurs: bytes,
    compresse: int = 0,
    contenu: bytes | None = None,
    annonces: int | None = None,
    marque: int = 0,
    en_tetes: Sequence[tuple[bytes, bytes | None]] = (),
) -> bytes:
    """Un lot (format 2) de ces valeurs ; `contenu` à la place de ce qu'il porterait, `annonces` pour leur nombre.

    `en_tetes` : ceux de chaque message, aussi sans valeur, ce que kafka-python ne sait pas écrire.
    """
    plus = _varint(len(en_tetes)) + b"".join(_octets(nom) + _octets(valeur) for nom, valeur in en_tetes)
    corps = b""
    for rang, valeur in enumerate(valeurs):
        message = b"\x00" + _varint(0) + _varint(rang) + _octets(None) + _octets(valeur) + plus
        corps += _varint(len(message)) + message
    nombre = len(valeurs) if annonces is None else annonces
    suite = struct.pack(">hiqqqhii", compresse | marque, nombre - 1, 0, 0, -1, -1, -1, nombre)
    suite += corps if contenu is None else contenu
    return struct.pack(">qiibI", 0, 9 + len(suite), 0, 2, calc_crc32c(suite)) + suite


def _octets(valeur: bytes | None) -> bytes:
    return _varint(-1) if valeur is None else _varint(len(valeur)) + valeur


def _varint(nombre: int) -> bytes:
    reste, ecrit = (nombre << 1) ^ (nombre >> 63), bytearray()
    while reste > 0x7F:
        ecrit.append(reste & 0x7F | 0x80)
        reste >>= 7
    return bytes([*ecrit, reste])


def mettre(kafka: dict[str, Any], topic: str, partition: int, octets: bytes) -> int:
    """Met ce lot sur le topic ; rend sa position."""

    class TelQuel(DefaultRecordBatchBuilder):  # type: ignore[misc]
        def build(self) -> bytearray:
            return bytearray(octets)

    with pytest.MonkeyPatch.context() as remplace:
        remplace.setattr(memory_records, "DefaultRecordBatchBuilder", TelQuel)
        emetteur = KafkaProducer(**kafka, acks="all", enable_idempotence=False, retries=0)
        try:
            ecrit = emetteur.send(topic, value=b"x", partition=partition).get(timeout=30)
        finally:
            emetteur.close(timeout=5)
    return int(ecrit.offset)
