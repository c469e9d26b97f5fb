"""Les colonnes d'un lot partent en les octets mêmes de psycopg, quelles que soient leurs valeurs."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.array import ListBinaryDumper
from psycopg.types.json import Jsonb

from engine.arrays import _PACKERS, ColumnDumper

FUSEAUX = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))])
OBJETS = st.dictionaries(st.text(max_size=5), st.integers(-(2**31), 2**31) | st.none() | st.text(max_size=5))
UN_INSTANT = datetime(2026, 11, 25, 10, 30, 15, 250, tzinfo=UTC)
"""Le même dans chaque processus d'une course : il nomme un test."""

VALEURS: list[st.SearchStrategy[Any]] = [
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["x" * 5_000, "", "é"]),
    st.binary(max_size=40),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**80), 2**80),
    st.uuids(),
    st.booleans(),
    st.datetimes(timezones=FUSEAUX),
    st.datetimes(),
    st.dates(),
    st.floats(allow_nan=False),
    OBJETS.map(lambda objet: Jsonb(objet, msgspec.json.encode)),
    OBJETS.map(Jsonb),
]


def octets(dumper: type[ListBinaryDumper], valeurs: list[Any]) -> tuple[int, bytes | None]:
    """Le type et les octets d'une liste, ou rien si elle est refusée."""
    try:
        de_la_liste: Any = dumper(list, Transformer()).upgrade(valeurs, PyFormat.BINARY)
        return de_la_liste.oid, bytes(de_la_liste.dump(valeurs))
    except Exception:  # noqa: BLE001  (refusée de la même façon par l'un et par l'autre)
        return 0, None


@given(st.sampled_from(VALEURS).flatmap(lambda une: st.lists(une, max_size=20)))
def test_une_colonne_part_comme_psycopg_l_enverrait(valeurs: list[Any]) -> None:
    assert octets(ColumnDumper, valeurs) == octets(ListBinaryDumper, valeurs)


@given(st.sampled_from(VALEURS).flatmap(lambda une: st.lists(une | st.none(), max_size=20)))
def test_une_colonne_a_trous_aussi(valeurs: list[Any]) -> None:
    assert octets(ColumnDumper, valeurs) == octets(ListBinaryDumper, valeurs)


@given(st.lists(st.one_of(VALEURS), max_size=6))
def test_une_colonne_melee_aussi(valeurs: list[Any]) -> None:
    assert octets(ColumnDumper, valeurs) == octets(ListBinaryDumper, valeurs)


@pytest.mark.parametrize(
    "valeurs",
    [
        ["a"],
        [b"a"],
        [1],
        [2**20],
        [2**40],
        [True],
        [UN_INSTANT],
        [Jsonb({}, msgspec.json.encode)],
    ],
    ids=str,
)
def test_ces_colonnes_ne_passent_pas_par_psycopg(valeurs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sinon tout partirait encore, mais lentement, et rien ne le dirait."""
    monkeypatch.setattr(ListBinaryDumper, "dump", lambda *_: pytest.fail("psycopg"))
    oid, envoyes = octets(ColumnDumper, valeurs)
    assert oid
    assert envoyes
    assert _PACKERS
