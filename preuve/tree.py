"""The sealed tree, read from the database: where a leaf is, and the tiles that a proof needs."""

from typing import Any, Final

from psycopg import Connection

from preuve.merkle import HASH_SIZE
from preuve.tiles import TILE_WIDTH, TileReader

# The seals that hold the leaves from one to another, in order.
_SEALS: Final = """
SELECT avant, empreintes FROM journal.sceaux WHERE epoque = %b AND taille > %b AND avant < %b ORDER BY avant
"""

_NODES: Final = """
SELECT string_agg(empreinte, ''::bytea ORDER BY numero) FROM journal.noeuds
WHERE epoque = %b AND niveau = %b AND numero >= %b AND numero < %b
"""

# What was sealed of one transaction; of those of former generations, all was sealed in one go.
_OF_TRANSACTION: Final = """
SELECT s.avant, s.empreintes FROM journal.sceaux s
JOIN (SELECT depuis, jusqu_a FROM journal.sceaux WHERE epoque = %b AND jusqu_a >= %b ORDER BY jusqu_a LIMIT 1) AS w
     USING (depuis, jusqu_a)
WHERE s.epoque = %b ORDER BY s.avant
"""


def tile_reader(conn: Connection[Any], epoch: str) -> TileReader:
    """The tiles of an epoch's tree."""

    def read(level: int, number: int, width: int) -> bytes:
        first = number * TILE_WIDTH
        if level:
            (hashes,) = conn.execute(_NODES, (epoch, level, first, first + width), binary=True).fetchone() or (b"",)
            return bytes(hashes)
        parts = []
        for before, hashes in conn.execute(_SEALS, (epoch, first, first + width), binary=True):
            start, end = max(first - before, 0), min(first + width - before, len(hashes) // HASH_SIZE)
            parts.append(hashes[start * HASH_SIZE : end * HASH_SIZE])
        return b"".join(parts)

    return read


def index_of(conn: Connection[Any], epoch: str, written_by: int, leaf: bytes) -> int | None:
    """The number of this leaf, among those sealed of its transaction; None if it is not there."""
    for before, found in conn.execute(_OF_TRANSACTION, (epoch, written_by, epoch), binary=True):
        hashes = bytes(found)
        at = hashes.find(leaf)
        while at >= 0:
            if at % HASH_SIZE == 0:
                return int(before) + at // HASH_SIZE
            at = hashes.find(leaf, at + 1)
    return None
