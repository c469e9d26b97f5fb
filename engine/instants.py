"""An instant or a day that no Python date can hold is read as the nearest one that can, whatever table it stands in.

PostgreSQL keeps `infinity` and years before 1 or after 9999, and psycopg refuses to read the row: one damaged time
would stop a follower, a list or a command for good, though all else in it is sound. Importing this module makes every
connection of the process read it; `audit` says what such a row bears. Reading so costs a microsecond a value: what
reads the log at full speed asks for `rows`, which pays it only when a row asks for it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
"""As far back as an instant can be, and still be told in any time zone."""

LAST: Final = datetime(9999, 12, 30, tzinfo=UTC)
"""As far ahead."""


AGE_MAX_S: Final = 1e11
"""The age told of an instant that is none: `-infinity` is that old, and `infinity` lies that far ahead (seconds)."""


def age_s(instant: str) -> str:
    """The SQL of how long ago this column's instant was (seconds, float8): finite, and NULL if there is none.

    Before 17, PostgreSQL refuses to subtract an infinite time; after, it gives an infinity that JSON cannot say.
    """
    return (
        f"(CASE WHEN isfinite({instant}) THEN extract(epoch FROM clock_timestamp() - {instant})::float8"
        f" WHEN {instant} > clock_timestamp() THEN -{AGE_MAX_S} WHEN {instant} IS NOT NULL THEN {AGE_MAX_S} END)"
    )


def _is_past(data: bytes, pq_format: Format) -> bool:
    """Whether what cannot be read lies before all dates, rather than after."""
    if pq_format is Format.BINARY:
        return int.from_bytes(data, "big", signed=True) < 0
    return data.startswith(b"-") or data.endswith(b"BC")


def _lenient(strict: Any, first: date, last: date) -> type[Loader]:
    """What reads as `strict` does, and these bounds for what it refuses."""

    class Lenient(Loader):
        format = strict.format

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._read: Callable[[Buffer], date] = strict(oid, context).load

        def load(self, data: Buffer) -> date:
            try:
                found = self._read(data)
            except psycopg.DataError:
                return first if _is_past(bytes(data), self.format) else last
            return min(max(found, first), last)

    return Lenient


def _oid(name: str) -> int:
    return psycopg.adapters.types[name].oid


_AT_SPEED: Final[Any] = psycopg.adapters.get_loader(_oid("timestamptz"), Format.BINARY)
"""Psycopg's own, in C."""


def rows(conn: Connection[Any], query: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a SELECT, in binary; a time that no date can hold costs a second reading."""
    with conn.cursor(binary=True) as cursor:
        cursor.adapters.register_loader(_oid("timestamptz"), _AT_SPEED)
        try:
            return cursor.execute(query, values).fetchall()
        except psycopg.DataError as refused:
            if refused.sqlstate is not None:
                raise  # PostgreSQL's word, not the reading's.
    return conn.execute(query, values, binary=True).fetchall()


for _name, _first, _last in (("timestamptz", FIRST, LAST), ("date", date.min, date.max)):
    for _format in Format.TEXT, Format.BINARY:
        _strict = psycopg.adapters.get_loader(_oid(_name), _format)
        psycopg.adapters.register_loader(_oid(_name), _lenient(_strict, _first, _last))
