"""From a row of truth to a leaf: bytes that no later version of PostgreSQL, or of ours, renders otherwise.

A leaf says its table, its transaction and a commitment: nothing of the row itself, so that tiles can be published. Who
is given the row and its salt can compute the commitment; who is not, learns nothing from it.
"""

import json
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import repeat
from typing import Any, Final, NamedTuple

from psycopg import Connection, Cursor, adapters
from psycopg.adapt import Loader
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

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

_POSTGRESQL_EPOCH: Final = date(2000, 1, 1)
_MICROSECONDS_BEFORE: Final = 946_684_800_000_000
"""From 1970 to 2000: PostgreSQL counts from there."""

_LENGTH: Final = 4
_BLOCK: Final = 64
"""Of SHA-256, in bytes."""
_SHORT: Final = 2_048
"""What precedes values shorter than this is written once for each length."""
_SAMPLE: Final = 64
"""Values that tell whether a column repeats itself."""

Render = Callable[[Sequence[Sequence[Any]]], list[bytes]]
"""The bytes of each of these rows, from its columns as `read_raw` has them read."""


def read_raw(cursor: Cursor[Any]) -> None:
    """Have this binary cursor read what a leaf is made of as PostgreSQL sends it: nothing is decoded to be encoded.

    Every value has its bytes, also a time that Python has no value for, and that somebody put there since.
    """
    for kind, loader in _RAW:
        cursor.adapters.register_loader(kind, loader)


@cache
def renderer(table: str, columns: tuple[tuple[str, int], ...]) -> Render:
    """How rows of these columns (name, type) become bytes: the table, then each column that is not null, by its name.

    A value has its type before it. A null is left out, so that a nullable column added later changes no older row.
    Raises TypeError for a column of a type that no table of truth has.
    """
    beginning = _sized(table.encode())
    order = sorted(range(len(columns)), key=lambda at: columns[at][0])
    plan = [(at, _Column(_sized(columns[at][0].encode()), _kind(columns[at][1]))) for at in order]

    def render(rows: Sequence[Sequence[Any]]) -> list[bytes]:
        if not rows:
            return []
        read = list(zip(*rows, strict=True))
        parts: list[Iterable[bytes]] = [repeat(beginning)]
        for at, column in plan:
            parts += column.parts(read[at])
        return list(map(b"".join, zip(*parts)))  # noqa: B905  the first part has no end

    return render


def named(row: bytes) -> str:
    """Which row these bytes are: its table and the columns that order it there, for a person to find it."""
    parts = _parts(row)
    table = parts[0].decode()
    fields = {name.decode(): value for name, value in zip(parts[1::2], parts[2::2], strict=True)}
    return " ".join([table, *(f"{column}={_shown(fields[column])}" for column in ORDER[table] if column in fields)])


_COLUMNS: Final = """
SELECT t.nom, a.attname, a.atttypid FROM unnest(%b::text[]) AS t (nom)
LEFT JOIN pg_class c ON c.relname = t.nom AND c.relnamespace = 'journal'::regnamespace AND c.relkind = 'r'
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY t.nom, a.attname
"""


def misshapen(conn: Connection[Any]) -> list[str]:
    """The tables of truth whose rows cannot be read as they were sealed, and why."""
    columns: dict[str, dict[str, int]] = {table: {} for table in ORDER}
    for table, column, kind in conn.execute(_COLUMNS, (list(ORDER),)):
        if column is not None:
            columns[table][column] = kind
    found = []
    for table, there in columns.items():
        missing = [column for column in (*ORDER[table], WRITTEN_BY) if column not in there]
        found += [f"journal.{table} n'a pas de colonne {column}" for column in missing]
        found += [
            f"journal.{table}.{column} est d'un genre que rien ne scelle"
            for column in there
            if not _held(there[column])
        ]
    return found


def salt(secret: bytes, row: bytes) -> bytes:
    """The salt of a row, HMAC-SHA-256: who does not hold the secret cannot guess a row from its commitment."""
    inner, outer = (half.copy() for half in keyed(secret))
    inner.update(row)
    outer.update(inner.digest())
    return bytes(outer.digest())


def commitment(row: bytes, row_salt: bytes) -> bytes:
    """What a leaf says of a row."""
    return sha256(row_salt + row).digest()


def entry(table: bytes, written_by: int, committed: bytes) -> bytes:
    """The data of a leaf."""
    return b"%b\n%d\n%b\n" % (table, written_by, b2a_base64(committed, newline=False))


@cache
def keyed(secret: bytes) -> tuple[Any, Any]:
    """The two halves of HMAC under this key (RFC 2104), to be copied for each row: the key is hashed once."""
    key = (sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in key)), sha256(bytes(byte ^ 0x5C for byte in key))


