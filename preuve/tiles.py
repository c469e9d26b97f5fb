"""The tree in tiles (C2SP tlog-tiles): what is written as it grows, and the tree read back from them.

A tile holds up to 256 hashes of one level; a hash of level n + 1 stands for a full tile of level n. Only the tiles on
the right edge are partial; a full one never changes again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from preuve.merkle import HASH_SIZE, Subtrees, node_hash

TILE_HEIGHT: Final = 8
"""Levels of the tree between two levels of tiles."""

TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""Hashes of a full tile."""

ENTRY_MAX: Final = 65_535
"""Length of the longest entry that a bundle can hold, in bytes."""


class Tile(NamedTuple):
    """A tile: its level, its number within it, and its hashes one after the other."""

    level: int
    number: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds, from 1 to 256."""
        return len(self.hashes) // HASH_SIZE


TileReader = Callable[[int, int, int], bytes]
"""The hashes of a tile by its level, its number and the width wanted; it may hold more than that."""


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Where a tile is served, under the log's prefix."""
    return f"tile/{level}/{_number_path(number)}{_partial(width)}"


def bundle_path(number: int, width: int = TILE_WIDTH) -> str:
    """Where the entries of a tile of level 0 are served, under the log's prefix."""
    return f"tile/entries/{_number_path(number)}{_partial(width)}"


def bundle(entries: Sequence[bytes]) -> bytes:
    """A bundle of these entries. Raises ValueError if one is too long for it."""
    for entry in entries:
        if len(entry) > ENTRY_MAX:
            raise ValueError(f"an entry of {len(entry)} bytes, of at most {ENTRY_MAX}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def width_at(level: int, number: int, size: int) -> int:
    """How wide that tile is in a tree of `size` leaves; 0 or less: it is not there."""
    return min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - number * TILE_WIDTH)


def grow(size: int, leaves: Sequence[bytes], read: TileReader) -> Iterator[Tile]:
    """The tiles to write, full or partial, when a tree of `size` leaves grows by the hashes of these leaves.

    `read` is asked for the partial tiles of the right edge only, at the width that `size` gives them.
    """
    level, start, added = 0, size, b"".join(leaves)
    while added:
        filled = start % TILE_WIDTH
        number = start // TILE_WIDTH
        hashes = (read(level, number, filled)[: filled * HASH_SIZE] if filled else b"") + added
        full: list[bytes] = []
        step = TILE_WIDTH * HASH_SIZE
        for at in range(0, len(hashes), step):
            tile = Tile(level, number, hashes[at : at + step])
            yield tile
            if tile.width == TILE_WIDTH:
                full.append(_fold(tile.hashes))
            number += 1
        level, start, added = level + 1, start // TILE_WIDTH, b"".join(full)


def subtrees(size: int, read: TileReader) -> Subtrees:
    """The perfect subtrees of a tree of `size` leaves, from its tiles, each read once and each folded once."""
    held: dict[tuple[int, int], bytes] = {}

    @cache
    def subtree(height: int, index: int) -> bytes:
        tile, at, end = _place(height, index)
        if tile not in held:
            held[tile] = read(*tile, width_at(*tile, size))
        return _fold(held[tile][at:end])

    return subtree


def tiles_for(size: int, ask: Callable[[Subtrees], object]) -> set[tuple[int, int, int]]:
    """The tiles (level, number, width) that this question about a tree of `size` leaves reads, to read them at once."""
    wanted = set()

    def note(height: int, index: int) -> bytes:
        tile, _, _ = _place(height, index)
        wanted.add((*tile, width_at(*tile, size)))
        return b""

    ask(note)
    return wanted


def _place(height: int, index: int) -> tuple[tuple[int, int], int, int]:
    """Where a perfect subtree is: the tile (level, number), and from which byte to which."""
    level, above = divmod(height, TILE_HEIGHT)
    first = index << above  # The first hash of that level below the subtree.
    at = first % TILE_WIDTH * HASH_SIZE
    return (level, first // TILE_WIDTH), at, at + (HASH_SIZE << above)


def _fold(hashes: bytes) -> bytes:
    """The hash of the perfect subtree over these hashes."""
    level = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def _number_path(number: int) -> str:
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
