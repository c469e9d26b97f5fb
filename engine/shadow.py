"""The shadow of a view: tables of the same names in another schema, filled by the view's own statements.

A view writes `vues.<table>`. On a connection whose cursors are made here, the same statements reach the shadow's tables
instead; whatever else they name stays the live one.
"""

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from psycopg import Connection, Cursor, sql

LIVE: Final = "vues"
SCHEMA: Final = "vues_neuves"
"""Where shadows that outlive a session stand, until they take the place of the live tables."""

TEMPORARY: Final = "pg_temp"
"""Where those of one session stand."""

# What the catalogue says of a live table that `LIKE` does not copy.
_OPTIONS: Final = "SELECT reloptions FROM pg_class WHERE oid = to_regclass(%b)"

# Its keys, and its other indexes, by name.
_KEYS: Final = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = to_regclass(%b) AND contype IN ('p', 'u') ORDER BY conname
"""
_INDEXES: Final = """
SELECT i.indexname, i.indexdef FROM pg_indexes i
WHERE i.schemaname = %b AND i.tablename = %b
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = to_regclass(%b) AND c.conname = i.indexname)
ORDER BY i.indexname
"""

# Who may do what with it, beside its owner.
_GRANTS: Final = """
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
       string_agg(DISTINCT a.privilege_type, ', ')
FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = to_regclass(%b) AND a.grantee <> c.relowner GROUP BY a.grantee
"""

_COMMENT: Final = "SELECT obj_description(to_regclass(%b))"

_COLUMNS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%b) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


class Rows(NamedTuple):
    """A table of a view: how its rows hang on the log's streams, and which of its columns the log alone decides."""

    table: str
    key: tuple[str, ...]
    column: str
    """The column whose text, after `prefix`, names the stream that a row comes from."""
    prefix: str
    """Empty: a row comes of many streams, and is not compared stream by stream."""
    also: tuple[str, str] | None = None
    """(column, prefix) of the other stream that a row comes from, if there are two."""
    apart: frozenset[str] = frozenset()
    """The columns that the log alone does not decide: they are not compared."""
    only: str | None = None
    """The rows that are compared, as a condition on `r`; the others may be there or not."""
    list_: bool = False
    """A list that follows from the view's rows, and that a version which does not know it leaves as it was."""

    def compared(self, columns: Sequence[str]) -> list[str]:
        """The columns, of these, that are compared."""
        return [column for column in columns if column not in self.apart]


class Difference(NamedTuple):
    """A row that two tables do not hold alike."""

    table: str
    key: str
    stream: str
    left: dict[str, Any] | None
    """In the shadow; None: not there."""
    right: dict[str, Any] | None
    """In the live table."""

    @property
    def kind(self) -> str:
        """What the live table has wrong: `manque`, `en_trop` or `autre`."""
        if self.right is None:
            return "manque"
        return "en_trop" if self.left is None else "autre"


def redirected(tables: Sequence[str], schema: str = SCHEMA) -> type[Cursor[Any]]:
    """A cursor class (for `Connection.cursor_factory`) that puts these tables of `schema` in place of the live ones."""
    named = re.compile(rf"\b{LIVE}\.({'|'.join(map(re.escape, tables))})\b")

    @cache
    def translate(query: str) -> str:
        return named.sub(rf"{schema}.\1", query)

    class Redirected(Cursor[Any]):
        """The statements of a view, on its shadow."""

        def execute(self, query: Any, *arguments: Any, **options: Any) -> "Redirected":
            """Run the statement on the shadow."""
            super().execute(translate(query) if isinstance(query, str) else query, *arguments, **options)
            return self

    return Redirected


def columns(conn: Connection[Any], table: str, schema: str = LIVE) -> dict[str, str]:
    """The columns of this table and their types, in order; empty if the table is not there."""
    return dict(conn.execute(_COLUMNS, (f"{schema}.{table}",)).fetchall())


