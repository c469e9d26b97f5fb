"""The sealed tree, read from the database: where a leaf is, and the tiles that a proof needs."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Connection

from preuve.merkle import HASH_SIZE, Subtrees, inclusion_proof
from preuve.seal import SEALED_AT_ONCE
from preuve.tiles import TILE_WIDTH, TileReader, subtrees, tiles_for

# For each span of leaves [start, finish), what the seals hold of it, in order. A seal holds a bounded number of leaves,
# so that the search ends near the span too.
_LEAVES: Final = f"""
SELECT n, string_agg(substring(s.empreintes FROM greatest(w.start - s.avant, 0)::int * {HASH_SIZE} + 1
                               FOR (least(w.finish, s.taille) - greatest(w.start, s.avant))::int * {HASH_SIZE}),
                     ''::bytea ORDER BY s.avant)
FROM unnest(%b::int8[], %b::int8[]) WITH ORDINALITY AS w (start, finish, n)
JOIN journal.sceaux s ON s.epoque = %b AND s.taille > w.start AND s.taille <= w.finish + {SEALED_AT_ONCE}
     AND s.avant < w.finish
GROUP BY n
"""  # noqa: S608  constants

_NODES: Final = """
SELECT n, string_agg(o.empreinte, ''::bytea ORDER BY o.numero)
FROM unnest(%b::int2[], %b::int8[], %b::int8[]) WITH ORDINALITY AS w (niveau, start, finish, n)
JOIN journal.noeuds o ON o.epoque = %b AND o.niveau = w.niveau AND o.numero >= w.start AND o.numero < w.finish
GROUP BY n
"""

# Where each leaf stands in the seals of its transaction's window (what former generations wrote is one): looked for
# where the log first reaches its position, which is where it is unless transactions crossed; then in all of them.
_INDEXES: Final = f"""
SELECT l.n, s.avant, found.at, CASE WHEN found.at %% {HASH_SIZE} <> 1 THEN s.empreintes END
FROM unnest(%(n)b::int8[], %(written_by)b::int8[], %(position)b::int8[], %(leaf)b::bytea[])
     AS l (n, ecrit_par, position, feuille)
CROSS JOIN LATERAL (SELECT depuis, jusqu_a FROM journal.sceaux WHERE epoque = %(epoch)b AND jusqu_a >= l.ecrit_par
                    ORDER BY jusqu_a LIMIT 1) AS w
CROSS JOIN LATERAL (
    SELECT avant, empreintes FROM journal.sceaux
    WHERE epoque = %(epoch)b AND jusqu_a = w.jusqu_a AND depuis = w.depuis
      AND (%(everywhere)b OR position >= l.position)
    ORDER BY taille LIMIT CASE WHEN %(everywhere)b THEN NULL ELSE 1 END) AS s
CROSS JOIN LATERAL (SELECT position(l.feuille IN s.empreintes) AS at OFFSET 0) AS found
WHERE found.at > 0
"""  # noqa: S608  a constant


class Leaf(NamedTuple):
    """What a leaf is looked for by."""

    written_by: int
    position: int
    """An event's in the log; 0 for another row."""
    hash: bytes


def tile_reader(conn: Connection[Any], epoch: str) -> TileReader:
    """The tiles of an epoch's tree, each read when it is asked for."""
    return lambda *tile: tiles_of(conn, epoch, [tile])[tile]


def read_ahead(conn: Connection[Any], epoch: str, size: int, indexes: Sequence[int]) -> Subtrees:
    """The subtrees of an epoch's tree of `size` leaves, those that prove these leaves read beforehand, together."""

    def prove(known: Subtrees) -> None:
        for index in indexes:
            inclusion_proof(index, size, known)

    tiles = tiles_of(conn, epoch, tiles_for(size, prove))
    otherwise = tile_reader(conn, epoch)
    return subtrees(size, lambda *tile: tiles[tile] if tile in tiles else otherwise(*tile))


def tiles_of(
    conn: Connection[Any], epoch: str, wanted: Collection[tuple[int, int, int]]
) -> dict[tuple[int, int, int], bytes]:
    """These tiles (level, number, width) of an epoch's tree, in two statements at most."""
    found = dict.fromkeys(wanted, b"")
    leaves = [tile for tile in wanted if tile[0] == 0]
    nodes = [tile for tile in wanted if tile[0] > 0]
    if leaves:
        starts, ends = _bounds(leaves)
        for rank, hashes in conn.execute(_LEAVES, (starts, ends, epoch), binary=True):
            found[leaves[rank - 1]] = bytes(hashes)
    if nodes:
        starts, ends = _bounds(nodes)
        levels = [level for level, _, _ in nodes]
        for rank, hashes in conn.execute(_NODES, (levels, starts, ends, epoch), binary=True):
            found[nodes[rank - 1]] = bytes(hashes)
    return found


def _bounds(tiles: Sequence[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
    starts = [number * TILE_WIDTH for _, number, _ in tiles]
    return starts, [start + width for start, (_, _, width) in zip(starts, tiles, strict=True)]


def indexes_of(conn: Connection[Any], epoch: str, leaves: Sequence[Leaf]) -> list[int | None]:
    """The number of each leaf among those sealed of its transaction, or None; in two statements at most."""
    indexes: list[int | None] = [None] * len(leaves)
    for everywhere in (False, True):
        wanted = [rank for rank, index in enumerate(indexes) if index is None]
        if not wanted:
            break
        values = {
            "n": wanted,
            "written_by": [leaves[rank].written_by for rank in wanted],
            "position": [leaves[rank].position for rank in wanted],
            "leaf": [leaves[rank].hash for rank in wanted],
            "epoch": epoch,
            "everywhere": everywhere,
        }
        for rank, before, found, hashes in conn.execute(_INDEXES, values, binary=True):
            # Across two hashes: by chance, and so not the last word.
            at = found - 1 if hashes is None else _aligned(bytes(hashes), leaves[rank].hash)
            if at is not None:
                indexes[rank] = before + at // HASH_SIZE
    return indexes


def _aligned(hashes: bytes, leaf: bytes) -> int | None:
    at = hashes.find(leaf)
    while at >= 0 and at % HASH_SIZE:
        at = hashes.find(leaf, at + 1)
    return at if at >= 0 else None
