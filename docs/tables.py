"""Writes `docs/tables.md` from the comments kept in the database: `make tables`."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from service.embedded import embedded_postgres, throwaway_folder
from service.schema import migrate

PAGE: Final = Path(__file__).with_name("tables.md")
SCHEMAS: Final = ("journal", "vues")

# Every schema, table and column, with its comment; an index, a sequence or a dropped column is none.
_COMMENTED: Final = """
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       obj_description(n.oid, 'pg_namespace'), obj_description(c.oid, 'pg_class'), col_description(c.oid, a.attnum)
FROM pg_namespace n
JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm')
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY (%s)
ORDER BY n.nspname, c.relname, a.attnum
"""


class Column(NamedTuple):
    """A column, with what is said of it, of its table and of its schema."""

    schema: str
    table: str
    name: str
    type: str
    required: bool
    schema_comment: str | None
    table_comment: str | None
    comment: str | None


def columns(url: str) -> list[Column]:
    """Every column of the contract's schemas, in a database that was migrated."""
    with psycopg.connect(url) as conn:
        return [Column(*row) for row in conn.execute(_COMMENTED, (list(SCHEMAS),))]


def unsaid(found: Sequence[Column]) -> list[str]:
    """What bears no comment: each schema, table or column by its name."""
    names: dict[str, str | None] = {}
    for column in found:
        names[column.schema] = column.schema_comment
        names[f"{column.schema}.{column.table}"] = column.table_comment
        names[f"{column.schema}.{column.table}.{column.name}"] = column.comment
    return [name for name, comment in names.items() if not comment]


def page(found: Sequence[Column]) -> str:
    """The reference, as Markdown."""
    lines = [
        "# Les tables",
        "",
        "Écrit par `make tables` d'après les commentaires gardés dans la base : ne pas modifier.",
        "Une migration commente ce qu'elle ajoute.",
    ]
    for schema, in_schema in groupby(found, key=lambda column: column.schema):
        of_schema = list(in_schema)
        lines += ["", f"## `{schema}`", "", str(of_schema[0].schema_comment)]
        for table, in_table in groupby(of_schema, key=lambda column: column.table):
            of_table = list(in_table)
            lines += ["", f"### `{schema}.{table}`", "", str(of_table[0].table_comment), ""]
            lines += ["| colonne | type | |", "|---|---|---|"]
            lines += [_row(column) for column in of_table]
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    optional = "" if column.required else ", facultatif"
    return f"| `{column.name}` | {column.type}{optional} | {str(column.comment).replace('|', '/')} |"


def main() -> None:
    """Write the page from a fresh database."""
    with throwaway_folder() as folder, embedded_postgres(folder, throwaway=True) as server:
        migrate(server.owner_database_url, "creances")
        PAGE.write_text(page(columns(server.owner_database_url)), "utf-8")


if __name__ == "__main__":
    main()