def create(conn: Connection[Any], table: str) -> None:
    """Create the shadow of this table, empty, with its keys, rights and comments; its other indexes come later."""
    live, shadow = _named(LIVE, table), _named(SCHEMA, table)
    regclass = f"{LIVE}.{table}"
    (options,) = conn.execute(_OPTIONS, (regclass,)).fetchone() or (None,)
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(shadow))
    conn.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)").format(shadow, live)
        + sql.SQL(f" WITH ({', '.join(options)})" if options else "")
    )
    for name, definition in conn.execute(_KEYS, (regclass,)).fetchall():
        conn.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(shadow, sql.Identifier(name)) + sql.SQL(definition)
        )
    for grantee, privileges in conn.execute(_GRANTS, (regclass,)).fetchall():
        conn.execute(sql.SQL(f"GRANT {privileges} ON {{}} TO {grantee}").format(shadow))
    (comment,) = conn.execute(_COMMENT, (regclass,)).fetchone() or (None,)
    if comment is not None:
        conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(shadow, sql.Literal(comment)))


def create_temporary(conn: Connection[Any], table: str) -> None:
    """Create the shadow of this table for this session, with its keys only; each transaction finds it empty.

    Other indexes would cost more to fill, slice after slice, than they spare. An index that is neither a key nor
    unique decides nothing of what a statement does.
    """
    if columns(conn, table, TEMPORARY):
        return
    shadow = _named(TEMPORARY, table)
    conn.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES) ON COMMIT DELETE ROWS").format(
            shadow, _named(LIVE, table)
        )
    )
    for name, definition in conn.execute(_KEYS, (f"{LIVE}.{table}",)).fetchall():
        conn.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(shadow, sql.Identifier(name)) + sql.SQL(definition)
        )


def complete(conn: Connection[Any], table: str) -> None:
    """Give the filled shadow the indexes that it lacks, and its statistics."""
    there = {name for name, _ in conn.execute(_INDEXES, (SCHEMA, table, f"{SCHEMA}.{table}")).fetchall()}
    for name, definition in conn.execute(_INDEXES, (LIVE, table, f"{LIVE}.{table}")).fetchall():
        if name not in there:
            conn.execute(sql.SQL(definition.replace(f" ON {LIVE}.", f" ON {SCHEMA}.", 1)))
    conn.execute(sql.SQL("ANALYZE {}").format(_named(SCHEMA, table)))


def replace(conn: Connection[Any], table: str) -> None:
    """Put the shadow in the live table's place, in the open transaction."""
    conn.execute(sql.SQL("DROP TABLE {}").format(_named(LIVE, table)))
    conn.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(_named(SCHEMA, table), sql.Identifier(LIVE)))


