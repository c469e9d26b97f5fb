"""The tables of the simulated database, with the keys that the migrations declare, and what a transaction changes."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from service import schema

Row = Any
"""A named tuple whose fields are the table's columns."""

Key = tuple[Any, ...]


class UniqueKey(NamedTuple):
    """A unique constraint, as a migration declares it."""

    constraint: str
    columns: tuple[str, ...]


_TABLE = re.compile(r"CREATE TABLE (?P<name>[a-z]+\.[a-z_]+) \((?P<body>.*?)\n\)", re.DOTALL)
_NAMED = re.compile(r"CONSTRAINT (\w+) (?:UNIQUE|PRIMARY KEY) \(([^)]*)\)")
_CHANGED = re.compile(
    r"ALTER TABLE (?P<name>[a-z]+\.[a-z_]+) (?:DROP CONSTRAINT (?P<dropped>\w+)|ADD (?P<added>CONSTRAINT [^;]*));"
)
_UNNAMED = re.compile(r"^\s*PRIMARY KEY \(([^)]*)\)", re.MULTILINE)
_INLINE = re.compile(r"^\s*(\w+)\s+[^,]*?\bPRIMARY KEY", re.MULTILINE)


def unique_keys() -> dict[str, list[UniqueKey]]:
    """Every unique key of every table, read from the migrations."""
    keys: dict[str, list[UniqueKey]] = {}
    for path in sorted(schema.FOLDER.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".sql"):
            continue
        text = re.sub(r"--[^\n]*", "", path.read_text("utf-8"))
        for table in _TABLE.finditer(text):
            name, body = table["name"], table["body"]
            found = [UniqueKey(constraint, _columns(columns)) for constraint, columns in _NAMED.findall(body)]
            primary = f"{name.partition('.')[2]}_pkey"
            found += [UniqueKey(primary, _columns(columns)) for columns in _UNNAMED.findall(_NAMED.sub("", body))]
            found += [UniqueKey(primary, (column,)) for column in _INLINE.findall(_NAMED.sub("", body))]
            keys[name] = found
        for change in _CHANGED.finditer(text):
            kept = [key for key in keys.get(change["name"], []) if key.constraint != change["dropped"]]
            added = _NAMED.findall(change["added"] or "")
            keys[change["name"]] = [*kept, *(UniqueKey(named, _columns(columns)) for named, columns in added)]
    return keys


def _columns(listed: str) -> tuple[str, ...]:
    return tuple(column.strip() for column in listed.split(","))


class Table:
    """The committed rows of a table, under its first unique key, and an index a further one."""

    def __init__(self, name: str, keys: Iterable[UniqueKey]) -> None:
        """`keys`: those that this table enforces; the first names its rows."""
        self.name = name
        self.keys = list(keys)
        self.rows: dict[Key, Row] = {}
        self.indexes: dict[str, set[Key]] = {key.constraint: set() for key in self.keys}
        self._unnamed = 0

    def key_of(self, row: Row) -> Key:
        """What names this row; without any key, a name of its own."""
        if self.keys:
            return values_of(self.keys[0], row)
        self._unnamed += 1
        return (self._unnamed,)

    def write(self, key: Key, row: Row | None) -> None:
        """Commit a row, or its removal."""
        old = self.rows.pop(key, None) if row is None else self.rows.get(key)
        for unique in self.keys:
            index = self.indexes[unique.constraint]
            if old is not None:
                index.discard(values_of(unique, old))
            if row is not None:
                index.add(values_of(unique, row))
        if row is not None:
            self.rows[key] = row

    def copy(self) -> "Table":
        """The same, apart: a backup."""
        other = Table(self.name, self.keys)
        other.rows, other._unnamed = dict(self.rows), self._unnamed
        other.indexes = {name: set(index) for name, index in self.indexes.items()}
        return other


def values_of(unique: UniqueKey, row: Row) -> Key:
    """What this row holds under a unique key."""
    return tuple([getattr(row, column) for column in unique.columns])
