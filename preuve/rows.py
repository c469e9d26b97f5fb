"""The rows of truth in the order in which they are sealed.

That order is the transaction's that wrote them, then the table's, then the row's in its table. What a former generation
wrote comes first, table by table: after a restore, transaction numbers of another server mean nothing.
"""

from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql

from preuve import leaves

GENERATION_BITS: Final = 48
"""The low bits of `ecrit_par` are the transaction's number; above stands the generation, one an epoch."""

_FETCHED: Final = 2_000


def _of_each_table(one: LiteralString, between: LiteralString) -> bytes:
    """One statement from this one of each table."""
    each = (
        sql.SQL(one).format(sql.Literal(table), sql.Identifier(table), w=sql.SQL(leaves.WRITTEN_BY))
        for table in leaves.ORDER
    )
    return sql.SQL(between).join(each).as_bytes(None)


# The transaction of each table's row of that rank; the first of them, if a table has so many.
_NTH: Final = (
    b"SELECT min(nth) FROM ("
    + _of_each_table(
        "(SELECT {w} AS nth FROM journal.{1} WHERE {w} > %(since)s AND {w} <= %(until)s"
        " ORDER BY {w} OFFSET %(rows)s LIMIT 1)",
        " UNION ALL ",
    )
    + b") AS of_tables"
)

_COUNT: Final = (
    b"SELECT sum(n)::int8 FROM ("
    + _of_each_table("(SELECT count(*) AS n FROM journal.{1} WHERE {w} > %(since)s)", " UNION ALL ")
    + b") AS of_tables"
)

# The tables that have any: most have none, and asking each for its rows would cost more than the rows.
_ANY: Final = _of_each_table(
    "(SELECT {0} WHERE EXISTS (SELECT FROM journal.{1} WHERE {w} > %(since)s AND {w} <= %(until)s))", " UNION ALL "
)


class Row(NamedTuple):
    """A row of truth."""

    written_by: int
    table: str
    canonical: bytes
    position: int
    """An event's position in the log; 0 for another row."""

    def entry(self, secret: bytes) -> bytes:
        """The data of its leaf."""
        committed = leaves.commitment(self.canonical, leaves.salt(secret, self.canonical))
        return leaves.entry(self.table.encode(), self.written_by, committed)

    def salt(self, secret: bytes) -> bytes:
        """Its salt."""
        return leaves.salt(secret, self.canonical)


def leaf_hashes(rows: Iterable[Row], secret: bytes) -> list[bytes]:
    """The hash of each row's leaf: `leaf_hash(row.entry(secret))`, in one loop, for it is most of the work."""
    inner, outer = leaves.keyed(secret)
    hashes, of, beginning = list[bytes](), (0, ""), b""
    for written_by, table, canonical, _ in rows:
        if (written_by, table) != of:  # Rows of one transaction come together.
            of = (written_by, table)
            beginning = b"\x00%b\n%d\n" % (table.encode(), written_by)
        salted, keyed = inner.copy(), outer.copy()
        salted.update(canonical)
        keyed.update(salted.digest())
        committed = b2a_base64(sha256(keyed.digest() + canonical).digest())
        hashes.append(sha256(beginning + committed).digest())
    return hashes


def written_in(conn: Connection[Any], since: int, until: int) -> Iterator[Row]:
    """The rows of one generation with `since` < `ecrit_par` <= `until`, in order, read at once into memory.

    In the caller's transaction, which should be one snapshot.
    """
    window = {"since": since, "until": until}
    having = {table for (table,) in conn.execute(_ANY, window)}
    with conn.pipeline():
        asked = [
            (table, _raw(conn.cursor(binary=True)).execute(_query(table, leaves.WRITTEN_BY), (since, until)))
            for table in leaves.ORDER
            if table in having
        ]
    rows = [row for table, cursor in asked for row in _read(table, cursor, cursor.fetchall())]
    rows.sort(key=itemgetter(0))  # `written_by`. Stable: within a transaction, by table, then as the query orders them.
    return iter(rows)


def within(conn: Connection[Any], since: int, until: int, rows: int) -> int:
    """How far, up to `until`, transactions go that wrote after `since` little more than so many rows of any table."""
    (nth,) = conn.execute(_NTH, {"since": since, "until": until, "rows": rows}).fetchone() or (None,)
    return until if nth is None else int(nth)


def count_after(conn: Connection[Any], since: int) -> int:
    """How many rows have `ecrit_par` above this one; none is read."""
    (count,) = conn.execute(_COUNT, {"since": since}).fetchone() or (0,)
    return int(count)


def written_before(conn: Connection[Any], until: int) -> Iterator[Row]:
    """The rows of former generations, `ecrit_par` <= `until` or absent, table by table, read as they are needed."""
    for table in leaves.ORDER:
        with conn.cursor(f"seal_{table}", binary=True) as cursor:
            cursor.itersize = _FETCHED
            leaves.read_raw(cursor)
            cursor.execute(_query(table, f"coalesce({leaves.WRITTEN_BY}, 0)", by_transaction=False), (-1, until))
            while some := cursor.fetchmany(_FETCHED):
                yield from _read(table, cursor, some)


def of_stream(conn: Connection[Any], stream: str) -> list[Row]:
    """The events of a stream, in order."""
    cursor = _raw(conn.cursor(binary=True)).execute(
        "SELECT * FROM journal.evenements WHERE flux = %s ORDER BY version", (stream,)
    )
    return list(_read("evenements", cursor, cursor.fetchall()))


def of_positions(conn: Connection[Any], since: int, until: int, limit: int) -> list[Row]:
    """The first events with `since` < position <= `until`, in order, at most so many."""
    cursor = _raw(conn.cursor(binary=True)).execute(
        "SELECT * FROM journal.evenements WHERE position > %s AND position <= %s ORDER BY position LIMIT %s",
        (since, until, limit),
    )
    return list(_read("evenements", cursor, cursor.fetchall()))


@cache
def _query(table: str, written: LiteralString, *, by_transaction: bool = True) -> bytes:
    keys: list[sql.Composable] = [sql.Identifier(column) for column in leaves.ORDER[table]]
    statement = sql.SQL("SELECT * FROM journal.{} WHERE {w} > %s AND {w} <= %s ORDER BY {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join([sql.SQL(written), *keys] if by_transaction else keys),
        w=sql.SQL(written),
    )
    return statement.as_bytes(None)


def _raw(cursor: Cursor[Any]) -> Cursor[Any]:
    leaves.read_raw(cursor)
    return cursor


def _read(table: str, cursor: Cursor[Any], rows: Sequence[Sequence[Any]]) -> Iterator[Row]:
    columns = tuple((column.name, column.type_code) for column in cursor.description or ())
    names = [name for name, _ in columns]
    written_by = map(itemgetter(names.index(leaves.WRITTEN_BY)), rows)
    positions = map(itemgetter(names.index("position")), rows) if table == "evenements" else repeat(0)
    rendered = leaves.renderer(table, columns)(rows)
    return map(Row._make, zip((number or 0 for number in written_by), repeat(table), rendered, positions))