def differences(
    conn: Connection[Any],
    rows: Rows,
    schema: str,
    *,
    within: tuple[str, str] | None = None,
    keys: Sequence[str] | None = None,
    without: Collection[str] = (),
    limit: int,
) -> tuple[list[Difference], int, int]:
    """Where the shadow (left) and the live table (right) do not hold the same.

    `within`: only the rows whose stream is above the first and up to the second; `keys`: only those;
    `without`: those of these streams are no difference. Returns the first `limit`, how many there are, and how many
    rows were compared.
    """
    conditions, parameters = _conditions(rows, within, keys)
    sides = [
        sql.SQL("(SELECT * FROM {} AS r WHERE {})").format(_named(where, rows.table), sql.SQL(conditions))
        for where in (schema, LIVE)
    ]
    same_key = sql.SQL(" AND ").join(_both(column, "=") for column in rows.key)
    key = sql.SQL(" || ',' || ").join(
        sql.SQL("coalesce({}, {})::text").format(sql.Identifier("n", column), sql.Identifier("v", column))
        for column in rows.key
    )
    stream = sql.SQL("{} || coalesce({}, {})::text").format(
        sql.Literal(rows.prefix), sql.Identifier("n", rows.column), sql.Identifier("v", rows.column)
    )
    absent = [sql.Identifier(side, rows.key[0]) for side in ("n", "v")]
    differs, apart = _differs(rows, rows.compared(list(columns(conn, rows.table))), absent, without)
    joined = sql.SQL("{} AS n FULL JOIN {} AS v ON {}").format(*sides, same_key)
    counted = sql.SQL("SELECT count(*) FILTER (WHERE {}), count({}) FROM {}").format(differs, absent[1], joined)
    different, seen = conn.execute(counted, apart + parameters * 2).fetchone() or (0, 0)
    if not different:
        return [], 0, seen
    # The rows are only made JSON once they are few.
    query = sql.SQL(
        "SELECT key, stream, CASE WHEN there_left IS NOT NULL THEN to_jsonb(n) END,"
        " CASE WHEN there_right IS NOT NULL THEN to_jsonb(v) END FROM (SELECT {key} AS key, {stream} AS stream, n, v,"
        " {no_left} AS there_left, {no_right} AS there_right FROM {joined} WHERE {differs}"
        " ORDER BY stream, key LIMIT {limit}) AS found"
    ).format(
        key=key,
        stream=stream,
        no_left=absent[0],
        no_right=absent[1],
        joined=joined,
        differs=differs,
        limit=sql.Literal(limit),
    )
    found = conn.execute(query, parameters * 2 + apart).fetchall()
    return [Difference(rows.table, *one) for one in found], different, seen


def streams_of(rows: Rows, one: Difference) -> set[str]:
    """The streams that this row comes from."""
    streams = {one.stream}
    if rows.also is not None:
        column, prefix = rows.also
        streams |= {f"{prefix}{side[column]}" for side in (one.left, one.right) if side and side.get(column)}
    return streams


def _differs(
    rows: Rows, compared: Sequence[str], absent: Sequence[sql.Identifier], without: Collection[str]
) -> tuple[sql.Composed, tuple[Any, ...]]:
    """Whether the two sides of a row differ in these columns, none of its streams being left out, with parameters."""
    left, right = (
        sql.SQL("ROW({})").format(sql.SQL(", ").join(sql.Identifier(side, column) for column in compared))
        for side in ("n", "v")
    )
    differs = sql.SQL("({no_left} IS NULL OR {no_right} IS NULL OR {left} IS DISTINCT FROM {right})").format(
        no_left=absent[0], no_right=absent[1], left=left, right=right
    )
    if not without:
        return differs, ()
    streams = _streams(rows)
    differs += sql.SQL("").join(sql.SQL(" AND {} <> ALL (%s::text[])").format(one) for one in streams)
    return differs, (list(without),) * len(streams)


def _streams(rows: Rows) -> list[sql.Composed]:
    """The streams that a row of either side comes from, as expressions that are never null."""
    columns = [(rows.column, rows.prefix), *([rows.also] if rows.also is not None else [])]
    return [
        sql.SQL("coalesce({} || {}::text, '')").format(sql.Literal(prefix), sql.Identifier(side, column))
        for column, prefix in columns
        for side in ("n", "v")
    ]


def _conditions(rows: Rows, within: tuple[str, str] | None, keys: Sequence[str] | None) -> tuple[str, tuple[Any, ...]]:
    conditions = [rows.only or "true"]
    parameters: list[Any] = []
    if within is not None:
        conditions.append(f"r.{rows.column} > %s AND r.{rows.column} <= %s")
        parameters += [bound.removeprefix(rows.prefix) for bound in within]
    if keys is not None:
        conditions.append(f"r.{rows.column} = ANY (%s::text[])")
        parameters.append(list(keys))
    return " AND ".join(conditions), tuple(parameters)


def _both(column: str, operator: str) -> sql.Composed:
    return sql.SQL(f"{{}} {operator} {{}}").format(sql.Identifier("n", column), sql.Identifier("v", column))


def _named(schema: str, table: str) -> sql.Identifier:
    return sql.Identifier(schema, table)
