"""La lecture des enregistrements de Kafka dit ce que dit celle de kafka-python, fautes comprises, mot pour mot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from engine.kafka_records import _READ, Record, _read

DEBUT = DefaultRecordBatch.HEADER_STRUCT.size

octets = st.none() | st.binary(max_size=100)
messages = st.lists(
    st.tuples(
        st.integers(1_700_000_000_000, 1_800_000_000_000),
        octets,
        octets,
        st.lists(st.tuples(st.text(max_size=20), octets), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


ATTRIBUTS = 22
"""Où un lot porte le bit qui dit que l'heure est celle du courtier, comme sur les topics d'arrivée."""


def lot(ecrits: list[Any], *, du_courtier: bool = False) -> bytes:
    b = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10_000_000)
    for rang, (heure, cle, valeur, en_tetes) in enumerate(ecrits):
        b.append(rang, heure, cle, valeur, en_tetes)
    construit = bytearray(b.build())
    construit[ATTRIBUTS] |= DefaultRecordBatch.TIMESTAMP_TYPE_MASK if du_courtier else 0
    return bytes(construit)


def lus(octets_du_lot: bytes, lire: Any) -> list[tuple[object, ...]]:
    """Ce que la lecture de kafka-python fait d'un lot, enregistrement par enregistrement, la faute à la fin."""
    lot_lu = DefaultRecordBatch(octets_du_lot)
    lot_lu._maybe_uncompress()
    trouves: list[tuple[object, ...]] = []
    while lot_lu._pos < len(lot_lu._buffer) and len(trouves) < 50:
        try:
            lu = lire(lot_lu)
        except Exception as faute:  # noqa: BLE001
            return [*trouves, (type(faute), str(faute).replace("bytearray ", "").replace("bytes ", ""))]
        champs = ("size_in_bytes", "offset", "timestamp", "timestamp_type", "key", "value", "headers", "checksum")
        trouves.append((*(getattr(lu, champ) for champ in champs), lu.validate_crc(), lot_lu._pos))
    return trouves


@given(messages, st.booleans())
def test_un_lot_se_lit_a_l_identique(ecrits: list[Any], du_courtier: bool) -> None:  # noqa: FBT001
    octets_du_lot = lot(ecrits, du_courtier=du_courtier)
    attendus = lus(octets_du_lot, _READ)
    assert len(attendus) == len(ecrits)
    assert lus(octets_du_lot, _read) == attendus


@pytest.mark.parametrize("du_courtier", [True, False])
def test_un_enregistrement_ordinaire_prend_le_chemin_court(*, du_courtier: bool) -> None:
    """Sinon tout se lirait encore, mais lentement, et rien ne le dirait."""
    ecrits = [(1_700_000_000_000 + rang, b"cle", b"v" * 1000, [("correlation", b"c" * 32)]) for rang in range(200)]
    assert {type(lu) for lu in DefaultRecordBatch(lot(ecrits, du_courtier=du_courtier))} == {Record}


@given(messages, st.data())
def test_un_lot_abime_se_lit_ou_se_refuse_a_l_identique(ecrits: list[Any], tire: st.DataObject) -> None:
    octets_du_lot = bytearray(lot(ecrits))
    for _ in range(tire.draw(st.integers(1, 3))):
        octets_du_lot[tire.draw(st.integers(DEBUT, len(octets_du_lot) - 1))] = tire.draw(st.integers(0, 255))
    del octets_du_lot[tire.draw(st.integers(DEBUT, len(octets_du_lot))) :]
    attendus = lus(bytes(octets_du_lot), _READ)
    if attendus and attendus[-1][0] is UnicodeDecodeError:
        return  # Ce nom-là se lit : `test_un_en_tete_qui_n_est_pas_en_utf8_n_arrete_personne`.
    assert lus(bytes(octets_du_lot), _read) == attendus
