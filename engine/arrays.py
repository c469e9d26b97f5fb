"""PostgreSQL's arrays made a column at a time: psycopg calls its element's dumper once for each value of a batch.

Importing this module makes every connection opened from then on dump its lists so. The bytes are psycopg's own, value
for value; a list that holds anything else than these types, or a null, is left to psycopg.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct, error
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.types.array import ListBinaryDumper

_TEXT, _BYTEA, _UUID, _BOOL, _TIMESTAMPTZ, _JSONB = 25, 17, 2950, 16, 1184, 3802
_INTEGERS: Final = {21: (2, "h"), 23: (4, "i"), 20: (8, "q")}
"""By type (int2, int4, int8): the bytes of a value, and how `struct` calls it."""

_HEAD: Final = Struct("!iiIii").pack
"""Dimensions, whether there are nulls, the elements' type, how many, and the first one's place."""

_LENGTHS: Final = [length.to_bytes(4, "big") for length in range(4096)]
"""The length of a value, as it precedes it; a longer one is left to psycopg."""

_BOOLEANS: Final = {False: b"\x00", True: b"\x01"}

_NOT_THESE: Final = (AttributeError, KeyError, TypeError, IndexError, UnicodeError, error)
"""What a value of another type, a null, or one too long raises."""

_JSONB_1: Final = b"\x01"
"""What precedes JSON in PostgreSQL's first binary form of `jsonb`."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UTF_8: Final = "utf-8"


def _varying(values: list[bytes]) -> bytes:
    parts: list[bytes] = [b""] * (2 * len(values))
    parts[::2] = map(_LENGTHS.__getitem__, map(len, values))
    parts[1::2] = values
    return b"".join(parts)


def _jsonbs(values: list[Any]) -> bytes:
    return _varying([_JSONB_1 + value.dumps(value.obj) for value in values])


def _texts(values: list[str]) -> bytes:
    return _varying(list(map(str.encode, values)))


def _uuids(values: list[Any]) -> bytes:
    length = _LENGTHS[16]
    return length + length.join([value.bytes for value in values])


def _bools(values: list[bool]) -> bytes:
    return _LENGTHS[1] + _LENGTHS[1].join(map(_BOOLEANS.__getitem__, values))


def _instants(values: list[datetime]) -> bytes:
    epoch = _EPOCH
    since = [value - epoch for value in values]
    return _integers(*_INTEGERS[20])(
        [(one.days * 86_400 + one.seconds) * 1_000_000 + one.microseconds for one in since]
    )


@lru_cache(maxsize=64)
def _struct(code: str, count: int) -> Struct:
    return Struct("!" + f"i{code}" * count)


def _integers(size: int, code: str) -> Callable[[list[int]], bytes]:
    def pack(values: list[int]) -> bytes:
        parts = [size] * (2 * len(values))
        parts[1::2] = values
        return _struct(code, len(values)).pack(*parts)

    return pack


_PACKERS: Final[dict[int, Callable[[list[Any]], bytes]]] = {
    _TEXT: _texts,
    _BYTEA: _varying,
    _UUID: _uuids,
    _BOOL: _bools,
    _TIMESTAMPTZ: _instants,
    _JSONB: _jsonbs,
    **{oid: _integers(size, code) for oid, (size, code) in _INTEGERS.items()},
}


class ColumnDumper(ListBinaryDumper):
    """psycopg's dumper of lists, with a quicker way for the types of our batches."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        """The same bytes."""
        oid = self.sub_dumper.oid if self.sub_dumper is not None else 0
        pack = _PACKERS.get(oid)
        if pack is None or not obj or (oid == _TEXT and self._tx.encoding != _UTF_8):
            return super().dump(obj)
        try:
            return _HEAD(1, 0, oid, len(obj), 1) + pack(obj)
        except _NOT_THESE:
            return super().dump(obj)


psycopg.adapters.register_dumper(list, ColumnDumper)
