"""From a row of truth to a leaf: bytes that no later version of PostgreSQL, or of ours, renders otherwise.

A leaf says its table, its transaction and a commitment: nothing of the row itself, so that tiles can be published. Who
is given the row and its salt can compute the commitment; who is not, learns nothing from it.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import Connection, DataError
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.datetime import DateBinaryLoader, TimestamptzBinaryLoader
from psycopg.types.json import set_json_loads

from preuve.notes import encode

ORDER: Final[dict[str, tuple[str, ...]]] = {
    "acces": ("rang",),
    "arretes": ("numero",),
    "arrets": ("topic_id", "partition"),
    "attentes": ("rang",),
    "attentes_reglees": ("topic_id", "partition", "decalage"),
    "cles_idempotence": ("auteur", "cle"),
    "ecarts_de_rapport": ("rang",),
    "epoques": ("nom",),
    "evenements": ("position",),
    "jetons_d_arrete": ("jour",),
    "lignes_de_rapport": ("cle",),
    "notes": ("rang",),
    "pertes": ("topic_id", "partition", "depuis"),
    "positions": ("topic_id", "partition", "depuis"),
    "rapports": ("rang",),
    "reculs": ("epoque",),
    "refus_de_temoins": ("rang",),
    "reprises": ("identifiant", "partition"),
    "securite": ("rang",),
    "sorts": ("topic_id", "partition", "decalage"),
    "topics": ("topic", "topic_id"),
}
"""Every table of truth that is sealed, in order, and the columns that order its rows within one transaction."""

WRITTEN_BY: Final = "ecrit_par"
"""The column that says which transaction wrote a row; 0 for what came before it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CanonicalJson(bytes):
    """A jsonb in a form that does not depend on how PostgreSQL writes it."""


def read_canonically(conn: Connection[Any]) -> None:
    """Have this connection's jsonb read as `CanonicalJson`."""
    set_json_loads(_canonical_json, conn)


def read_the_unreadable(conn: Connection[Any]) -> None:
    """Have this connection read also a time that Python has no value for, as bytes that no leaf was made of.

    Apart, for it costs: such a time is never sealed, and is there only if somebody put it there since.
    """
    conn.adapters.register_loader("timestamptz", _AnyTime)
    conn.adapters.register_loader("date", _AnyDate)


class _AsBytesIfUnreadable(Loader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)  # type: ignore[safe-super]  # That of the loader it stands before.
        except DataError:
            return bytes(data)


class _AnyTime(_AsBytesIfUnreadable, TimestamptzBinaryLoader):
    pass


class _AnyDate(_AsBytesIfUnreadable, DateBinaryLoader):
    pass


def canonical(table: str, columns: Sequence[str], values: Sequence[Any]) -> bytes:
    """The bytes of a row: its table, then each column that is not null, by name, with its type.

    A null is left out, so that a nullable column added later changes no older row. Raises TypeError for a value of a
    type that no table of truth has.
    """
    fields = sorted((name, value) for name, value in zip(columns, values, strict=True) if value is not None)
    parts = [table.encode()]
    for name, value in fields:
        parts += (name.encode(), _typed(value))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def named(row: bytes) -> str:
    """Which row these bytes are: its table and the columns that order it there, for a person to find it."""
    parts = _parts(row)
    table = parts[0].decode()
    fields = {name.decode(): value for name, value in zip(parts[1::2], parts[2::2], strict=True)}
    return " ".join([table, *(f"{column}={_shown(fields[column])}" for column in ORDER[table] if column in fields)])


def salt(secret: bytes, row: bytes) -> bytes:
    """The salt of a row: who does not hold the secret cannot guess a row from its commitment."""
    return hmac.digest(secret, row, "sha256")


def commitment(row: bytes, row_salt: bytes) -> bytes:
    """What a leaf says of a row."""
    return hashlib.sha256(row_salt + row).digest()


def entry(table: str, written_by: int, committed: bytes) -> bytes:
    """The data of a leaf."""
    return f"{table}\n{written_by}\n{encode(committed)}\n".encode()


def _parts(row: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(row):
        end = at + 4 + int.from_bytes(row[at : at + 4], "big")
        parts.append(row[at + 4 : end])
        at = end
    return parts


def _shown(typed: bytes) -> str:
    return typed[1:].decode() if typed[:1] in b"sitjd" else typed[1:].hex()


def _typed(value: Any) -> bytes:
    for kind, tag, render in _TYPES:  # A bool is an int, and canonical JSON is bytes: the narrower stands first.
        if isinstance(value, kind):
            return tag + render(value)
    raise TypeError(f"no leaf holds a {type(value).__name__}")


def _list(values: list[Any]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in map(_typed, values))


_TYPES: Final[tuple[tuple[type | tuple[type, ...], bytes, Callable[[Any], bytes]], ...]] = (
    (CanonicalJson, b"j", bytes),
    (str, b"s", str.encode),
    (bool, b"b", lambda value: b"%d" % value),
    (int, b"i", lambda value: b"%d" % value),
    ((bytes, memoryview), b"o", bytes),
    (datetime, b"t", lambda value: b"%d" % ((value - _EPOCH) // _MICROSECOND)),
    (date, b"d", lambda value: value.isoformat().encode()),  # A datetime is one: it stands first.
    (UUID, b"u", lambda value: value.bytes),
    (list, b"l", _list),
)


def _canonical_json(text: str | bytes) -> CanonicalJson:
    value = json.loads(text, parse_float=lambda number: f"\x00{Decimal(number).normalize()}")
    return CanonicalJson(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode())