def _parts(row: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(row):
        end = at + 4 + int.from_bytes(row[at : at + 4], "big")
        parts.append(row[at + 4 : end])
        at = end
    return parts


def _shown(typed: bytes) -> str:
    return typed[1:].decode() if typed[:1] in b"sitjd" else typed[1:].hex()


class _Kind(NamedTuple):
    tag: bytes
    render: Callable[[Any], bytes] | None = None
    """None: as it was read."""
    is_list: bool = False


class _Column:
    """A column, whose values are rendered together: a call for each value of each row is most of what hashing costs."""

    def __init__(self, name: bytes, kind: _Kind) -> None:
        self._name, self._kind = name, kind
        self._heads = _Heads(name, kind.tag)

    def parts(self, values: Sequence[Any]) -> list[Iterable[bytes]]:
        """What this column adds to each row: one part or two, of one each a row."""
        if self._kind.is_list:  # Which no dictionary holds.
            return [map(self._piece, values)]
        some = values[:_SAMPLE]
        if None in values or 2 * len(set(some)) <= len(some):
            return [map(_Pieces(self._piece).__getitem__, values)]
        rendered = values if self._kind.render is None else list(map(self._kind.render, values))
        return [map(self._heads.__getitem__, map(len, rendered)), rendered]

    def _piece(self, value: Any) -> bytes:
        if value is None:
            return b""
        rendered = value if self._kind.render is None else self._kind.render(value)
        return self._heads[len(rendered)] + bytes(rendered)


class _Heads(dict[int, bytes]):
    """What precedes a value of each length: the name of its column, its length with its tag, and its tag."""

    def __init__(self, name: bytes, tag: bytes) -> None:
        self._name, self._tag = name, tag

    def __missing__(self, size: int) -> bytes:
        head = self._name + _tagged(size, self._tag)
        if size < _SHORT:
            self[size] = head
        return head


class _Pieces(dict[Any, bytes]):
    """What a column adds to a row, by its value: many rows of one transaction have the same."""

    def __init__(self, piece: Callable[[Any], bytes]) -> None:
        self._piece = piece

    def __missing__(self, value: Any) -> bytes:
        made = self[value] = self._piece(value)
        return made


def _tagged(size: int, tag: bytes) -> bytes:
    return (size + len(tag)).to_bytes(_LENGTH, "big") + tag


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH, "big") + part


def _time(microseconds: int) -> bytes:
    return b"%d" % (microseconds + _MICROSECONDS_BEFORE)


def _day(days: int) -> bytes:
    try:
        return (_POSTGRESQL_EPOCH + timedelta(days)).isoformat().encode()
    except OverflowError:  # Infinity, or beyond the year 9999.
        return b"%d" % days


def _list_of(kind: _Kind) -> Callable[[list[Any]], bytes]:
    render = kind.render or bytes
    return lambda values: b"".join(_sized(kind.tag + render(value)) for value in values)


def _canonical_json(raw: bytes) -> bytes:
    """A jsonb in a form that does not depend on how PostgreSQL writes it; what is sent begins with its version.

    What Python does not read (nested by the thousand, a number without end) is left as it was sent: it is sealed too.
    """
    try:
        return _WRITER.encode(_READER.decode(raw[1:].decode())).encode()
    except (ValueError, RecursionError):
        return raw[1:]


_READER: Final = json.JSONDecoder(parse_float=lambda number: f"\x00{Decimal(number).normalize()}")
_WRITER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)

_DECIMAL: Final = _Kind(b"i", b"%d".__mod__)
_TEXT: Final = _Kind(b"s")

_KINDS: Final = {
    "text": _TEXT,
    "int2": _DECIMAL,
    "int4": _DECIMAL,
    "int8": _DECIMAL,
    "bool": _Kind(b"b", b"%d".__mod__),
    "bytea": _Kind(b"o"),
    "timestamptz": _Kind(b"t", _time),
    "date": _Kind(b"d", _day),
    "uuid": _Kind(b"u"),
    "jsonb": _Kind(b"j", _canonical_json),
}

_RAW: Final[tuple[tuple[str, type[Loader]], ...]] = (
    ("text", ByteaBinaryLoader),
    ("uuid", ByteaBinaryLoader),
    ("jsonb", ByteaBinaryLoader),
    ("timestamptz", Int8BinaryLoader),
    ("date", Int4BinaryLoader),
)


def _held(oid: int) -> bool:
    known = adapters.types.get(oid)
    return known is not None and known.name in _KINDS


@cache
def _kind(oid: int) -> _Kind:
    known = adapters.types.get(oid)
    if known is not None and _held(oid):
        return _Kind(b"l", _list_of(_KINDS[known.name]), is_list=True) if oid == known.array_oid else _KINDS[known.name]
    raise TypeError(f"no leaf holds a {known.name if known is not None else oid}")
